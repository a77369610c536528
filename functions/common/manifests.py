"""The documents of the batch log, as they are in S3: JSON on the outside, checked types inside.

A manifest is written last, after everything it names, and never changed. What it does not name
does not exist, whatever else lies in the bucket.
"""

from datetime import datetime

from msgspec import Struct


class DataFile(Struct, frozen=True):
    """A Parquet object and how many rows it holds."""

    key: str
    rows: int


class Source(Struct, frozen=True):
    """The database that a batch was read from, and the moment at which its rows were true."""

    system_identifier: str
    timeline: int
    database: str
    snapshot_at: datetime


class TableCapture(Struct, frozen=True):
    """What a batch holds of one source table, and where its change capture stands after it.

    `horizon` is a 64-bit transaction id: every transaction below it had ended in the snapshot, so
    the next batch reads the rows from `horizon` on, without the transactions in `seen` (inclusive
    ranges), whose rows this or an earlier batch holds. `horizon` is None until the table has been
    read once. `columns` are (name, SQL type) in the table's order; they, `fingerprint` and
    `incarnation` (which changes when the table is made again) are those of the last read. `error`
    says why a table that the star cannot use was left out; its horizon then stays where it was.
    """

    key: str
    columns: list[tuple[str, str]]
    fingerprint: str
    horizon: int | None
    seen: list[tuple[int, int]]
    changed: int = 0
    companions: int = 0
    files: list[DataFile] = []
    deleted: int = 0
    tombstones: list[DataFile] = []
    error: str | None = None
    incarnation: str = ""


class TableSchema(Struct, frozen=True):
    """What the registry says of a table of the source: its columns, and since when it is so.

    `columns` are (name, SQL type) in the table's order, the last known ones of a table that is not
    there. `since` is the moment of the first snapshot that showed it like this. A table that is not
    `carried` is none of those that the star is made from. `error` says why no row of it is read.
    """

    columns: list[tuple[str, str]]
    fingerprint: str
    since: datetime
    carried: bool
    error: str | None = None


class IngestionManifest(Struct, frozen=True):
    """A batch in the ingestion bucket: rows of all tables that were true together.

    `missing` are parents, by table, that rows of this batch name and the source does not have.
    `keys` is the object with the keys that each table had. `replay_of` is the batch whose rows come
    again in this one. `schemas` is the registry of the source's tables as this batch's snapshot
    shows them, `drift` says in words how they have changed since the last batch's.
    """

    batch: int
    written_at: datetime
    run: str
    source: Source
    tables: dict[str, TableCapture]
    missing: dict[str, list[int]]
    keys: str
    replay_of: int | None = None
    schemas: dict[str, TableSchema] = {}
    drift: list[str] = []


class StarTable(Struct, frozen=True):
    """What a batch holds of one star table."""

    rows: int
    files: list[DataFile]
    deleted: int = 0
    tombstones: list[DataFile] = []


class Balance(Struct, frozen=True):
    """Account for the rows of one source table: taken in and released = out + quarantined.

    `taken` came with the batch, `released` had waited in quarantine for a parent that has come.
    """

    taken: int
    released: int
    out: int
    quarantined: int


class Quarantine(Struct, frozen=True):
    """The rows of one source table that are in quarantine after a batch, all in one object."""

    file: str
    rows: int


class ProcessedManifest(Struct, frozen=True):
    """A batch in the processed bucket, remodelled into star tables.

    `quarantine` is what is open after this batch, by source table; `absent` are the parents, by
    source table, that cannot be in the warehouse yet, so that facts which name them must wait.
    """

    batch: int
    written_at: datetime
    run: str
    source: Source
    tables: dict[str, StarTable]
    balance: dict[str, Balance]
    quarantine: dict[str, Quarantine]
    absent: dict[str, list[int]]


class Warehouse(Struct, frozen=True):
    """The warehouse that a batch was loaded into; another one has not seen the batch.

    `tables` is a digest of the star tables' object ids: tables that were dropped and made again
    are empty, whatever their names.
    """

    system_identifier: str
    database: str
    schema: str
    tables: str


class Loaded(Struct, frozen=True):
    """How a batch changed one star table."""

    staged: int
    inserted: int
    updated: int


class LoadedMarker(Struct, frozen=True):
    """Proof that a batch is in the warehouse. `age_seconds` is from source snapshot to commit."""

    batch: int
    written_at: datetime
    run: str
    source: Source
    warehouse: Warehouse
    rows: dict[str, Loaded]
    age_seconds: float
