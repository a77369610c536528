"""The documents of the batch log: JSON in S3, validated types here.

A manifest is written last, after everything that it names, and never changed. Objects that no
manifest names do not count. A manifest is validated when it is read, so that one that was damaged
or edited is an error, and never a read outside its own prefix or a loss of rows.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from functions.common.accounts import FileAccount, FileRead, KnownFiles
from functions.common.batchkeys import KeyIndex, KeySet
from functions.common.filling import Filling
from functions.common.keyparts import KeyParts
from functions.common.logindex import LogIndex
from functions.common.longlists import ListFile
from functions.common.objects import (
    BatchNumber,
    Count,
    DataFile,
    Key,
    KeysKey,
    Moment,
    Position,
    Sha256,
    TransactionId,
)
from functions.common.quarantined import AbsentFile, Quarantine

Form = Annotated[int, Meta(ge=1)]


class Header(Struct, frozen=True):
    """What can be read of any manifest: the form that it was written in."""

    form: Form = 1


class Entry(Struct, frozen=True):
    """A document of a log: its batch, and when and by which run it was written.

    Those of a log also have `previous_sha256`, the digest of the object before it in the log: None
    for the first one, and where the code that wrote it did not link them yet; and `elsewhere`, the
    objects with its longest fields, of a long one.
    """

    batch: BatchNumber
    written_at: Moment
    run: str


class Instance(Struct, frozen=True):
    """A run of a server: while none of this changes, it keeps what was committed.

    `stats_reset` changes when a server recovers from a crash without a new start time.
    """

    started_at: Moment
    stats_reset: Moment | None
    in_recovery: bool


class Source(Struct, frozen=True):
    """The database that a batch was read from, and the moment at which its rows were current.

    `end` is the first transaction id after the snapshot, `position` the server's position in its
    write-ahead log in bytes, None if the server does not report it. `instances` are known to share
    one history; the last is the one that was read. Without any the history is unknown, and no later
    batch continues from it.
    """

    system_identifier: str
    timeline: int
    database: str
    snapshot_at: Moment
    database_oid: int = 0
    end: TransactionId = 0
    position: Position | None = None
    instances: list[Instance] = []


class TableCapture(Struct, frozen=True):
    """A batch's rows of one source table, and the position of its change capture after it.

    `key` are the columns that identify a row. `horizon` is a 64-bit transaction id: every
    transaction below it had ended in the snapshot, so the next batch reads the rows from `horizon`
    on, except those of the transactions in `seen` (inclusive ranges), which this or an earlier
    batch has. `horizon` is None until the table has been read once; `filling` is how far it has
    been read until then, None if it is read in one batch. `columns` are (name, SQL type) in the
    table's order; they, `fingerprint` and `incarnation` (which changes when the table is recreated)
    are those of the last read. `error` says why the table was left out; its horizon is then
    unchanged. `unreported`: keys are gone that later batches report, as they are many.

    Target rows are made of the rows in `files`: those that changed, and `companions`, unchanged
    rows that join with a changed one. The rows in `partners` are unchanged, in no other file of the
    batch, and only join with rows of `files`, of this table or another.
    """

    key: list[str]
    columns: list[tuple[str, str]]
    fingerprint: str
    horizon: TransactionId | None
    seen: list[tuple[TransactionId, TransactionId]]
    changed: Count = 0
    companions: Count = 0
    files: list[DataFile] = []
    deleted: Count = 0
    tombstones: list[DataFile] = []
    error: str | None = None
    incarnation: str = ""
    partners: list[DataFile] = []
    filling: Filling | None = None
    unreported: bool = False

    @property
    def joining(self) -> list[DataFile]:
        """All objects with rows that others may join."""
        return [*self.files, *self.partners]

    @property
    def objects(self) -> list[DataFile]:
        """All objects of the table in the batch."""
        return [*self.files, *self.partners, *self.tombstones]


NOT_DECLARED = TableCapture(key=[], columns=[], fingerprint="", horizon=None, seen=[])


class TableSchema(Struct, frozen=True):
    """The registry's entry of a source table: its columns, and since when it has had them.

    `columns` are (name, SQL type) in the table's order, the last known ones of a table that is
    gone. `since` is the time of the first snapshot with these columns. A table that is not declared
    is not `carried`. `error` says why its rows are not read.
    """

    columns: list[tuple[str, str]]
    fingerprint: str
    since: Moment
    carried: bool
    error: str | None = None


class IngestionManifest(Entry, frozen=True):
    """A batch in the ingestion bucket: consistent rows of all tables of a source.

    `targets` are the target tables that the source fed when the batch was written. `missing` are,
    by table, parents that rows of this batch refer to and the source does not have. `keys` is the
    object with the keys of all tables with integer keys, `keys_sha256` its digest; `key_parts` are
    the objects with the keys of the other tables. `replay_of` is the batch that this one repeats.
    `schemas` is the registry of the source's tables in this batch's snapshot, `drift` describes how
    they have changed since the last batch. A batch of files lists the files that it has read, in
    the order of their rows, and which are `known`; it has no keys. `index` is there where changes
    are looked up in the source's write-ahead log.
    """

    source: Source
    tables: dict[str, TableCapture]
    missing: dict[str, list[Key]]
    keys: KeysKey | None
    keys_sha256: Sha256 | None
    key_parts: dict[str, KeyParts]
    replay_of: BatchNumber | None = None
    schemas: dict[str, TableSchema] = {}
    drift: list[str] = []
    targets: list[str] = []
    files: list[FileRead] = []
    known: KnownFiles | None = None
    index: LogIndex | None = None
    previous_sha256: Sha256 | None = None
    elsewhere: dict[str, ListFile] | UnsetType = UNSET
    form: Form | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise ValueError if a table or a file names objects that are not its own."""
        if self.known is None and (self.keys is None or self.keys_sha256 is None):
            raise ValueError("it lacks one of `keys` and `keys_sha256`, and has no `known` files")
        named = [file.key for table in self.tables.values() for file in table.files]
        source = self.keys.split("/")[1] if self.keys else (named or ["/"])[0].split("/")[0]
        _require_own_files(self.tables, f"{source}/")
        for name, table in self.tables.items() if self.files else ():
            of_files = [key for each in self.files if each.table == name for key in each.objects]
            if of_files != [file.key for file in table.files]:
                raise ValueError(f"the objects of {name} are not those of its files")

    @property
    def key_objects(self) -> set[str]:
        """All objects with keys of tables or with known files."""
        known = self.known.file if self.known else None
        parts = [file for each in self.key_parts.values() for file in each.files]
        return {file.key for file in (*parts, *([known] if known else []))} | (
            {self.keys} if self.keys else set()
        )

    @property
    def objects(self) -> set[str]:
        """All objects with rows, the copies of files that they were read from, and long lists."""
        rows = {file.key for table in self.tables.values() for file in table.objects}
        copies = {file.copy for file in self.files if file.copy is not None}
        return rows | copies | _lists(self.elsewhere)

    def capture(self, table: str) -> TableCapture:
        """Return the batch's entry of a table, an empty one if it was not declared then."""
        return self.tables.get(table, NOT_DECLARED)


class StarTable(Struct, frozen=True):
    """A batch's rows of one target table.

    In a `filled` one the table may have had the rows before: the table is new in this batch, and
    the files have the rows of all batches so far, in order; or the batch is a replay. A `snapshot`
    replaces the whole table. In a `sequence` a key may occur more than once, and the rows are in
    chronological order.
    """

    rows: Count
    files: list[DataFile]
    deleted: Count = 0
    tombstones: list[DataFile] = []
    filled: bool = False
    snapshot: bool = False
    sequence: bool = False

    @property
    def objects(self) -> list[DataFile]:
        """All objects of the table in the batch."""
        return [*self.files, *self.tombstones]


class Balance(Struct, frozen=True):
    """The account of one source table's rows: taken + released = out + quarantined.

    `taken` rows are those of the batch, `released` ones had waited in quarantine for a parent that
    has arrived. A row counts once for each target table that is made of its table.
    """

    taken: Count
    released: Count
    out: Count
    quarantined: Count

    def __add__(self, other: "Balance") -> "Balance":
        """Return the sum of both accounts."""
        return Balance(
            self.taken + other.taken,
            self.released + other.released,
            self.out + other.out,
            self.quarantined + other.quarantined,
        )


class ProcessedManifest(Entry, frozen=True):
    """A batch in the processed bucket, remodelled into target tables.

    `quarantine` has the rows in quarantine after this batch, by source table; `absent` are the keys
    of parents, by source table, that are not in the target yet, so that rows that refer to them
    wait, `absent_files` the objects with many of them. `files` are the accounts of a batch of
    files, `refusals` those of files refused in whole or in part that no newer version has
    superseded, newest first. `ingested_sha256` is the digest of the manifest that it was made from,
    None in batches of earlier versions. `keys` are by source table, None in batches of earlier
    versions; each thousandth batch has the `index` of the thousand up to it. `reasons` are, by
    target table, the objects with why rows are in quarantine, as [key, reason].
    """

    source: Source
    tables: dict[str, StarTable]
    balance: dict[str, Balance]
    quarantine: dict[str, Quarantine]
    absent: dict[str, list[Key]]
    files: list[FileAccount] = []
    refusals: list[FileAccount] = []
    ingested_sha256: Sha256 | None = None
    absent_files: dict[str, AbsentFile] = {}
    keys: dict[str, KeySet] | None = None
    index: KeyIndex | UnsetType = UNSET
    reasons: dict[str, ListFile] = {}
    previous_sha256: Sha256 | None = None
    elsewhere: dict[str, ListFile] | UnsetType = UNSET
    form: Form | UnsetType = UNSET

    def brings(self, table: str) -> bool:
        """Return whether the batch changes a target table."""
        entry = self.tables.get(table)
        return entry is not None and bool(entry.files or entry.snapshot or entry.tombstones)

    def __post_init__(self) -> None:
        """Raise ValueError if a table names files that are not its own."""
        _require_own_files(self.tables)
        for name, entry in self.quarantine.items():
            [_, source, *_] = entry.objects[0].split("/")
            _require_under(f"quarantine/{source}/{name}/", entry.objects)
        for name, file in self.absent_files.items():
            [_, source, *_] = file.file.split("/")
            _require_under(f"quarantine/{source}/{name}/", [file.file])

    @property
    def held_objects(self) -> set[str]:
        """All objects with rows in quarantine, their marks, and keys of absent parents."""
        held = {key for entry in self.quarantine.values() for key in entry.objects}
        return held | {file.file for file in self.absent_files.values()}

    @property
    def objects(self) -> set[str]:
        """All objects with rows of target tables, and long lists."""
        rows = {file.key for table in self.tables.values() for file in table.objects}
        reasons = (*self.reasons.values(), *(each.reasons for each in self.files))
        return rows | {each.key for each in reasons if each} | _lists(self.elsewhere)


def _lists(elsewhere: Mapping[str, ListFile] | UnsetType) -> set[str]:
    return set() if elsewhere is UNSET else {file.key for file in elsewhere.values()}


def _require_own_files(
    tables: Mapping[str, TableCapture] | Mapping[str, StarTable], under: str = ""
) -> None:
    for name, table in tables.items():
        partners = table.partners if isinstance(table, TableCapture) else []
        _require_under(f"{under}{name}/", [file.key for file in (*table.files, *partners)])
        _require_under(f"tombstones/{under}{name}/", [file.key for file in table.tombstones])


def _require_under(prefix: str, keys: Iterable[str]) -> None:
    """Raise ValueError for a key outside a prefix, and for one that is named twice."""
    named = set()
    for key in keys:
        if not key.startswith(prefix):
            raise ValueError(f"{key} is not under {prefix}")
        if key in named:
            raise ValueError(f"{key} is named twice")
        named.add(key)
