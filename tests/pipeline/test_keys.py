"""Keys of any kind: what extract says of rows that came, changed or went is what plain SQL says."""

import random
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from etl import (
    BigInteger,
    Integer,
    Numeric,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    Table,
    Text,
    Timestamp,
    Uuid,
    latest,
)
from functions.common.errors import RepairRequestError
from functions.common.manifests import IngestionManifest
from functions.sources import Repair
from functions.sources.postgres import hashedkeys, keysets
from functions.sources.postgres.current import keys_after
from tests.pipeline.lake import Lake

person = Table("Person", key="person id", columns={"person id": Uuid(), "name": Text()})
country = Table("country", key="code", columns={"code": Text(), "name": Text()})
number = Table("number", key="n", columns={"n": BigInteger(), "name": Text()})
line = Table("line", key=("order, no", "Pos:%"), columns={
    "order, no": Integer(), "Pos:%": Text(), "name": Text(),
}, schema='odd "sales"')  # fmt: skip
event = Table("event", key=("at", "kind", "price"), columns={
    "at": Timestamp(timezone=True), "kind": Text(), "price": Numeric(20, 10), "name": Text(),
})  # fmt: skip
note = Table("note", key="note_id", columns={
    "note_id": Integer(),
    "name": Text(),
    "author": Uuid(references=person, nullable=True),
    "country": Text(references=country, nullable=True),
    "number": BigInteger(references=number, nullable=True),
    "line_no": Integer(nullable=True), "line_pos": Text(nullable=True),
}, references={("line_no", "line_pos"): line})  # fmt: skip
TABLES = (person, country, number, line, event, note)
PARENTS = (person, country, number, line)
PIPELINE = Pipeline(
    sources=[Postgres("house", TABLES)],
    targets=[PostgresWarehouse("warehouse", tuple(latest(table) for table in TABLES))],
)

LINE = '"odd ""sales""".line'
CREATE = (
    'CREATE SCHEMA "odd ""sales"""',
    'CREATE TABLE "Person" ("person id" uuid PRIMARY KEY, name text NOT NULL)',
    "CREATE TABLE country (code char(3) PRIMARY KEY, name text NOT NULL)",
    "CREATE TABLE number (n bigint PRIMARY KEY, name text NOT NULL)",
    (
        f'CREATE TABLE {LINE} ("order, no" int, "Pos:%" varchar(9), name text NOT NULL,'
        ' PRIMARY KEY ("Pos:%", "order, no"))'
    ),
    (
        "CREATE TABLE event (at timestamptz, kind text, price numeric(20, 10), name text NOT NULL,"
        " PRIMARY KEY (at, kind, price))"
    ),
    (
        "CREATE TABLE note (note_id int PRIMARY KEY, name text NOT NULL, author uuid,"
        " country char(3), number bigint, line_no int, line_pos varchar(9))"
    ),
)
SQL_NAMES = {table.id: f'"{table.name}"' for table in TABLES} | {line.id: LINE}
# The values of a table's key, given a small number.
KEYS: dict[str, Callable[[int], tuple[str, ...]]] = {
    person.id: lambda n: (f"md5('{n}')::uuid",),
    country.id: lambda n: (f"'{'aä,'[n % 3]}{n}'",),
    number.id: lambda n: (f"{n * 10**15}",),
    line.id: lambda n: (f"{n % 5}", f"E'{n // 5},\\\\{n}'"),
    event.id: lambda n: (f"timestamptz '2024-01-01Z' + {n % 4} * interval '1.5 s'", f"'k{n % 3}'",
                         f"{n} / 100000000.0"),
    note.id: lambda n: (str(n),),
}  # fmt: skip
REFERENCES = {"author": person, "country": country, "number": number}


class Shop:
    """Random changes to the tables, a few at a time."""

    def __init__(self, lake: Lake, seed: int) -> None:
        self._lake = lake
        self._draw = random.Random(seed)

    def trade(self, tables: int = 3) -> None:
        for table in self._draw.sample(TABLES, tables):
            for _ in range(self._draw.randrange(8)):
                self._lake.sql(self._statement(table))

    def _statement(self, table: Table) -> str:
        name, draw = SQL_NAMES[table.id], self._draw
        columns = [f'"{key}"' for key in table.keys]
        here, there = (KEYS[table.id](draw.randrange(30)) for _ in range(2))
        where = f"({', '.join(columns)}) = ({', '.join(here)})"
        free = (
            f"NOT EXISTS (SELECT FROM {name} WHERE ({', '.join(columns)}) = ({', '.join(there)}))"
        )
        match draw.choice(["insert", "insert", "update", "delete", "move", "empty"]):
            case "insert":
                return f"INSERT INTO {name} {self._values(table, here)} ON CONFLICT DO NOTHING"
            case "update":
                return f"UPDATE {name} SET name = name || 'x' WHERE {where}"
            case "delete":
                return f"DELETE FROM {name} WHERE {where}"
            case "move":
                return (
                    f"UPDATE {name} SET ({', '.join(columns)}) = ROW({', '.join(there)})"
                    f" WHERE {where} AND {free}"
                )
        return f"DELETE FROM {name} WHERE {int(draw.random() < 0.1)} = 1"

    def _values(self, table: Table, key: tuple[str, ...]) -> str:
        columns, values = [f'"{name}"' for name in table.keys], list(key)
        if table is note:
            for column, parent in REFERENCES.items():
                columns.append(column)
                values += KEYS[parent.id](self._draw.randrange(30))
            columns += ["line_no", "line_pos"]
            values += KEYS[line.id](self._draw.randrange(30))
            at = self._draw.randrange(1, len(values))
            values[at] = "NULL"
        return f"({', '.join([*columns, 'name'])}) VALUES ({', '.join([*values, repr('x')])})"


class Copy:
    """The keys of each table, by the batches; unless exact, some are deleted that never were."""

    def __init__(self, lake: Lake, *, is_exact: bool = True) -> None:
        self._lake = lake
        self._is_exact = is_exact
        self.keys: dict[str, set[tuple[Any, ...]]] = {table.id: set() for table in TABLES}

    def apply(self, batch: IngestionManifest) -> None:
        for table in TABLES:
            there, capture = self.keys[table.id], batch.capture(table.id)
            rows = self._lake.rows(batch, table)
            came = {tuple(row[key] for key in table.keys) for row in rows}
            gone = {
                tuple(row[key] for key in table.keys)
                for row in self._lake.rows(batch, table, "tombstones")
            }
            assert len(gone) == capture.deleted
            assert gone <= there or not self._is_exact
            assert not gone & came
            if table in PARENTS and self._is_exact:
                known = {tuple(row[key] for key in table.keys): row["_known"] for row in rows}
                assert known == {key: key in there for key in came}
            self.keys[table.id] = (there - gone) | came


def keys_in_sql(lake: Lake) -> dict[str, set[tuple[Any, ...]]]:
    """Return the keys of all tables as they are carried."""
    found = {}
    for table in TABLES:
        columns = ", ".join(f'"{key}"' for key in table.keys)
        rows = lake.sql(f"SELECT {columns} FROM {SQL_NAMES[table.id]}")
        found[table.id] = {tuple(map(_carried, row)) for row in rows}
    return found


def _carried(value: Any) -> Any:
    return str(value) if type(value).__name__ == "UUID" else value


def missing_in_sql(lake: Lake) -> dict[str, set[tuple[Any, ...]]]:
    """Return the parents that notes name and that are not there."""
    names = {person.id: "author", country.id: "country", number.id: "number"}
    queries = {
        parent.id: f"SELECT {names[parent.id]} FROM note WHERE {names[parent.id]} IS NOT NULL"
        f' EXCEPT SELECT "{parent.keys[0]}" FROM {SQL_NAMES[parent.id]}'
        for parent in (person, country, number)
    }
    queries[line.id] = (
        "SELECT line_no, line_pos FROM note WHERE (line_no, line_pos) IS NOT NULL"
        f' EXCEPT SELECT "order, no", "Pos:%" FROM {LINE}'
    )
    return {name: {tuple(map(_carried, r)) for r in lake.sql(q)} for name, q in queries.items()}


@pytest.fixture
def lake(new_lake: Callable[..., Lake]) -> Lake:
    return new_lake(PIPELINE, *CREATE)


@pytest.mark.parametrize("part_bytes", [16 << 20, 200], ids=["one part", "many parts"])
@pytest.mark.parametrize("runs", [1 << 18, 5], ids=["runs", "too many runs"])
def test_after_every_batch_the_keys_are_those_of_the_tables(
    lake: Lake, seed: int, part_bytes: int, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that came, went or got another key: none is missed, none is made up, all are typed.

    A run by schedule may miss that a row has got another key, but not the new one.
    """
    monkeypatch.setattr(hashedkeys, "PART_BYTES", part_bytes)
    monkeypatch.setattr(keysets, "RUNS_AT_MOST", runs)
    monkeypatch.setattr(keysets, "DIGESTS_AT_MOST", max(runs, 5))
    shop, copy = Shop(lake, seed), Copy(lake)
    shop.trade(len(TABLES))
    for _ in range(10):
        if manifest := lake.extract(sparing=True).manifest:
            copy.apply(manifest)
        assert all(keys <= copy.keys[name] for name, keys in keys_in_sql(lake).items())
        if manifest := lake.extract().manifest:
            copy.apply(manifest)
        assert copy.keys == keys_in_sql(lake)
        assert lake.extract().manifest is None
        shop.trade()


def fill(lake: Lake) -> None:
    """Give each table 30 rows, each note one of each kind of parents."""
    for table in TABLES:
        for n in range(30):
            columns = [f'"{name}"' for name in table.keys]
            values = list(KEYS[table.id](n))
            if table is note:
                columns += ["author", "country", "number", "line_no", "line_pos"]
                values += [value for parent in PARENTS for value in KEYS[parent.id](n)]
            lake.sql(f"INSERT INTO {SQL_NAMES[table.id]} ({', '.join(columns)}, name)"
                     f" VALUES ({', '.join(values)}, 'x')")  # fmt: skip


def _row(values: Iterable[str]) -> str:
    return f"({', '.join(values)})"


def spoken(missing: dict[str, list[Any]]) -> dict[str, set[tuple[Any, ...]]]:
    """Return keys with the values of their columns."""
    found: dict[str, set[tuple[Any, ...]]] = {table.id: set() for table in PARENTS}
    for name, keys in missing.items():
        for key in keys:
            if name == line.id:
                no, _, pos = key.partition(",")
                found[name].add((int(no), pos.replace("\\,", ",").replace("\\\\", "\\")))
            else:
                found[name].add((key,))
    return found


@pytest.mark.parametrize("runs", [1 << 18, 5], ids=["runs", "too many runs"])
def test_parents_that_are_not_there_are_named(
    lake: Lake, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its key is made of, a parent that rows wait for is known to be missing."""
    monkeypatch.setattr(keysets, "RUNS_AT_MOST", runs)
    fill(lake)
    assert lake.batch().missing == {}
    for parent in PARENTS:
        where = _row(f'"{key}"' for key in parent.keys)
        keys = ", ".join(_row(KEYS[parent.id](n)) for n in (1, 2, 3))
        lake.sql(f"DELETE FROM {SQL_NAMES[parent.id]} WHERE {where} IN ({keys})")
    lake.sql("UPDATE note SET name = 'y', line_pos = NULLIF(note_id, 3)::text || ',' || ''")
    batch = lake.batch()

    assert spoken(batch.missing) == missing_in_sql(lake)
    assert all(batch.missing.values())
    assert len(batch.missing) == len(PARENTS)


def test_parents_of_a_table_that_is_left_out_are_those_that_it_had(lake: Lake) -> None:
    """Rows do not wait for parents that the target has, although their table cannot be read."""
    fill(lake)
    lake.batch()
    lake.sql('ALTER TABLE "Person" RENAME COLUMN name TO nickname', "UPDATE note SET author ="
             " md5('77')::uuid WHERE note_id = 7", "UPDATE note SET name = 'y'")  # fmt: skip
    captured = lake.extract()

    assert list(captured.stopped) == [person.id]
    assert captured.manifest is not None
    [[absent]] = lake.sql("SELECT md5('77')::uuid::text")
    assert captured.manifest.missing == {person.id: [absent]}


def test_without_changed_keys_no_part_is_read_or_written(lake: Lake) -> None:
    """The cost of a batch does not depend on how many keys the tables have."""
    fill(lake)
    first = lake.batch()
    lake.sql("UPDATE \"Person\" SET name = 'y'")
    lake.bucket.requests.clear()
    second = lake.batch()

    assert second.key_parts == first.key_parts
    # The manifest twice, the integers; and of each other table the digests.
    assert lake.bucket.requests["get"] <= 1 + 1 + len(first.key_parts)
    assert lake.bucket.requests["put"] == 1 + 1 + 1  # rows, integers and manifest


def test_a_key_that_looks_different_in_another_type_is_no_deletion(lake: Lake) -> None:
    """A table whose key was retyped is read whole; its rows are not taken for deleted."""
    fill(lake)
    lake.batch()
    lake.sql("ALTER TABLE country ALTER code TYPE char(4)")
    batch = lake.batch()
    lake.sql("DELETE FROM country WHERE code = 'a0'")
    later = lake.batch()

    assert (batch.tables["country"].changed, batch.tables["country"].deleted) == (30, 0)
    assert lake.rows(later, country, "tombstones") == [{"code": "a0  "}]


def test_a_table_stops_when_a_key_of_several_columns_stands_twice(lake: Lake) -> None:
    """Rows that cannot be distinguished are not read, and the message names the key."""
    fill(lake)
    lake.sql(f"ALTER TABLE {LINE} DROP CONSTRAINT line_pkey",
             f"INSERT INTO {LINE} VALUES (3, E'1,\\\\8', 'twice')")  # fmt: skip
    captured = lake.extract()

    assert captured.stopped == {
        line.id: f"{line}: 2 rows have order, no, Pos:% 3, 1,\\8: leave only one of them"
    }


def test_keys_that_a_repair_asks_for_are_looked_for(lake: Lake) -> None:
    """Of the keys that the target has too many, only those that are gone are deleted."""
    fill(lake)
    lake.batch()
    asked: dict[str, list[int | str]] = {
        line.id: ["3,1\\,\\\\8", "4,never"],
        country.id: ["a0 ", "xxx"],
        number.id: [0, 5],
    }
    batch = lake.batch(Repair(read=[], absent=asked))

    assert lake.rows(batch, line, "tombstones") == [{"order, no": 4, "Pos:%": "never"}]
    assert lake.rows(batch, country, "tombstones") == [{"code": "xxx"}]
    assert lake.rows(batch, number, "tombstones") == [{"n": 5}]
    with pytest.raises(RepairRequestError, match="cannot be one of table"):
        lake.extract(Repair(absent={line.id: ["no number,x"]}))


@pytest.mark.parametrize("runs", [1 << 18, 5], ids=["runs", "too many runs"])
def test_reconcile_knows_which_keys_a_batch_has_recorded(
    lake: Lake, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that was deleted since the batch is on its way, whatever form its key is kept in."""
    monkeypatch.setattr(keysets, "RUNS_AT_MOST", runs)
    fill(lake)
    recorded = keys_after(lake.bucket, lake.batch())
    asked = pa.array([0, 5, 29 * 10**15, None], pa.int64())

    assert recorded.had(number, asked).to_pylist() == [True, False, True, False]
    assert recorded.had(country, pa.array(["a0 ", "a0", None])).to_pylist() == [True, False, False]


def test_a_truncated_table_has_a_tombstone_for_each_row(lake: Lake) -> None:
    """All keys of a table are typed as its rows are, in the columns of the key."""
    fill(lake)
    lake.batch()
    lake.sql("TRUNCATE event")
    batch = lake.batch()
    gone = lake.rows(batch, event, "tombstones")

    assert len(gone) == batch.tables[event.id].deleted == 30
    assert all(isinstance(row["at"], datetime) and row["at"].tzinfo for row in gone)
    assert batch.key_parts[event.id].files == []
