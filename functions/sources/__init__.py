"""The kinds of sources: a package for each, which implements `Reader` for extract.

For reconcile it implements `Comparable`, if the source can be queried for its current rows, or
`Listable`: files, events, and the answers of an API. Events are pushed and have no `Reader`.

Nothing here depends on a kind, and a kind is imported only where a source needs it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Protocol, cast

from msgspec import Meta, Struct

from etl import Delivered, Events, Pipeline, Table
from etl.sources import Postgres, Source
from functions.common.accounts import FileVersion
from functions.common.batchlog import BatchLog
from functions.common.manifests import IngestionManifest
from functions.common.selfcheck import Need
from functions.common.storage import Bucket

if TYPE_CHECKING:
    import pyarrow as pa

_Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Keys = Annotated[list[_Integer | str], Meta(max_length=100_000)]


class Repair(Struct, frozen=True):
    """The tables to `read` whole, and keys, by table, that may be `absent` from the source."""

    read: list[str] = []
    absent: Mapping[str, Keys] = {}

    @property
    def tables(self) -> set[str]:
        """The tables to read whole, which include those with `absent` keys."""
        return {*self.read, *self.absent}


NO_REPAIR = Repair()


@dataclass(frozen=True)
class Captured:
    """The result of a run: a new batch's manifest, or None if nothing had changed.

    `stopped` says, by table, why tables could not be read; `postponed` why the source was not read
    at all, so that the next run has to; `waiting` what is available but not due yet. There may be
    `more` than fits into a batch. `retained` are the bytes of its log that the source keeps for us,
    None if it keeps none.
    """

    manifest: IngestionManifest | None
    stopped: Mapping[str, str]
    postponed: str | None = None
    waiting: str | None = None
    more: bool = False
    retained: int | None = None

    @property
    def drift(self) -> list[str]:
        """How the source's tables have changed, reported once, with the batch that records it."""
        return self.manifest.drift if self.manifest else []


Read = Callable[[str, Repair], Captured]
"""Write what is new, and what a repair asks for, as the next batch, under the id of a run.

Raises BatchConflictError when another run has claimed the batch's number in the meantime.
"""


class Reader(Protocol):
    """Interface of the module `reader` of each kind."""

    def is_configured(self, source: Source) -> bool:
        """Return whether this function has the settings of a source."""

    def look(self, source: Source) -> str:
        """Connect to a source, read nothing, and return what can be read; raise if not all can."""

    def opened(
        self,
        source: Source,
        pipeline: Pipeline,
        log: BatchLog[IngestionManifest],
        seconds: float,
        *,
        now: bool,
        scheduled: bool,
    ) -> AbstractContextManager[Read]:
        """Connect to a source for at most `seconds`; `now` reads it even if it is not due yet.

        A `scheduled` run may leave what seems to be as the last one left it, for some minutes.
        """


def reader_of(source: Source) -> Reader:
    """Return the reader of a source's kind."""
    return cast("Reader", import_module(f"{__name__}.{source.kind}.reader"))


def needs_of(sources: Iterable[Source]) -> Iterator[Need]:
    """Yield the sources that are read, as needs of a function."""
    for source in sources:
        if isinstance(source, Events):
            continue  # they are pushed
        reader = reader_of(source)
        if not source.optional or reader.is_configured(source):
            yield Need(f"source {source.name}", partial(reader.look, source))


class Releasing(Protocol):
    """Interface of the module `reader` of a kind whose sources keep something for a deployment."""

    def release(self, source: Source, bucket: str) -> bool:
        """Drop what a source keeps for the deployment that writes into a bucket.

        Returns whether there was anything; raises PipelineError if it cannot be dropped.
        """


def releasing(source: Postgres) -> Releasing:
    """Return the interface of a source's kind for the end of a deployment."""
    return cast("Releasing", import_module(f"{__name__}.{source.kind}.reader"))


class Current(Protocol):
    """A snapshot of a source's rows, and which of them have changed since a batch."""

    def error(self, table: Table) -> str | None:
        """Return why a table cannot be read; None when it can."""

    def is_known(self, table: Table) -> bool:
        """Return whether changed rows can be distinguished from unchanged ones."""

    def rows(self, table: Table) -> Iterator[tuple["pa.Table", "pa.Array"]]:
        """Yield the rows of a table as extract writes them, and which of them have changed.

        The first slice is empty, so that there is always one with the columns.
        """


class KeysThen(Protocol):
    """The keys that the tables of a source had after a batch."""

    def had(self, table: Table, keys: "pa.Array") -> "pa.Array":
        """Return which keys, in the form of `functions.common.keys`, a table had."""


class Comparable(Protocol):
    """Interface of the module `current` of a kind."""

    def current(
        self,
        source: Source,
        pipeline: Pipeline,
        since: IngestionManifest | None,
        seconds: float,
    ) -> AbstractContextManager[Current]:
        """Connect to a source for at most `seconds`, and hold a snapshot of it."""

    def keys_after(self, bucket: Bucket, manifest: IngestionManifest) -> KeysThen:
        """Return the keys that a batch has recorded."""


def comparable(source: Source) -> Comparable:
    """Return the interface of a source's kind for reconcile."""
    return cast("Comparable", import_module(f"{__name__}.{source.kind}.current"))


class FilesNow(Protocol):
    """The files of a source that are in its bucket now.

    The events of a table in one batch count as a file, and so does a page of an API's answer.
    `unusable` says why a file could not be read completely.
    """

    unusable: Mapping[FileVersion, str]

    def newer(self, table: Table) -> Sequence[FileVersion]:
        """Return the files of a table that are to be read after the batch, in order."""

    def has(self, file: FileVersion) -> bool:
        """Return whether a version of a file still exists."""

    def rows(self, table: Table, file: FileVersion, *, was_accepted: bool) -> Iterator["pa.Table"]:
        """Yield the readable rows of a file as extract writes them.

        A file that `was_accepted` may lack columns that were declared since.
        """


class Listable(Protocol):
    """Interface of the module `current` of the kinds `files`, `events` and `rest`."""

    def current(
        self,
        source: Delivered,
        pipeline: Pipeline,
        log: BatchLog[IngestionManifest],
        since: IngestionManifest | None,
    ) -> FilesNow:
        """List the files of a source, and which are to be read after the batch `since`."""


def listable(source: Delivered) -> Listable:
    """Return the interface of files, events or an API for reconcile."""
    return cast("Listable", import_module(f"{__name__}.{source.kind}.current"))
