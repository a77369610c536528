"""Compare the target tables of a source of files with the files in its bucket.

Events are compared like files, with their batches in the lake; so are the answers of an API, with
its answer of now.

A table that is replaced should have the rows of the newest file, any other those of all files, of
which later ones overwrite earlier ones. Refused rows are not expected. A difference due to a file
that came after the batch is pending; one due to a file that is gone from the bucket is deleted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from etl import Delivered, Events, Pipeline
from etl import mapping as declared
from etl.targets import Way
from functions.common.accounts import FileVersion
from functions.common.keys import is_among, keys_of
from functions.common.logs import Logs
from functions.reconcile.comparison import Comparison
from functions.reconcile.manyfiles import rows_of, together
from functions.sources import FilesNow, listable
from functions.targets import Comparer, Counted
from functions.transform import cells, checks
from functions.transform.making import make

FILES_NAMED = 3  # of each kind, in a note

Known = Mapping[str, Sequence[FileVersion]]
"""The files that were accepted up to a batch, by source table, in the order of their rows."""


@dataclass(frozen=True)
class Run:
    """One comparison of all tables of a source: both moments, and what its batches accepted."""

    pipeline: Pipeline
    source: Delivered
    now: FilesNow
    target: Comparer
    accepted: Known


def compare_files(
    pipeline: Pipeline, source: Delivered, logs: Logs, target: Comparer
) -> dict[str, Comparison]:
    """Compare each existing target table with the files of a source."""
    since = logs.ingested.read(target.batch) if target.batch else None
    now = listable(source).current(source, pipeline, logs.ingested, since)
    run = Run(pipeline, source, now, target, _accepted(logs, target.batch))
    mappings = pipeline.mappings(source.name)
    return {each.target.name: _compare(run, each) for each in mappings if target.has(each)}


def _accepted(logs: Logs, batch: int) -> Known:
    """Return the files that were not refused whole, in the order in which their rows count.

    A file that is read again counts at its last place, except in a replay, whose rows do not
    overwrite those that came in between.
    """
    found: dict[str, dict[tuple[str, str, str], FileVersion | None]] = {}
    for manifest in logs.processed.read_each(range(1, batch + 1)):
        for account in manifest.files:
            files, file = found.setdefault(account.table, {}), account.file.identity
            if account.reason is not None:
                files.setdefault(file, None)
                continue
            if file in files and logs.ingested.read(manifest.batch).replay_of is None:
                del files[file]
            files[file] = account.file
    return {table: [file for file in files.values() if file] for table, files in found.items()}


@dataclass(frozen=True)
class Chosen:
    """The files from which a target table is made: those that batches have read, and newer ones.

    `gone` are files that were read and are no longer in the bucket; `before_gone` is how many of
    those that were read came before the last of them.
    """

    read: Sequence[FileVersion]
    newer: Sequence[FileVersion]
    gone: Sequence[FileVersion]
    before_gone: int


def _choose(run: Run, mapping: declared.Mapping) -> Chosen:
    newer = run.now.newer(mapping.main)
    read = run.accepted.get(mapping.main.id, [])
    if mapping.target.way == "replace":
        newer = newer[-1:]
        read = [] if newer else read[-1:]
    there = [file for file in read if run.now.has(file)]
    gone = [file for file in read if not run.now.has(file)]
    before_gone = read.index(gone[-1]) + 1 - len(gone) if gone else 0
    return Chosen(there, newer, gone, before_gone)


class ExpectedRows:
    """The rows of one target table, made from files.

    `refused` counts the refused rows of files that were read. `changed` are the keys in newer
    files, `doubtful` those in files before one that is gone, which may have had them as well.
    """

    def __init__(self, run: Run, mapping: declared.Mapping, chosen: Chosen) -> None:
        self._now = run.now
        self._mapping = mapping
        self._calendar = run.pipeline.calendar_of(mapping)
        self._chosen = chosen
        self.refused = 0
        self.changed: list[pa.Array] = []
        self._before_gone: list[pa.Array] = []
        self._after_gone: list[pa.Array] = []

    @property
    def doubtful(self) -> list[pa.Array]:
        """The keys whose newest row may have been in a file that is gone."""
        if not self._after_gone:
            return self._before_gone
        certain = pa.concat_arrays(self._after_gone)
        return [keys.filter(pc.invert(is_among(keys, certain))) for keys in self._before_gone]

    def slices(self) -> Iterator[pa.Table]:
        """Yield the rows of the target table in chronological order.

        The first slice has no rows, so that there is always one with the columns.
        """
        yield self._fit(cells.with_all_columns(self._mapping.main, pa.table({})))[0]
        read, before_gone = self._chosen.read, self._chosen.before_gone
        parts = (read[:before_gone], self._before_gone), (read[before_gone:], self._after_gone)
        for files, keys in parts:
            for rows in self._rows(files, was_accepted=True):
                made, refused = self._fit(rows)
                self.refused += refused
                if before_gone:
                    self._note(made, keys)
                yield made
        for rows in self._rows(self._chosen.newer, was_accepted=False):
            made, _ = self._fit(rows)
            self._note(made, self.changed)
            yield made

    def _rows(self, files: Sequence[FileVersion], *, was_accepted: bool) -> Iterator[pa.Table]:
        main = self._mapping.main
        read = partial(self._now.rows, main, was_accepted=was_accepted)
        found = (cells.with_all_columns(main, rows) for rows in rows_of(files, read))
        return together(found)

    def _note(self, made: pa.Table, keys: list[pa.Array]) -> None:
        if self._mapping.target.key:
            keys.append(keys_of(made, self._mapping.target.key))

    def _fit(self, rows: pa.Table) -> tuple[pa.Table, int]:
        main = self._mapping.main
        converted, wrong = cells.checked(main, rows, self._calendar)
        return make(self._mapping, checks.without(converted, wrong), {}), len(wrong)


def _compare(run: Run, mapping: declared.Mapping) -> Comparison:
    chosen = _choose(run, mapping)
    expected = ExpectedRows(run, mapping, chosen)
    compare = _compare_keys if mapping.target.key else _compare_lines
    counted = compare(run.target, mapping, expected, chosen)
    for file in chosen.read:
        if reason := run.now.unusable.get(file):
            return Comparison(error=f"{file.key} cannot be compared: {reason}")
    counted = replace(counted, quarantined=expected.refused)
    return Comparison(**asdict(counted), note=_note(run, mapping.target.way, counted, chosen))


def _compare_keys(
    target: Comparer, mapping: declared.Mapping, expected: ExpectedRows, chosen: Chosen
) -> Counted:
    is_replaced = mapping.target.way == "replace"
    with target.disagreements(mapping, expected.slices(), (), last_of_key=not is_replaced) as found:
        there_only = list(found.in_target_only())
        replaced = there_only if is_replaced and chosen.newer else []
        pending = [*expected.changed, *expected.doubtful, *replaced]
        found.explain(pending, there_only if chosen.gone else [], pa.array([], pa.string()))
        counted = found.counted()
    if chosen.newer:
        return counted
    return replace(counted, pending=0, deleted=counted.deleted + counted.pending)


def _compare_lines(
    target: Comparer, mapping: declared.Mapping, expected: ExpectedRows, chosen: Chosen
) -> Counted:
    found = target.lines(mapping, expected.slices())
    if chosen.newer:
        return replace(found, missing=0, extra=0, pending=found.missing + found.extra)
    if chosen.gone:
        return replace(found, extra=0, deleted=found.extra)
    return found


def _note(run: Run, way: Way, counted: Counted, chosen: Chosen) -> str | None:
    """Return what the numbers do not show, None if nothing."""
    notes, batch = [], run.target.batch
    of_files = not isinstance(run.source, Events)
    if not batch and counted.pending:
        notes.append("no batch is in this warehouse yet: load fills it")
    elif chosen.newer:
        notes.append(f"after batch {batch} came {_named(chosen.newer)}")
    if counted.extra and way != "replace":
        what = "files" if of_files else "events"
        notes.append(f"no repair removes extra rows: {what} say nothing of them")
    if counted.missing and not of_files:
        notes.append("no repair reads events again: replay the batches of those that are missing")
    if chosen.gone:
        notes.append(f"not in the bucket any more: {_named(chosen.gone)}")
    if counted.quarantined:
        correct = ": correct the file" if of_files else ""
        notes.append(f"refused: {counted.quarantined:,} (errors/ has them{correct})")
    return "; ".join(notes) or None


def _named(files: Sequence[FileVersion]) -> str:
    names = list(dict.fromkeys(file.key for file in files))
    more = f" and {len(names) - FILES_NAMED:,} more" if len(names) > FILES_NAMED else ""
    return ", ".join(names[:FILES_NAMED]) + more
