"""The marker of a loaded batch, as it is in S3: which warehouse has what, and how that is known.

Checked as it is read, like the manifests.
"""

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
    """The newest record of a history: a table that has it has everything up to it.

    `columns` are those that the digest covers, by their declared names.
    """

    record: int
    columns: list[str]
    sha256: Sha256


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
