"""Remodel a batch of files: fit rows into target tables, refused ones into `errors/`.

Rows of files join with no others and wait for none, so none is in quarantine: a refused row is
corrected in its file, which is then dropped again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from etl import Files, Table
from etl.mapping import Mapping as TargetMapping
from functions.common.accounts import FileAccount, FileRead
from functions.common.carried import LINE
from functions.common.longlists import ListFile
from functions.common.manifests import Balance, IngestionManifest, ProcessedManifest, StarTable
from functions.common.objects import DataFile, ObjectNames
from functions.transform.filerows import FileBatch, rows_of, write_rows
from functions.transform.reasons import Reasons
from functions.transform.refusals import (
    RefusedRows,
    errors_key,
    most_refused,
    still_open,
    too_many,
)
from functions.transform.reports import form_of


@dataclass(frozen=True)
class Outcome:
    """The outcome of a file: the objects with its rows by target table, and what was refused.

    `reason` says why the whole file is refused, if it is.
    """

    read: FileRead
    made: Mapping[str, list[DataFile]]
    refused: int
    errors: str | None = None
    reason: str | None = None
    reasons: ListFile | None = None

    @property
    def account(self) -> FileAccount:
        """The account of its rows, all of which are refused if the whole file is."""
        rows = self.read.rows
        refused = rows if self.reason else self.refused
        table, file = self.read.table, self.read.file
        out, errors = rows - refused, self.errors
        return FileAccount(table, file, rows, out, refused, errors, self.reason, self.reasons)


def remodel_files(
    batch: FileBatch, before: ProcessedManifest | None, *, run: str, now: Callable[[], datetime]
) -> ProcessedManifest:
    """Write the target rows of a batch of files; return the manifest that names them.

    See `batch.remodel_batch`.
    """
    newest = {_name(read): read for read in batch.manifest.files}
    outcomes = _together(
        batch,
        [
            _remodel(batch, read, is_newest=newest[_name(read)] is read)
            for read in batch.manifest.files
        ],
    )
    accounts = [each.account for each in outcomes]
    balances = {
        table.id: _balance(each for each in accounts if each.table == table.id)
        for table in batch.source.tables
    }
    tables: dict[str, StarTable] = {}
    for mapping in batch.mappings:
        is_new = before is not None and mapping.target.id not in before.tables
        mine = [each for each in outcomes if each.read.table == mapping.main.id and not each.reason]
        earlier = _earlier(batch, mapping, has_any=bool(mine)) if is_new else []
        tables[mapping.target.id] = _star_table(
            mapping, [*earlier, *mine], is_filled=is_new or _came_before(batch, mapping.main)
        )
        balances[mapping.main.id] += _balance(each.account for each in earlier)
    return ProcessedManifest(
        batch=batch.manifest.batch,
        written_at=now(),
        run=run,
        source=batch.manifest.source,
        tables=tables,
        balance=balances,
        quarantine={},
        absent={},
        files=accounts,
        refusals=still_open(
            before.refusals if before else [],
            accounts,
            batch.pipeline.replaced(batch.source.name),
        ),
        keys=batch.keys.sets(),
    )


def _came_before(batch: FileBatch, table: Table) -> bool:
    """Return whether all rows of a table in a batch may be in the target already.

    They may, if earlier batches read the same files, or in a replay of a batch from which rows of
    the table were accepted.
    """
    reads = [read for read in batch.manifest.files if read.table == table.id]
    if (replayed := batch.manifest.replay_of) is None:
        return bool(reads) and all(read.again for read in reads)
    balance = batch.logs.processed.read(replayed).balance.get(table.id)
    return balance is not None and balance.out > 0


def _name(read: FileRead) -> tuple[str, str, str]:
    """Return what all versions of a file have in common."""
    return read.table, read.file.bucket, read.file.key


def _remodel(batch: FileBatch, read: FileRead, *, is_newest: bool) -> Outcome:
    """Write the rows of a file into its target tables and `errors/`; decide whether to refuse it.

    Of several versions in a batch the newest writes errors: two runs at the same batch might end
    with those of another one.

    A file of a table that is no longer declared has no target rows and no refused ones.
    """
    if (table := batch.table(read)) is None:
        return Outcome(read, {}, 0)
    if not table.keys:
        batch.keys.add(table.id, pa.array([""]))  # any of its rows may be in the batch
    feed = batch.source.feed(table)
    form = form_of(feed, read.header)
    key = errors_key(table.id, read.file.key, _prefix(batch, table), form.ending)
    made: Mapping[str, list[DataFile]] = {}
    log, reasons = batch.logs.processed, Reasons()

    def is_overtaken() -> bool:
        return log.newest() >= batch.manifest.batch

    with RefusedRows(log.bucket, key if is_newest else None, form, is_overtaken) as refused:
        if read.error is None:

            def refuse(rows: pa.Table, converted: pa.Table, why: Mapping[int, str]) -> None:
                refused.add(rows, converted, why)
                reasons.add(rows[LINE], why)

            mappings = batch.mappings_of(table)
            made = write_rows(batch, table, read, batch.manifest, mappings=mappings, refuse=refuse)
        else:
            refused.add_file(read.error)
    limit = most_refused(feed, batch.environment)
    reason = read.error or too_many(read.rows, refused.rows, limit)
    day = batch.manifest.source.snapshot_at.date()
    names = ObjectNames(f"lists/batches/{batch.source.name}", batch.manifest.batch, day, ".json")
    return Outcome(read, made, refused.rows, refused.key, reason, reasons.stored(log.bucket, names))


def _prefix(batch: FileBatch, table: Table) -> str:
    """Return the common prefix of the keys of a table's files."""
    source = batch.source
    if not isinstance(source, Files):
        return f"{table.id}/"
    return batch.environment.get(source.prefix_setting, "") if source.remote else ""


def _together(batch: FileBatch, outcomes: list[Outcome]) -> list[Outcome]:
    """Refuse all files of a batch that belong together if one of them is refused."""
    refused = next((each for each in outcomes if each.reason), None)
    if refused is None or not batch.source.together:
        return outcomes
    reason = f"it belongs together with {refused.read.file.key}, which is refused"
    return [each if each.reason else replace(each, reason=reason) for each in outcomes]


def _star_table(
    mapping: TargetMapping, accepted: Sequence[Outcome], *, is_filled: bool
) -> StarTable:
    """Return the manifest's entry of a target table, given the files it is made of, in order."""
    if is_snapshot := mapping.target.way == "replace":
        accepted = accepted[-1:]
    files = [file for each in accepted for file in each.made[mapping.target.id]]
    return StarTable(
        rows=rows_of(files),
        files=files,
        filled=is_filled and not is_snapshot,
        snapshot=is_snapshot and bool(accepted),
        sequence=not is_snapshot,
    )


def _earlier(batch: FileBatch, mapping: TargetMapping, *, has_any: bool) -> list[Outcome]:
    """Remodel the files of earlier batches for a target table that is new.

    For a table that is replaced, only the newest file, unless the batch `has_any`. Rows are checked
    by today's declaration; files that were refused stay refused.
    """
    if mapping.target.way != "replace":
        return [_again(batch, mapping, *each) for each in _accepted(batch, mapping.main)]
    newest = None if has_any else next(_accepted(batch, mapping.main, newest_first=True), None)
    return [_again(batch, mapping, *newest)] if newest else []


def _accepted(
    batch: FileBatch, table: Table, *, newest_first: bool = False
) -> Iterator[tuple[IngestionManifest, FileRead]]:
    """Yield the files of a table that earlier batches accepted, each with its batch."""
    step = -1 if newest_first else 1
    numbers = range(1, batch.manifest.batch)[::step]
    logs = batch.logs.ingested.read_each(numbers), batch.logs.processed.read_each(numbers)
    for ingested, processed in zip(*logs, strict=True):
        of_batch = list(zip(ingested.files, processed.files, strict=True))
        for read, account in of_batch[::step]:
            if read.table == table.id and account.reason is None:
                yield ingested, read


def _again(
    batch: FileBatch, mapping: TargetMapping, came_with: IngestionManifest, read: FileRead
) -> Outcome:
    """Remodel a file of an earlier batch for a target table; count the rows refused today."""
    refused: list[int] = []
    made = write_rows(
        batch,
        mapping.main,
        read,
        came_with,
        mappings=[mapping],
        refuse=lambda _rows, _converted, why: refused.append(len(why)),
    )
    return Outcome(read, made, sum(refused))


def _balance(accounts: Iterable[FileAccount]) -> Balance:
    total = Balance(0, 0, 0, 0)
    for each in accounts:
        total += Balance(each.rows, 0, each.out, each.refused)
    return total
