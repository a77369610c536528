"""A warehouse in memory, in whose transactions rows are all applied or none."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from functions.common.errors import RefusedRowsError
from functions.common.keys import keys_of
from functions.common.loaded import Evidence, Loaded, TableFile, Warehouse
from functions.targets import Made, Moment
from functions.targets.calendar import Days
from functions.targets.layout import Layout, WarehouseTable
from functions.targets.own_tables import DELETIONS, LEDGER
from functions.targets.session import ModelRun, Outcome, Select

NOW = datetime(2024, 11, 16, tzinfo=UTC)
Row = dict[str, Any]


def table(name: str, way: Any, key: tuple[str, ...] = ("id",)) -> WarehouseTable:
    record = "record_id" if way == "history" else None
    return WarehouseTable(name, "public", name, {}, record, key, way)


@dataclass
class State:
    """What is in the tables: rows in the order in which they came, and what is beside them."""

    rows: dict[str, list[Row]]
    days: set[date] = field(default_factory=set)
    ledger: list[tuple[str, int]] = field(default_factory=list)
    deleted: list[tuple[str, str, int | None]] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)


class FakeWarehouse:
    """A session, and each of its transactions; `refuses` says of a row why it is not accepted."""

    start_precision = timedelta(0)

    def __init__(
        self, ways: Mapping[str, Any], *, calendar: bool = True, ledger: bool = True
    ) -> None:
        self.tables = {name: table(name, way) for name, way in ways.items()}
        self.calendar = table("days", "latest") if calendar else None
        self.ledger = table(LEDGER, "history") if ledger else None
        self.models: dict[str, WarehouseTable] = {}
        self.state = State({name: [] for name in [*ways, "model"]})
        self.refused: dict[Any, str] = {}
        self.has_deletions = False
        self.careful = False
        self.attempts: list[bool] = []
        self.appended = ""

    @property
    def layout(self) -> Layout[WarehouseTable]:
        files = {DELETIONS: TableFile(9, 9)} if self.has_deletions else {}
        identity = Warehouse("1", "warehouse", 1, "public", NOW, files)
        return Layout(identity, self.tables, self.calendar, self.ledger, models=self.models)

    @contextmanager
    def transaction(self, *, careful: bool = False) -> Iterator["FakeWarehouse"]:
        before, self.careful = deepcopy(self.state), careful
        self.attempts.append(careful)
        try:
            yield self
        except Exception:
            self.state = before
            raise

    @property
    def deletions(self) -> "FakeWarehouse":
        return self

    def _record(self, name: str) -> int:
        return len(self.state.ledger if name == LEDGER else self.state.rows[name])

    def greatest_record(self, name: str) -> int | None:
        return self._record(name) or None

    def newest_record(self, name: str, columns: Sequence[str]) -> Evidence | None:
        record = self._record(name)
        return Evidence(record, list(columns), f"{record:064x}") if record else None

    def _check(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if why := self.refused.get(row["id"]):
                raise RefusedRowsError(why)

    def _put(self, name: str, row: Row) -> Loaded:
        """Let a row go in, in the way of its table."""
        self._check([row])
        rows, way = self.state.rows[name], self.tables[name].way
        same = [place for place, each in enumerate(rows) if each["id"] == row["id"]]
        if same and (way == "once" or rows[same[-1]] == row):
            return Loaded(1, 0, 0)
        if same and way != "history":
            rows[same[0]] = row
            return Loaded(1, 0, 1)
        rows.append(row)
        return Loaded(1, 1, 0)

    def _put_all(self, name: str, rows: Iterable[Row]) -> Loaded:
        done = [self._put(name, row) for row in rows]
        return Loaded(
            len(done), sum(each.inserted for each in done), sum(each.updated for each in done)
        )

    def upsert(self, name: str, parts: Iterable[pa.Table], *, in_sequence: bool) -> Loaded:
        assert not self.careful
        rows = [row for part in parts for row in part.to_pylist()]
        assert in_sequence or len({row["id"] for row in rows}) == len(rows)
        return self._put_all(name, {row["id"]: row for row in rows}.values())

    def insert_first(self, name: str, parts: Iterable[pa.Table]) -> Loaded:
        assert not self.careful
        return self._put_all(name, (row for part in parts for row in part.to_pylist()))

    def replace(self, name: str, parts: Iterable[pa.Table]) -> Loaded:
        assert not self.careful
        deleted = len(self.state.rows[name])
        self.state.rows[name] = []
        rows = [row for part in parts for row in part.to_pylist()]
        return Loaded(len(rows), self._put_all(name, rows).inserted, 0, deleted=deleted)

    def append(
        self, name: str, parts: Iterable[pa.Table], days: Days, *, in_sequence: bool
    ) -> Loaded:
        assert not self.careful
        self.appended = "states" if in_sequence else "rows"
        rows = []
        for part in parts:
            days.cover(part)
            rows += part.to_pylist()
        return self._put_all(name, rows)

    def append_newest(self, name: str, parts: Iterable[pa.Table], days: Days) -> Loaded:
        assert not self.careful
        self.appended = "newest"
        rows = {row["id"]: row for part in parts for row in part.to_pylist()}
        return self._put_all(name, rows.values())

    def delete(self, name: str, keys: Iterable[pa.Array] | None) -> int:
        gone = None if keys is None else {key for some in keys for key in some.to_pylist()}
        rows = self.state.rows[name]
        left = [row for row in rows if gone is not None and str(row["id"]) not in gone]
        self.state.rows[name] = left
        return len(rows) - len(left)

    def apply_each(self, name: str, rows: pa.Table) -> Outcome:
        assert self.careful
        ids = keys_of(rows, ["id"]).to_pylist()
        assert len(set(ids)) == len(ids)
        wrong = [place for place, each in enumerate(ids) if each in self.refused]
        fit = [row for row in rows.to_pylist() if row["id"] not in self.refused]
        loaded = self._put_all(name, fit)
        counted = Loaded(len(ids), loaded.inserted, loaded.updated, refused=len(wrong))
        places = pa.array(wrong, pa.int64())
        return Outcome(counted, places, [self.refused[ids[place]] for place in wrong])

    def replace_each(self, name: str, parts: Iterable[pa.Table]) -> Outcome:
        self.state.rows[name] = []
        return self.apply_each(name, pa.concat_tables(list(parts)))

    def add_days(self, first: date, last: date) -> int:
        days = {first + timedelta(number) for number in range((last - first).days + 1)}
        added = len(days - self.state.days)
        self.state.days |= days
        return added

    def record_batch(self, source: str, batch: int) -> None:
        self.state.ledger.append((source, batch))

    def run_model(self, select: Select, moment: Moment, export: Any) -> ModelRun:
        self.state.rows["model"].append({"id": moment.batch})
        return ModelRun(Loaded(1, 1, 0), ["id"], Made(1, None), "exports/model" if export else None)

    def export_table(self, name: str, moment: Moment, bucket: Any) -> str:
        return f"exports/{name}"

    def known(self, tables: Collection[str]) -> set[str]:
        return {name for name, _, batch in self.state.deleted if batch and name in tables}

    def add(self, name: str, keys: Iterable[pa.Array], at: datetime, batch: int) -> None:
        self.state.deleted += [(name, key, batch) for some in keys for key in some.to_pylist()]

    def mark_returned(self, name: str, keys: Iterable[pa.Array], at: datetime) -> None:
        self.state.deleted += [(name, key, None) for some in keys for key in some.to_pylist()]
