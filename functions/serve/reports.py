"""Answer for a report: check the parameters, run its SELECT, and cache the answer.

A cached answer is valid until something is committed in the warehouse, which one short query finds
out. So a report runs its SELECT once per change, however often it is requested.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from etl.parameters import InvalidValueError, Parameter
from etl.pipeline import Pipeline
from etl.reports import Report
from functions.common.storage import Bucket
from functions.serve.freshness import as_of, marked, sources_of
from functions.serve.problems import bad_parameters, failed
from functions.serve.requests import Answer, Request
from functions.targets.reading import LoadedBatch, Query, Reader, Snapshot

MOST_CHARACTERS = 4_000_000  # Lambda's answers have 6 MB at most
# A limit, as a SELECT may read the clock, and markers in S3 may be newer.
KEPT_SECONDS = 5.0
KEPT_ANSWERS = 32
KEPT_CHARACTERS = 100_000  # of one answer

_ECHOED = 64


def values_of(
    parameters: Mapping[str, Parameter], request: Request, now: datetime
) -> dict[str, str]:
    """Return the values of the parameters; raise Problem for invalid ones."""
    given: dict[str, list[str]] = {}
    for name, text in request.parameters():
        given.setdefault(name, []).append(text)
    errors = [_error(name, "is unknown") for name in given if name not in parameters]
    values: dict[str, str] = {}
    for name, parameter in parameters.items():
        texts = given.get(name, [])
        try:
            if len(texts) > 1:
                raise InvalidValueError("is given more than once")
            value = parameter.value(texts[0]) if texts else parameter.default_at(now)
            if value is None:
                raise InvalidValueError("is missing")
            values[name] = value
        except InvalidValueError as error:
            errors.append(_error(name, str(error)))
    if errors:
        raise bad_parameters(errors)
    return values


def _error(name: str, reason: str) -> dict[str, str]:
    """Return the entry for an invalid parameter, whose name is echoed only if it is harmless."""
    is_harmless = len(name) <= _ECHOED and name.isascii() and name.replace("_", "a").isalnum()
    return {"parameter": name if is_harmless else "(one that is unknown)", "reason": reason}


@dataclass(frozen=True)
class _Kept:
    answer: Answer
    state: str
    at: float


class Reports:
    """The reports of a pipeline, and a cache of answers."""

    def __init__(
        self,
        pipeline: Pipeline,
        folder: Path,
        settings: Mapping[str, str],
        bucket: Bucket,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the values of the settings that the pipeline declares, and the processed bucket."""
        self._pipeline = pipeline
        self._settings = settings
        self._bucket = bucket
        self._clock = clock
        self._reports = {report.path: report for report in pipeline.reports}
        self._statements = {
            report.path: report.statement(folder, settings) for report in pipeline.reports
        }
        self._kept: OrderedDict[tuple[str, ...], _Kept] = OrderedDict()

    def of(self, path: str) -> Report | None:
        """Return the report of a path, None if there is none."""
        return self._reports.get(path)

    def answer(self, report: Report, values: Mapping[str, str], reader: Reader) -> Answer:
        """Return the rows of a report, and as of which batches they are.

        Raises Problem for an answer that is too large, and the reader's errors.
        """
        asked = (report.path, *values.values())
        kept = self._kept.get(asked)
        is_young = kept and self._clock() - kept.at < KEPT_SECONDS
        if kept and is_young and kept.state == reader.state():
            return kept.answer
        self._kept.pop(asked, None)
        began = self._clock()
        state, answer = self._asked(report, values, reader)
        if len(answer.body) <= KEPT_CHARACTERS:
            self._kept[asked] = _Kept(answer, state, began)
            while len(self._kept) > KEPT_ANSWERS:
                self._kept.popitem(last=False)
        return answer

    def health(self, reader: Reader) -> Answer:
        """Return the newest batches of all sources, from a warehouse that can be read."""
        [target] = self._pipeline.targets
        sources = [
            source.name
            for source in self._pipeline.sources
            if self._pipeline.mappings(source.name, target.name)
        ]
        with self._moment(reader, sources) as (_, loaded):
            return Answer.of({"status": "ok", "as_of": as_of(loaded)})

    def _asked(
        self, report: Report, values: Mapping[str, str], reader: Reader
    ) -> tuple[str, Answer]:
        """Return the answer, and the state of the warehouse for which it is valid."""
        statement = self._statements[report.path]
        types = {name: parameter.type for name, parameter in report.parameters.items()}
        query = Query(
            statement, {**self._settings, **values}, types, report.columns, report.at_most
        )
        with self._moment(reader, sources_of(self._pipeline, statement)) as (snapshot, loaded):
            found = snapshot.rows(query)
            state = snapshot.state()
        answer = Answer.of(
            {
                "as_of": as_of(loaded),
                "parameters": dict(values),
                "rows": [dict(zip(found.columns, row, strict=True)) for row in found.rows],
                "complete": not found.is_cut,
            }
        )
        if len(answer.body) > MOST_CHARACTERS:
            raise failed("too_large")
        return state, answer

    @contextmanager
    def _moment(
        self, reader: Reader, sources: Sequence[str]
    ) -> Iterator[tuple[Snapshot, Mapping[str, LoadedBatch]]]:
        """Hold a snapshot; yield it with the batches that it has."""
        # Before the snapshot: see `functions.serve.freshness`.
        before = {} if reader.records_batches else marked(self._bucket, sources)
        with reader.snapshot() as snapshot:
            yield snapshot, snapshot.loaded(sources) if reader.records_batches else before
