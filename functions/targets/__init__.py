"""The kinds of targets: a package for each, behind the interfaces here.

A package's module `loader` implements `Kind`, its module `comparer` implements `Comparing`, and its
module `reader`, if there is one, `reading.Reading`. What the kinds share:

    session      the interface of a kind's SQL: Tables, Session, Transaction
    batch        applies a batch by it; refused, states, calendar, derived (models), deletions
    standing     decides which batches a warehouse has
    layout       the tables as this installation names them; own_tables
    loading      the loader of a warehouse
    comparing    what reconcile compares
    numbered     keys that are certain to be new
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from etl.mapping import Mapping as TableMapping
from etl.targets import Target
from functions.common.batchlog import BatchLog
from functions.common.loaded import Evidence, Loaded, LoadedMarker, RefusedRows, Warehouse
from functions.common.manifests import ProcessedManifest
from functions.common.objects import Key
from functions.common.selfcheck import Need

if TYPE_CHECKING:
    import pyarrow as pa
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True)
class Moment:
    """The batch that models are run for: its number, and the day (UTC) of its snapshot."""

    batch: int
    day: date

    @classmethod
    def of(cls, manifest: ProcessedManifest) -> "Moment":
        """Return the moment of a batch."""
        return cls(manifest.batch, manifest.source.snapshot_at.astimezone(UTC).date())


@dataclass(frozen=True)
class Made:
    """The number of a model's rows, and the rows if they are wanted and few."""

    rows: int
    shown: Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True)
class Applied:
    """The state after a batch: rows by table, evidence of histories, and refused rows.

    `made` has the results of the models that were run, `failed` why others failed; `exports` are
    the keys of the objects written.
    """

    rows: dict[str, Loaded]
    evidence: dict[str, Evidence]
    refused: dict[str, list[RefusedRows]]
    made: dict[str, Made] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    exports: list[str] = field(default_factory=list)

    def unchanged(self) -> "Applied":
        """Return the same state, after a batch that does not change it."""
        return Applied({}, self.evidence, self.refused)


@dataclass(frozen=True)
class Standing:
    """What a target has of a source's batches; most fields are those of LoadedMarker.

    `models` is to models what `has` is to tables. `is_recorded` says that the newest marker
    describes the target as it is. Deleted rows are recorded up to the batch `deletions`. Before the
    batch `settled` no model is run, because tables may show rows of later batches than they are
    known to have; if it `is_ahead`, that applies to all batches up to the newest.
    """

    has: dict[str, int]
    evidence: dict[str, Evidence]
    since: int
    is_recorded: bool
    refused: dict[str, list[RefusedRows]] = field(default_factory=dict)
    tried_at: datetime | None = None
    definitions: str = ""
    deletions: int = 0
    models: dict[str, int] = field(default_factory=dict)
    settled: int = 0
    is_ahead: bool = False

    @property
    def loaded(self) -> int:
        """The newest batch that all tables have."""
        return min(self.has.values(), default=0)


class Loader(Protocol):
    """The tables that one source feeds, in a target that is locked for this loader."""

    @property
    def identity(self) -> Warehouse:
        """Which target it is, with its tables."""

    @property
    def standing(self) -> Standing:
        """What the target had when this loader was opened."""

    @property
    def models(self) -> Mapping[str, frozenset[str]]:
        """The models that may change with the source's tables, each with those it is made of.

        A model follows those that it is made of.
        """

    def concerns(self, manifest: ProcessedManifest, lacking: Collection[str]) -> bool:
        """Return whether a batch changes anything in tables that lack it."""

    def apply(
        self,
        manifest: ProcessedManifest,
        lacking: Collection[str],
        models: Collection[str],
        before: Applied,
    ) -> Applied:
        """Apply a batch to the tables `lacking` it in one transaction, then run `models`.

        Applying it again changes nothing. A row that the target refuses is stored as refused, and a
        model that fails leaves its table unchanged.
        """

    def retry(self, manifest: ProcessedManifest, before: Applied) -> Applied:
        """Retry the refused rows; the batch is the newest, which all tables have."""

    def may_accept(self, applied: Applied) -> bool:
        """Return whether what was applied may let refused rows be accepted."""

    def definitions(self) -> str:
        """Return a digest of what decides which rows the tables accept."""

    def require_lock(self) -> None:
        """Raise WarehouseSetupError if another loader may be at work."""


@dataclass(frozen=True)
class Place:
    """A target's declaration, the pipeline's folder, and the function's settings.

    `options` are the values of the settings that the pipeline declares, by name.
    """

    target: Target
    folder: Path
    settings: Mapping[str, str]
    secrets: "SecretsManagerClient"
    options: Mapping[str, str] = field(default_factory=dict)

    def setting(self, name: str) -> str:
        """Return the name of a setting of this target, such as WAREHOUSE_SCHEMA."""
        return f"{self.target.name.upper()}_{name}"


def needs_of(places: Iterable[Place]) -> Iterator[Need]:
    """Yield targets that are loaded, as needs of a function."""
    for place in places:
        look = partial(kind_of(place.target).look, place)
        yield Need(f"target {place.target.name}", look)


@dataclass(frozen=True)
class Feed:
    """What one source feeds into a target: its tables, parents first, its batches and markers."""

    mappings: tuple[TableMapping, ...]
    log: BatchLog[ProcessedManifest]
    markers: BatchLog[LoadedMarker]


class Kind(Protocol):
    """The interface of the module `loader` of a kind."""

    def look(self, place: Place) -> str:
        """Connect to a target, change nothing, and return what can be loaded; raise if not all."""

    def loader(
        self, place: Place, feed: Feed, seconds: float
    ) -> AbstractContextManager[Loader | None]:
        """Hold the target's lock for at most `seconds`; yield None if another loader has it."""


def kind_of(target: Target) -> Kind:
    """Return the loader of a target's kind; no other kind is imported."""
    return cast("Kind", import_module(f"functions.targets.{target.kind}.loader"))


@dataclass(frozen=True)
class Counted:
    """How a table agrees with the rows that it should have, in rows.

    `missing` rows are in the source only, `different` ones in both, `extra` ones in the target only
    without a known deletion, `deleted` ones in the target only because the source deleted them.
    `pending` rows disagree because the source changed after the target's newest batch, and count as
    nothing else. `quarantined` are those of the missing and different rows that are in quarantine
    or refused. `examples` has keys of each kind. The digests are of the rows that were compared,
    whatever their order: equal if all agree; None where nothing was compared.
    """

    source: int = 0
    warehouse: int = 0
    missing: int = 0
    different: int = 0
    extra: int = 0
    pending: int = 0
    deleted: int = 0
    quarantined: int = 0
    examples: dict[str, list[Key]] = field(default_factory=dict)
    source_digest: str | None = field(default=None, compare=False)
    warehouse_digest: str | None = field(default=None, compare=False)


class Disagreements(Protocol):
    """The keys on which a table and the rows that it should have disagree."""

    def in_target_only(self) -> Iterator["pa.Array"]:
        """Yield the keys that only the target has; no other method may be called meanwhile."""

    def explain(
        self, pending: Iterable["pa.Array"], deleted: Iterable["pa.Array"], aside: "pa.Array"
    ) -> None:
        """Record which keys changed since the batch, were deleted before, or are in quarantine."""

    def counted(self) -> Counted:
        """Return the numbers of rows, in all and of each kind, with examples."""

    def unexplained(self, limit: int) -> list[Key]:
        """Return up to `limit` keys that are in the target only and unexplained."""


class Comparer(Protocol):
    """A snapshot of a target, to be compared with its sources.

    `batch` is the newest batch that all tables have, 0 for none; the snapshot has nothing later
    than the batch after `latest`.
    """

    batch: int
    latest: int

    def has(self, mapping: TableMapping) -> bool:
        """Return whether the target has a table, which may be optional."""

    def disagreements(
        self,
        mapping: TableMapping,
        rows: Iterable["pa.Table"],
        unfit: Sequence[Key],
        *,
        last_of_key: bool = False,
    ) -> AbstractContextManager[Disagreements]:
        """Compare a table with the rows that it should have; the first slice shows the columns.

        `unfit` are keys of source rows that cannot be in the target, complete after the last row.
        With `last_of_key` a key may occur more than once, and its last row counts, or its first in
        a table declared as `once`.
        """

    def lines(self, mapping: TableMapping, rows: Iterable["pa.Table"]) -> Counted:
        """Compare a table without a key with the rows that it should have; duplicates count."""


class Comparing(Protocol):
    """The interface of the module `comparer` of a kind."""

    def comparer(
        self, place: Place, feed: Feed, seconds: float
    ) -> AbstractContextManager[Comparer]:
        """Connect to a target for at most `seconds`, and hold a snapshot of it."""


def comparing(target: Target) -> Comparing:
    """Return the comparer of a target's kind."""
    return cast("Comparing", import_module(f"functions.targets.{target.kind}.comparer"))
