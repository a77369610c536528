"""Remodel a batch for one target table, or all batches so far for a new one."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from etl.mapping import Mapping
from functions.common.errors import RowBalanceError
from functions.common.manifests import Balance, IngestionManifest, StarTable
from functions.common.objects import DataFile
from functions.transform import quarantine
from functions.transform.table import Batch, TableOfBatch


@dataclass(frozen=True)
class Remodelled:
    """The outcome for a target table: its rows, their balance, and the open rows."""

    table: StarTable
    balance: Balance
    open: list[pa.Table]


def remodel(batch: Batch, mapping: Mapping, open_rows: pa.Table) -> Remodelled:
    """Divide the rows of a batch, and those open before it, between target and quarantine."""
    table = TableOfBatch(batch, mapping)
    kept = table.not_superseded(open_rows)
    released, waiting = table.release(kept)
    fit, unfit = table.take()
    files = released + fit
    balance = Balance(
        taken=table.taken,
        released=kept.num_rows - waiting.num_rows,
        out=_rows(files),
        quarantined=sum(rows.num_rows for rows in unfit),
    )
    _require_balance(batch, mapping, balance)
    tombstones = table.write_deleted(table.deleted())
    made = StarTable(balance.out, files, _rows(tombstones), tombstones)
    return Remodelled(made, balance, [waiting, *unfit])


def fill(batch: Batch, mapping: Mapping) -> Remodelled:
    """Remodel the rows of all batches of the log up to this one, each into its own files."""
    files: list[DataFile] = []
    open_rows, deleted = pa.table({}), pa.table({})
    taken = quarantined = 0
    for manifest in _manifests(batch):
        table = TableOfBatch(replace(batch, manifest=manifest), mapping)
        fit, unfit = table.take()
        open_rows = quarantine.together([table.not_superseded(open_rows), *unfit])
        deleted = quarantine.together([table.not_come_back(deleted), *table.deleted()])
        files += fit
        taken += table.taken
        quarantined += sum(rows.num_rows for rows in unfit)
    batch.absent.note_unfit(mapping.main, open_rows)
    balance = Balance(taken, released=0, out=_rows(files), quarantined=quarantined)
    _require_balance(batch, mapping, balance)
    tombstones = table.write_deleted([deleted])
    made = StarTable(balance.out, files, _rows(tombstones), tombstones, filled=True)
    return Remodelled(made, balance, [open_rows])


def _manifests(batch: Batch) -> Iterator[IngestionManifest]:
    """Yield the manifests of the log in their order, the batch's own last."""
    yield from batch.ingested.read_each(range(1, batch.number))
    yield batch.manifest


def _rows(files: list[DataFile]) -> int:
    return sum(file.rows for file in files)


def _require_balance(batch: Batch, mapping: Mapping, balance: Balance) -> None:
    if balance.taken + balance.released != balance.out + balance.quarantined:
        raise RowBalanceError(
            f"batch {batch.number}: of {balance.taken} rows of {mapping.main.name} and "
            f"{balance.released} released ones, {balance.out} went to {mapping.target.name} and "
            f"{balance.quarantined} to quarantine: this is a defect of transform, report it"
        )
