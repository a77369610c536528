"""A source and a target in memory, for reconcile: it compares them by what their logs say."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from etl import Pipeline, Table, TargetTable
from etl.mapping import Mapping as TableMapping
from functions.common.keys import Key, as_type, is_among, keys_of
from functions.common.logs import Logs
from functions.reconcile.as_of import AsOf
from functions.reconcile.comparison import Comparison
from functions.reconcile.table import Run, compare_table
from functions.targets import Counted
from functions.targets.comparing import EXAMPLES, Tally
from functions.transform.trial import carried
from tests.aws.declared_lake import Lake
from tests.unit.fake_bucket import FakeBucket

Rows = Sequence[Mapping[str, Any]]


class FakeSource:
    """The rows of tables at one moment; `changed` are the keys of those that changed since."""

    def __init__(self) -> None:
        self.tables: dict[str, Rows] = {}
        self.changed: dict[str, Collection[Key]] = {}
        self.errors: dict[str, str] = {}
        self.unknown: set[str] = set()

    def error(self, table: Table) -> str | None:
        return self.errors.get(table.id)

    def is_known(self, table: Table) -> bool:
        return table.id not in self.unknown

    def rows(self, table: Table) -> Iterator[tuple[pa.Table, pa.Array]]:
        for some in ((), self.tables.get(table.id, ())):
            rows = carried(table, some)
            yield rows, is_among(keys_of(rows, table.keys), self.changed.get(table.id, ()))


class FakeDisagreements:
    """What a warehouse says in SQL, of rows that are held here."""

    def __init__(self, key: Sequence[str], expected: pa.Table, unfit: Sequence[Key], there: Rows):
        here = dict(zip(keys_of(expected, key).to_pylist(), expected.to_pylist(), strict=True))
        columns = {name: [row.get(name) for row in there] for name in expected.column_names}
        actual = pa.table(columns, schema=expected.schema)
        self._there = dict(zip(keys_of(actual, key).to_pylist(), actual.to_pylist(), strict=True))
        self._kind = keys_of(expected, key).type
        self._columns = len(key)
        self._fit = dict.fromkeys(here, True) | dict.fromkeys(unfit, False)
        self._apart = sorted(
            each
            for each in self._fit.keys() | self._there.keys()
            if not self._fit.get(each) or here[each] != self._there.get(each)
        )
        self._explained: list[set[Key]] = [set(), set(), set()]

    def in_target_only(self) -> Iterator[pa.Array]:
        yield pa.array([key for key in self._apart if key not in self._fit], self._kind)

    def explain(
        self, pending: Iterable[pa.Array], deleted: Iterable[pa.Array], aside: pa.Array
    ) -> None:
        self._explained = [
            {key for keys in each for key in as_type(keys, self._kind).to_pylist()}
            for each in (pending, deleted, [aside])
        ]

    def _kind_of(self, key: Key) -> str:
        pending, deleted, _ = self._explained
        if key in pending:
            return "pending"
        if key in self._fit:
            return "different" if key in self._there else "missing"
        return "deleted" if key in deleted else "extra"

    def counted(self) -> Counted:
        tally = Tally(len(self._fit), self._columns)
        kinds = {key: self._kind_of(key) for key in self._apart}
        aside = {key for key in self._apart if self._fit.get(key) is False} | self._explained[2]
        for kind in sorted(set(kinds.values())):
            keys = [key for key in self._apart if kinds[key] == kind]
            tally.add(kind, len(keys), len(aside.intersection(keys)), keys[:EXAMPLES])
        return tally.counted(
            len([key for key in self._apart if key not in self._there]),
            len([key for key in self._apart if key not in self._fit]),
        )

    def unexplained(self, limit: int) -> list[Key]:
        return [key for key in self._apart if self._kind_of(key) == "extra"][:limit]


@dataclass
class FakeTarget:
    """The rows of tables at one moment, and which batches they are of."""

    batch: int = 0
    latest: int = 0
    tables: dict[str, Rows] = field(default_factory=dict)

    def has(self, mapping: TableMapping) -> bool:
        return True

    @contextmanager
    def disagreements(
        self, mapping: TableMapping, rows: Iterable[pa.Table], unfit: Sequence[Key]
    ) -> Iterator[FakeDisagreements]:
        expected = pa.concat_tables(list(rows), promote_options="permissive")
        target = mapping.target
        yield FakeDisagreements(target.key, expected, unfit, self.tables.get(target.id, ()))


class Scene:
    """The source, the lake and the target of a pipeline, as far as tests say."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.logs = Logs.of(FakeBucket(), FakeBucket(), "shop")
        self.lake = Lake(self.logs, pipeline)
        self.source = FakeSource()
        self.target = FakeTarget()
        self.had: dict[int, dict[str, Collection[Key]]] = {}
        self.run: Run | None = None

    def keys_after(self, _: object, manifest: Any) -> Any:
        had = self.had.get(manifest.batch, {})
        return SimpleNamespace(had=lambda table, keys: is_among(keys, had.get(table.id, ())))

    def compared(self, *targets: TargetTable) -> Comparison:
        """Compare some tables in their order; return the result of the last."""
        kind: Any = self
        current: Any = self.source
        comparer: Any = self.target
        as_of = AsOf(self.logs, self.target.batch, self.target.latest, kind)
        self.run = Run(self.pipeline, current, comparer, self.logs, as_of)
        mappings = {each.target.id: each for each in self.pipeline.mappings("shop")}
        found = [compare_table(self.run, mappings[each.id]) for each in targets]
        return found[-1]

    @property
    def extra(self) -> dict[str, list[Key]]:
        """What the last comparison would have a repair look for."""
        assert self.run is not None
        return self.run.extra
