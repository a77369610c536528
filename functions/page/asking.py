"""Query a target for the page, in bounded time."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element  # nosec B405  nothing is parsed

from etl import Figure
from functions.common.errors import PipelineError, WarehouseSetupError
from functions.common.telemetry import logger
from functions.page.figures import ROWS_AT_MOST, drawn, failed
from functions.targets import Place
from functions.targets.reading import Count, Query, Snapshot, can_be_read, reading

# Together under 10 seconds, whatever the warehouse does: a statement may take half of the first,
# and none is begun after the second.
SECONDS = 8.0
BEGIN_SECONDS = 5.0


@dataclass
class Answers:
    """The answers of a target: the numbers of rows of its tables by name, and its figures.

    `error` says why it could not be queried; the page shows the rest nevertheless.
    """

    counts: Mapping[str, Count] = field(default_factory=dict)
    figures: list[Element] = field(default_factory=list)
    error: str | None = None


def asked(
    place: Place, figures: tuple[Figure, ...], clock: Callable[[], float] = time.monotonic
) -> Answers:
    """Query a target, in one snapshot, for its tables and for each figure."""
    if not can_be_read(place.target):
        why = f"targets of the kind {place.target.kind} cannot be read yet"
        return Answers(figures=[failed(figure, why) for figure in figures])
    answers, waiting, began = Answers(), deque(figures), clock()
    try:
        with (
            reading(place.target).reader(place, SECONDS) as reader,
            reader.snapshot() as snapshot,
        ):
            answers.counts = snapshot.counts()
            while waiting:
                is_late = clock() - began > BEGIN_SECONDS
                ask = _late if is_late else _shown
                answers.figures += ask(waiting[0], place.folder, snapshot)
                waiting.popleft()
    except PipelineError as error:
        logger.warning(f"target {place.target.name} cannot be queried: {error}")
        answers.error = str(error)
        why = "the warehouse could not be asked"
        answers.figures += [failed(figure, why) for figure in waiting]
    return answers


def _late(figure: Figure, *_: object) -> Iterator[Element]:
    yield failed(figure, f"the figures before it took {BEGIN_SECONDS:.0f} seconds")


def _shown(figure: Figure, folder: Path, snapshot: Snapshot) -> Iterator[Element]:
    """Yield a figure, or why it cannot be shown; nothing for an optional one without rows."""
    try:
        statement = figure.statement(folder)
        found = snapshot.rows(Query(statement, at_most=ROWS_AT_MOST[figure.kind]))
        if found.rows or not figure.optional:
            yield drawn(figure, found)
    except PipelineError as error:
        if figure.optional and isinstance(error, WarehouseSetupError):
            return  # the warehouse lacks a table of it
        logger.warning(f"{figure} is not shown: {error}")
        yield failed(figure, str(error))
