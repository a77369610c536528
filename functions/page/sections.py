"""The parts of the page that every pipeline has: freshness, batches, rows put aside, tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from xml.etree.ElementTree import Element  # nosec B405  nothing is parsed

from functions.page.batches import Batch, Change, SourceState
from functions.page.figures import card
from functions.page.markup import Content, element, outside
from functions.page.numbers import counted, duration, moment
from functions.page.plots import Line, legend, lines
from functions.page.tables import Cell, folded, table
from functions.targets.reading import Count

STAGES = ("extract", "transform", "load")
LINES_AT_MOST = 100  # of the tables here; a pipeline may have hundreds of tables


@dataclass(frozen=True)
class TableState:
    """A table of a target: its number of rows, None if not known, and its newest change."""

    name: str
    rows: Count | None
    change: Change | None


def freshness(states: Sequence[SourceState], broken: Mapping[str, str]) -> Element:
    """Return how fresh the target is, source by source, and which logs cannot be read."""
    heads = ("source", "batch", "rows of (UTC)", "loaded (UTC)", "after", "waiting")
    rows: list[Sequence[Cell]] = [_fresh(state) for state in states]
    said = [
        element("p", element("strong", outside(name), ": "), outside(why, 500), class_="failed")
        for name, why in broken.items()
    ]
    said += [
        element("p", element("strong", outside(name), ": "), outside(progress), class_="note")
        for state in states
        for name, progress in state.filling.items()
    ]
    return card("Freshness", table("Freshness", heads, rows, frozenset({1, 4, 5})), *said)


def _fresh(state: SourceState) -> Sequence[Cell]:
    waiting = _marked(f"{state.waiting:,}", state.waiting > 1)
    if state.loaded is None:
        return (state.name, None, "none is loaded", None, None, waiting)
    marker = state.loaded
    return (
        state.name,
        f"{marker.batch:,}",
        moment(marker.source.snapshot_at),
        moment(marker.written_at),
        duration(marker.age_seconds),
        waiting,
    )


def batches(states: Iterable[SourceState]) -> list[Element]:
    """Return the newest batches of each source, with the seconds of each stage."""
    return [_batches(state) for state in states if state.batches]


def _batches(state: SourceState) -> Element:
    title = f"Newest batches of {state.name}"
    heads = ("batch", "rows of (UTC)", "changed", "loaded", "put aside", *STAGES)
    rows = [_batch(each) for each in reversed(state.batches)]
    shown = table(title, heads, rows, frozenset({0, 2, 3, 4, 5, 6, 7}))
    stages = [Line(name, [_length(each, name) for each in state.batches]) for name in STAGES]
    numbers = [each.number for each in state.batches]
    return card(
        title,
        legend(STAGES),
        lines(numbers, stages, "s", f"Seconds by stage, batch by batch, of {state.name}"),
        folded("Table", shown),
        note="Seconds that each stage took, waiting included.",
    )


def _batch(batch: Batch) -> Sequence[Cell]:
    seconds = (_length(batch, name) for name in STAGES)
    return (
        f"{batch.number:,}",
        moment(batch.snapshot_at),
        f"{batch.changed:,}",
        *(None if each is None else f"{each:,}" for each in (batch.loaded, batch.aside)),
        *(None if each is None else f"{each:,.1f}" for each in seconds),
    )


def _length(batch: Batch, stage: str) -> Decimal | None:
    seconds: float | None = getattr(batch, stage)
    return None if seconds is None else Decimal(f"{seconds:.3f}")


def put_aside(states: Iterable[SourceState]) -> Element:
    """Return which rows are not in the target, and why, without their values."""
    found = list(states)
    rows: list[Sequence[Cell]] = [
        (state.name, name, f"not read: {why}", None)
        for state in found
        for name, why in state.stopped.items()
    ]
    rows += [
        (state.name, each.table, each.reason, f"{each.rows:,}")
        for state in found
        for each in state.aside
    ]
    if not rows:
        return card("Put aside", element("p", "Nothing is put aside.", class_="empty"))
    heads = ("source", "table", "reason", "rows")
    shown: list[Content] = [table("Put aside", heads, rows[:LINES_AT_MOST], frozenset({3}))]
    if (more := len(rows) - LINES_AT_MOST) > 0:
        shown.append(_more(f"{counted(more, 'more reason')}: see `deploy.py status`."))
    return card("Put aside", *shown, note="Each row comes through by itself when it is corrected.")


def tables(target: str, found: Sequence[TableState]) -> Element:
    """Return the tables of a target, with their rows and newest changes."""
    heads = ("table", "rows", "newest change (UTC)", "batch")
    rows = [
        (
            each.name,
            None if each.rows is None else _counted(each.rows),
            moment(each.change.at) if each.change else None,
            f"{each.change.batch:,}" if each.change else None,
        )
        for each in found[:LINES_AT_MOST]
    ]
    title = f"Tables of {target}"
    shown: list[Content] = [table(title, heads, rows, frozenset({1, 3}))]
    if (more := len(found) - LINES_AT_MOST) > 0:
        shown.append(_more(f"{counted(more, 'more table')}."))
    is_estimated = any(each.rows and not each.rows.is_exact for each in found)
    note = (
        "About: by the statistics of the server, which large tables have." if is_estimated else ""
    )
    return card(title, *shown, note=note)


def _counted(count: Count) -> str:
    return f"{count.rows:,}" if count.is_exact else f"about {count.rows:,}"


def _more(text: str) -> Element:
    return element("p", text, class_="note")


def _marked(text: str, is_wrong: bool) -> Cell:
    return element("strong", text, class_="wrong") if is_wrong else text
