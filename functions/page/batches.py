"""Read the batch logs of a source: its newest batches, changes, and rows that are put aside."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from etl import Files
from etl.pipeline import Pipeline
from etl.sources import Source
from functions.common.loaded import LoadedMarker
from functions.common.logs import Logs, MarkerLog
from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.common.parquet import opened
from functions.common.quarantined import Quarantine
from functions.common.storage import Bucket
from functions.page.reasons import Reasons

BATCHES_SHOWN = 30
MARKERS_READ = 200  # how far the newest change of a table is looked for
REASON = "_reason"
EXPANDED_AT_MOST = 768 << 20  # as transform reads a quarantine


@dataclass(frozen=True)
class Batch:
    """A batch: when its rows were true, how many, and how long each stage took, in seconds.

    `changed` are rows of the source, `loaded` those inserted, updated or deleted in the target,
    `aside` those put aside. A stage that it has not come to yet is None. A stage begins where the
    one before ended, so waiting counts as well.
    """

    number: int
    snapshot_at: datetime
    changed: int
    aside: int | None = None
    loaded: int | None = None
    extract: float = 0.0
    transform: float | None = None
    load: float | None = None


@dataclass(frozen=True)
class Change:
    """The newest change of a target table: its batch, and the moment of the source."""

    batch: int
    at: datetime


@dataclass(frozen=True)
class Aside:
    """Rows of a table, or of a file, that are put aside at present, for one reason."""

    table: str
    reason: str
    rows: int


@dataclass(frozen=True)
class SourceState:
    """The state of a source.

    `batches` are the newest, in their order; `loaded` is the newest marker, `waiting` how many
    batches are not in the target. `stopped` says which source tables are not read, and why;
    `filling` how far those are that are read in several batches.
    """

    name: str
    batches: list[Batch]
    loaded: LoadedMarker | None
    waiting: int
    changes: dict[str, Change] = field(default_factory=dict)
    aside: list[Aside] = field(default_factory=list)
    stopped: dict[str, str] = field(default_factory=dict)
    filling: dict[str, str] = field(default_factory=dict)


def state_of(declared: Pipeline, source: Source, logs: Logs, markers: MarkerLog) -> SourceState:
    """Read the logs of a source.

    Raises:
        CorruptLogError: a document or an object of them is missing or damaged.
    """
    newest, processed = logs.ingested.newest(), logs.processed.newest()
    written = _markers(markers)
    numbers = range(max(1, newest - BATCHES_SHOWN + 1), newest + 1)
    made = [number for number in numbers if number <= processed]
    read = list(logs.ingested.read_each(numbers))
    remodelled = {each.batch: each for each in logs.processed.read_each(made)}
    first = {each.batch: each for each in written}  # the newest first, so the first one remains
    last = remodelled.get(processed) or (logs.processed.read(processed) if processed else None)
    loaded = written[0] if written else None
    return SourceState(
        source.name,
        [_batch(each, remodelled.get(each.batch), first.get(each.batch)) for each in read],
        loaded,
        newest - (loaded.batch if loaded else 0),
        _changes(written),
        [
            *_quarantined(declared, source, logs.processed.bucket, last),
            *_refused_files(source, last),
            *_refused(loaded),
        ],
        _stopped(read[-1]) if read else {},
        _filling(read[-1]) if read else {},
    )


def _markers(log: MarkerLog) -> list[LoadedMarker]:
    """Return the newest markers, the newest first."""
    newest = log.newest()
    return list(log.read_each(range(newest, max(newest - MARKERS_READ, 0), -1)))


def _batch(
    read: IngestionManifest, made: ProcessedManifest | None, marker: LoadedMarker | None
) -> Batch:
    tables = read.tables.values()
    return Batch(
        read.batch,
        read.source.snapshot_at,
        sum(each.rows for each in read.files) or sum(each.changed for each in tables),
        None if made is None else sum(each.quarantined for each in made.balance.values()),
        None if marker is None else sum(_changed(marker).values()),
        _seconds(read.source.snapshot_at, read.written_at),
        None if made is None else _seconds(read.written_at, made.written_at),
        None if made is None or marker is None else _seconds(made.written_at, marker.written_at),
    )


def _seconds(start: datetime, end: datetime) -> float:
    """Return the seconds between two times, not negative, as clocks may differ a little."""
    return max((end - start).total_seconds(), 0.0)


def _changed(marker: LoadedMarker) -> dict[str, int]:
    return {
        name: table.inserted + table.updated + table.deleted for name, table in marker.rows.items()
    }


def _changes(markers: Iterable[LoadedMarker]) -> dict[str, Change]:
    """Return the newest change by the id of the table; `markers` begin with the newest."""
    changes: dict[str, Change] = {}
    for marker in markers:
        for name, rows in _changed(marker).items():
            if rows:
                changes.setdefault(name, Change(marker.batch, marker.source.snapshot_at))
    return changes


def _quarantined(
    declared: Pipeline, source: Source, bucket: Bucket, last: ProcessedManifest | None
) -> Iterator[Aside]:
    """Yield the rows in quarantine, counted by reason."""
    tables = {table.id: table for table in source.tables}
    mappings = declared.mappings(source.name)
    for name, entry in (last.quarantine if last else {}).items():
        if (table := tables.get(name)) is None:
            continue
        reasons = Reasons(table, source.tables, [each for each in mappings if each.main is table])
        yield from _counted(name, reasons, _reasons(bucket, entry))


def _reasons(bucket: Bucket, entry: Quarantine) -> Counter[str]:
    found: Counter[str] = Counter()
    for part in entry.all_parts:
        with opened(bucket, part.file, part.sha256, part.rows, EXPANDED_AT_MOST) as rows:
            found.update(rows.read(columns=[REASON], use_threads=False)[REASON].to_pylist())
    return found


def _counted(table: str, reasons: Reasons, counts: Mapping[str, int]) -> Iterator[Aside]:
    rows: Counter[str] = Counter()
    for reason, number in counts.items():
        rows[reasons.without_values(reason)] += number
    for reason, number in rows.most_common():
        yield Aside(table, reason, number)


def _refused_files(source: Source, last: ProcessedManifest | None) -> Iterator[Aside]:
    """Yield the refused rows of files; the reasons of single rows are in objects under errors/."""
    what = "file" if isinstance(source, Files) else "events"
    for each in last.refusals if last else ():
        where = f"{each.table}, {what} {each.file.key}"
        why = each.reason or (f"see {each.errors}" if each.errors else "rows that cannot be used")
        yield Aside(where, why, each.rows if each.reason else each.refused)


def _refused(loaded: LoadedMarker | None) -> Iterator[Aside]:
    """Yield the rows that the target does not accept, with reasons that quote no value."""
    for name, objects in (loaded.refused if loaded else {}).items():
        rows: Counter[str] = Counter()
        for each in objects:
            rows.update(each.reasons)
        for reason, number in rows.most_common():
            yield Aside(name, reason, number)


def _stopped(newest: IngestionManifest) -> dict[str, str]:
    return {
        name: table.error for name, table in newest.schemas.items() if table.error and table.carried
    }


def _filling(newest: IngestionManifest) -> dict[str, str]:
    return {name: table.filling.progress for name, table in newest.tables.items() if table.filling}
