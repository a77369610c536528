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
    """The outcome for a target table: its rows, their balance, and rows that are held back."""

    table: StarTable
    balance: Balance
    open: list[pa.Table]


class Remodelling:
    """Divides the rows of a batch, and open ones before it, between target and quarantine."""

    def __init__(self, batch: Batch, mapping: Mapping) -> None:
        self.mapping = mapping
        self._batch = batch
        self._table = TableOfBatch(batch, mapping)
        self._released = 0

    def release(self, open_rows: pa.Table) -> pa.Table:
        """Remodel the open rows of which a parent has come; return those that stay open."""
        left = self._table.release(open_rows)
        self._released += open_rows.num_rows - left.num_rows
        return left

    def finish(self) -> Remodelled:
        """Remodel the batch's own rows."""
        table = self._table
        files = table.released()
        fit, unfit = table.take()
        files = files + fit
        balance = Balance(
            taken=table.taken,
            released=self._released,
            out=_rows(files),
            quarantined=sum(rows.num_rows for rows in unfit),
        )
        _require_balance(self._batch, self.mapping, balance)
        tombstones = table.write_deleted(table.deleted())
        made = StarTable(balance.out, files, _rows(tombstones), tombstones)
        return Remodelled(made, balance, unfit)


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
