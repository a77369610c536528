"""The kinds of targets: one package each, with what only that kind needs.

The module `loader` of a package offers what `Kind` says, and load knows no more of it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from etl.mapping import Mapping as TableMapping
from etl.targets import Target
from functions.common.batchlog import BatchLog
from functions.common.loaded import Evidence, Loaded, LoadedMarker, RefusedRows, Warehouse
from functions.common.manifests import ProcessedManifest
from functions.common.objects import Key

if TYPE_CHECKING:
    import pyarrow as pa
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True)
class Moment:
    """The batch that models are run for: its number, and the day (UTC) that it shows."""

    batch: int
    day: date

    @classmethod
    def of(cls, manifest: ProcessedManifest) -> "Moment":
        """Return that of a batch."""
        return cls(manifest.batch, manifest.source.snapshot_at.astimezone(UTC).date())


@dataclass(frozen=True)
class Made:
    """How many rows came of a model, and the rows if there is a use for them and they are few."""

    rows: int
    shown: Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True)
class Applied:
    """The state after a batch: rows by table, evidence of histories, and what is refused.

    What came of each model that was run is in `made`, or why nothing did in `failed`; `exports` are
    the keys of the objects that were written.
    """

    rows: dict[str, Loaded]
    evidence: dict[str, Evidence]
    refused: dict[str, list[RefusedRows]]
    made: dict[str, Made] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    exports: list[str] = field(default_factory=list)

    def unchanged(self) -> "Applied":
        """Return the same state, after a batch that has nothing for it."""
        return Applied({}, self.evidence, self.refused)


@dataclass(frozen=True)
class Standing:
    """What a target has of a source's batches: see LoadedMarker for most of it.

    `models` says of models what `has` says of tables. `is_recorded` says that the newest marker
    describes the target as it is. Up to the batch `deletions` the target has been informed of
    deleted rows. Before the batch `settled` no model is run, since tables may show rows of
    later batches than they are known to have; where it `is_ahead` that is so up to the newest.
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
    """The tables that one source feeds, in a target that nobody else loads into meanwhile."""

    @property
    def identity(self) -> Warehouse:
        """Which target it is, and which tables these are there."""

    @property
    def standing(self) -> Standing:
        """What the target had when this loader was opened."""

    @property
    def models(self) -> Mapping[str, frozenset[str]]:
        """The models that may change with the source's tables, and of which of them each is made.

        A model comes after those that it is made of.
        """

    def concerns(self, manifest: ProcessedManifest, lacking: Collection[str]) -> bool:
        """Return whether a batch has anything for tables that lack it."""

    def apply(
        self,
        manifest: ProcessedManifest,
        lacking: Collection[str],
        models: Collection[str],
        before: Applied,
    ) -> Applied:
        """Apply a batch to the tables that are `lacking` it, all or none, and then run `models`.

        Applying it again changes nothing. A row that the target refuses is put aside, and a model
        that fails leaves its table as it was.
        """

    def retry(self, manifest: ProcessedManifest, before: Applied) -> Applied:
        """Try the refused rows again; the batch is the newest, which all tables have."""

    def may_accept(self, applied: Applied) -> bool:
        """Return whether refused rows may be accepted because of what was just applied."""

    def definitions(self) -> str:
        """Return a digest of all that decides which rows the tables accept."""

    def require_lock(self) -> None:
        """Raise WarehouseSetupError if another loader may be at work."""


@dataclass(frozen=True)
class Place:
    """Where a target is: its declaration, the pipeline's folder, and the function's settings.

    `options` are the settings that the pipeline declares itself, by name.
    """

    target: Target
    folder: Path
    settings: Mapping[str, str]
    secrets: "SecretsManagerClient"
    options: Mapping[str, str] = field(default_factory=dict)

    def setting(self, name: str) -> str:
        """Return the name of a setting of this target, such as WAREHOUSE_SCHEMA."""
        return f"{self.target.name.upper()}_{name}"


@dataclass(frozen=True)
class Feed:
    """What one source feeds into a target: tables, parents first, its batches, and its markers."""

    mappings: tuple[TableMapping, ...]
    log: BatchLog[ProcessedManifest]
    markers: BatchLog[LoadedMarker]


class Kind(Protocol):
    """What the module `loader` of a kind offers."""

    def loader(
        self, place: Place, feed: Feed, seconds: float
    ) -> AbstractContextManager[Loader | None]:
        """Hold the target's lock, for so many seconds at most; None while another loader has it."""


def kind_of(target: Target) -> Kind:
    """Return what load needs of a target's kind; nothing of the other kinds is imported."""
    return cast("Kind", import_module(f"functions.targets.{target.kind}.loader"))


@dataclass(frozen=True)
class Counted:
    """How a table agrees with the rows that it should have; all numbers are rows.

    `missing` are in the source only, `different` in both, `extra` in the target only and not known
    to be deleted; `deleted` are in the target only because the source has deleted them. `pending`
    disagree because the source changed after the newest batch in the target, and are among none of
    the others. Of the missing and the different, `quarantined` are those that were put aside with a
    reason. `examples` has keys of each kind.
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


class Disagreements(Protocol):
    """The keys for which a table and the rows that it should have disagree."""

    def in_target_only(self) -> Iterator["pa.Array"]:
        """Yield the keys that the source does not have; nothing else may be asked meanwhile."""

    def explain(
        self, pending: Iterable["pa.Array"], deleted: Iterable["pa.Array"], aside: "pa.Array"
    ) -> None:
        """Say which keys changed since the batch, were deleted before, or were put aside."""

    def counted(self) -> Counted:
        """Count the disagreements of each kind, with examples; agreements count as well."""

    def unexplained(self, limit: int) -> list[Key]:
        """Return keys that are in the target only and that nothing explains, up to a limit."""


class Comparer(Protocol):
    """One moment of a target, to be compared with what its sources say.

    `batch` is the newest batch that all tables have, 0 for none; the target holds nothing later
    than the batch after `latest`.
    """

    batch: int
    latest: int

    def has(self, mapping: TableMapping) -> bool:
        """Return whether the target has a table; it may lack an optional one."""

    def disagreements(
        self,
        mapping: TableMapping,
        rows: Iterable["pa.Table"],
        unfit: Sequence[Key],
        *,
        last_of_key: bool = False,
    ) -> AbstractContextManager[Disagreements]:
        """Compare a table with the rows that it should have, the first of which have the columns.

        `unfit` are keys of the source that no row can be made of, known after the last row. With
        `last_of_key` a key may come more than once, and its last row counts; or the first, in a
        table of rows that come once.
        """

    def lines(self, mapping: TableMapping, rows: Iterable["pa.Table"]) -> Counted:
        """Compare a table without a key with the rows that it should have, equal ones included."""


class Comparing(Protocol):
    """What the module `comparer` of a kind offers to reconcile."""

    def comparer(
        self, place: Place, feed: Feed, seconds: float
    ) -> AbstractContextManager[Comparer]:
        """Connect to a target, for no longer than some seconds, and hold one moment of it."""


def comparing(target: Target) -> Comparing:
    """Return what reconcile needs of a target's kind."""
    return cast("Comparing", import_module(f"functions.targets.{target.kind}.comparer"))
