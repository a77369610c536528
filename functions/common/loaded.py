"""The marker of a loaded batch in S3: what a warehouse has, and how that is recognised.

Markers are validated when they are read, like manifests.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from functions.common.longlists import ListFile
from functions.common.manifests import Entry, Form, Source
from functions.common.objects import BatchNumber, Count, DataFile, Moment, Sha256


class TableFile(Struct, frozen=True):
    """A table's identity on the server: `oid` changes when it is dropped and created again.

    `file` changes when the table is truncated or rewritten; None for a partitioned table.
    """

    oid: int
    file: int | None


class Warehouse(Struct, frozen=True):
    """The warehouse that a batch was loaded into, and the run of its server.

    While none of it changes, the warehouse keeps what was committed.
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
    """How a batch changed one table; `refused` counts rows that the warehouse rejected."""

    staged: Count
    inserted: Count
    updated: Count
    refused: Count = 0
    deleted: Count = 0


class RefusedRows(Struct, frozen=True):
    """Refused rows of one table, in one object, counted by reason."""

    file: DataFile
    reasons: dict[str, Count]


class LoadEntry(Struct, frozen=True, array_like=True):
    """A marker in the index: its batch, when it was written, and tables with other refused rows."""

    batch: BatchNumber
    written_at: Moment
    refused: list[str] = []


class LoadedMarker(Entry, frozen=True):
    """Proof that a batch is in a warehouse, and the state of the warehouse after it.

    `number` is the marker's own: a batch that is applied again, to a restored or another warehouse,
    gets another marker. `has` is, by table, the batch up to which the table is complete, and by
    model the batch of its last run. `reached` is the newest batch that any warehouse got so far, 0
    in markers of earlier versions. Before the batch `settled` no model is run, because tables may
    show later rows. `evidence` identifies the states of histories; no history has lost a record
    since the marker `since`. `refused` are, by table, all rows that the warehouse rejects at
    present, last tried at `tried_at` against table definitions with the digest `definitions`.
    `age_seconds` is the time from source snapshot to commit. `processed_sha256` is the digest of
    the batch's manifest, None in markers of earlier versions. Each thousandth has the `index` of
    the thousand markers up to it, in order.
    """

    number: BatchNumber
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
    reached: Count = 0
    processed_sha256: Sha256 | None = None
    index: list[LoadEntry] | UnsetType = UNSET
    previous_sha256: Sha256 | None = None
    elsewhere: dict[str, ListFile] | UnsetType = UNSET
    form: Form | UnsetType = UNSET
