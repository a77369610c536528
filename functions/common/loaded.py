"""The marker of a loaded batch, as it is in S3: which warehouse has what, and how that is known.

Checked as it is read, like the manifests.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

from functions.common.manifests import Source
from functions.common.objects import BatchNumber, Count, DataFile, Moment, Sha256


class TableFile(Struct, frozen=True):
    """A table as the server knows it: one that was dropped and created again has another `oid`.

    `file` changes when the table is truncated or rewritten; None for a partitioned table.
    """

    oid: int
    file: int | None


class Warehouse(Struct, frozen=True):
    """The warehouse that a batch was loaded into, and the instance of the server that ran it.

    While all of it stays the same, the warehouse keeps what was committed.
    """

    system_identifier: str
    database: str
    database_oid: int
    schema: str
    started_at: Moment
    tables: dict[str, TableFile]


class Evidence(Struct, frozen=True):
    """The newest record of a history, by which the state of the table is recognised.

    A history only grows and no batch changes a record, so a table that has the one that was the
    newest after a batch has all records of that batch and of those before it. `columns` are those
    that the digest covers, by their declared names.
    """

    record: int
    columns: list[str]
    sha256: Sha256

    @classmethod
    def of(cls, record: int, columns: Sequence[str], values: Iterable[Any]) -> "Evidence":
        """Return the evidence of a record; `values` are amounts as Decimal, all others as text."""
        return cls(record, list(columns), _digest(values))

    def is_of(self, values: Iterable[Any]) -> bool:
        """Return whether a record with these values is the one."""
        return _digest(values) == self.sha256


def _digest(values: Iterable[Any]) -> str:
    """Return a digest of a record that stays the same when a column's type is widened."""
    return hashlib.sha256(json.dumps([_canonical(value) for value in values]).encode()).hexdigest()


def _canonical(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")  # 1.5 and 1.50 are one amount
    return None if value is None else str(value)


class Loaded(Struct, frozen=True):
    """How a batch changed one table; `refused` are rows that the warehouse did not accept."""

    staged: Count
    inserted: Count
    updated: Count
    refused: Count = 0
    deleted: Count = 0


class RefusedRows(Struct, frozen=True):
    """Rows of one table that the warehouse refused, in one object, counted by reason."""

    file: DataFile
    reasons: dict[str, Count]


class LoadedMarker(Struct, frozen=True):
    """Proof that a batch is in a warehouse, and the state that the warehouse was left in.

    `number` is the marker's own in the log of markers: a batch that is applied again, to a restored
    or another warehouse, has another marker. `has` says by table up to which batch it holds
    everything, and by model the batch with which it was last run; before the batch `settled` none
    is run, because tables may show later rows. `evidence` identifies the state of a history.
    Since the marker `since` no history has lost a record. `refused` are all rows, by table, that
    the warehouse does not accept at present; they were tried at `tried_at`, against the definitions
    of tables that have the digest
    `definitions`. `age_seconds` is from source snapshot to commit.
    """

    number: BatchNumber
    batch: BatchNumber
    written_at: Moment
    run: str
    source: Source
    warehouse: Warehouse
    since: BatchNumber
    has: dict[str, Count]
    evidence: dict[str, Evidence]
    rows: dict[str, Loaded]
    age_seconds: float
    refused: dict[str, list[RefusedRows]]
    tried_at: Moment | None
    definitions: str
    settled: Count = 0
