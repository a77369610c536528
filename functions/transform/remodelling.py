"""Remodel a batch for one target table."""

from dataclasses import dataclass

import pyarrow as pa

from etl.mapping import Mapping
from functions.common.errors import RowBalanceError
from functions.common.manifests import Balance, StarTable
from functions.common.objects import DataFile
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
            out=rows_of(files),
            quarantined=sum(rows.num_rows for rows in unfit),
        )
        require_balance(self._batch, self.mapping, balance)
        tombstones = table.write_deleted(table.deleted())
        made = StarTable(balance.out, files, rows_of(tombstones), tombstones)
        return Remodelled(made, balance, unfit)


def rows_of(files: list[DataFile]) -> int:
    """Return how many rows objects have."""
    return sum(file.rows for file in files)


def require_balance(batch: Batch, mapping: Mapping, balance: Balance) -> None:
    """Raise RowBalanceError if rows of a source table went nowhere, or came from nowhere."""
    if balance.taken + balance.released != balance.out + balance.quarantined:
        raise RowBalanceError(
            f"batch {batch.number}: of {balance.taken} rows of {mapping.main.name} and "
            f"{balance.released} released ones, {balance.out} went to {mapping.target.name} and "
            f"{balance.quarantined} to quarantine: this is a defect of transform, report it"
        )
