"""Declarations as people write them: odd names, several schemas, and others tomorrow than today."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from pg8000.native import identifier

from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, TargetTable, Text, latest
from functions.common.manifests import IngestionManifest
from tests.pipeline.lake import Lake

ODD = 'Größe 100% :of "it" -- $1; \\'
SCHEMA = 'Öl & "Gas", :s'

place = Table(ODD, key="order", schema=SCHEMA, alias="place", columns={
    "order": Integer(), "select": Text(nullable=True),
})  # fmt: skip
thing = Table("Order", key=ODD, alias="thing", columns={
    ODD: Integer(), ":place": Integer(references=place, nullable=True), "%s": Text(),
})  # fmt: skip
same = Table("Order", key="id", schema=SCHEMA, alias="same", columns={"id": Integer()})


@latest(key=ODD, joins={"place": ":place"})
def things(thing: Any, place: Any) -> Any:
    """Things with their places."""


def pipeline_of(
    *targets: TargetTable, tables: tuple[Table, ...] = (thing, place, same)
) -> Pipeline:
    return Pipeline(
        sources=[Postgres("live", tables)], targets=[PostgresWarehouse("warehouse", targets)]
    )


def sql_name(table: Table) -> str:
    return f"{identifier(table.schema)}.{identifier(table.name)}"


CREATE = (
    f"CREATE SCHEMA {identifier(SCHEMA)}",
    f'CREATE TABLE {sql_name(place)} ("order" int PRIMARY KEY, "select" text)',
    (
        f'CREATE TABLE {sql_name(thing)} ({identifier(ODD)} int PRIMARY KEY, ":place" int,'
        ' "%s" text NOT NULL)'
    ),
    f"CREATE TABLE {sql_name(same)} (id int PRIMARY KEY)",
    f"INSERT INTO {sql_name(place)} VALUES (1, 'one'), (2, NULL)",
    f"INSERT INTO {sql_name(thing)} VALUES (1, 1, 'a'), (2, 2, 'b'), (3, NULL, 'c')",
    f"INSERT INTO {sql_name(same)} VALUES (7)",
)


def changed(batch: IngestionManifest) -> dict[str, int]:
    return {name: table.changed for name, table in batch.tables.items() if table.changed}


def test_whatever_tables_and_columns_are_called_they_are_read(
    new_lake: Callable[..., Lake],
) -> None:
    """Two tables of one name, in two schemas, with odd names; rows name their transactions."""
    lake = new_lake(pipeline_of(things, latest(same)), *CREATE)
    first = lake.batch()
    assert changed(first) == {thing.id: 3, place.id: 2, same.id: 1}
    assert lake.extract().manifest is None

    lake.sql(
        f'UPDATE {sql_name(place)} SET "select" = \'uno\' WHERE "order" = 1',
        f"DELETE FROM {sql_name(thing)} WHERE {identifier(ODD)} = 3",
        f"DELETE FROM {sql_name(same)}",
    )
    second = lake.batch()

    xmin = "SELECT xmin::text::bigint FROM {} WHERE {} = 1"
    [[of_place]] = lake.sql(xmin.format(sql_name(place), '"order"'))
    [[of_thing]] = lake.sql(xmin.format(sql_name(thing), identifier(ODD)))
    place_now = {"order": 1, "select": "uno", "_unfit": None, "_transaction": of_place}
    thing_then = {ODD: 1, ":place": 1, "%s": "a", "_unfit": None, "_transaction": of_thing}
    assert lake.rows(second, place) == [place_now]
    assert lake.rows(second, thing) == [thing_then]
    assert lake.rows(second, thing, "tombstones") == [{ODD: 3}]
    assert lake.rows(second, same, "tombstones") == [{"id": 7}]
    lake.sql(f"UPDATE {sql_name(thing)} SET \"%s\" = 'B' WHERE {identifier(ODD)} = 2")
    third = lake.batch()
    assert [row["order"] for row in lake.rows(third, place, "partners")] == [2]


def test_messages_name_the_schema_of_a_table(new_lake: Callable[..., Lake]) -> None:
    """Of tables that have one name, the right one is to be looked at."""
    lake = new_lake(pipeline_of(things, latest(same)), *CREATE)
    lake.batch()
    lake.sql(f"ALTER TABLE {sql_name(same)} RENAME COLUMN id TO number")

    captured = lake.extract()

    gone = f"table {SCHEMA}.Order: column id is gone: was it dropped or renamed?"
    assert captured.stopped == {same.id: gone}


def test_only_schemas_that_are_declared_are_looked_into(new_lake: Callable[..., Lake]) -> None:
    """A table is reported when it is new beside those that are carried, unless it is ignored."""
    source = Postgres("live", (same,), ignore=("migrations",))
    warehouse = PostgresWarehouse("warehouse", (latest(same),))
    lake = new_lake(Pipeline(sources=[source], targets=[warehouse]), *CREATE)
    first = lake.batch()
    assert {name for name, table in first.schemas.items() if table.carried} == {same.id}
    assert set(first.schemas) == {same.id, place.id}

    lake.sql(
        f"CREATE TABLE {identifier(SCHEMA)}.new (id int)",
        f"CREATE TABLE {identifier(SCHEMA)}.migrations (id int)",
        "CREATE TABLE elsewhere (id int)",
        f"INSERT INTO {sql_name(same)} VALUES (8)",
    )
    [new] = lake.batch().drift

    assert new.startswith("table ")
    assert new.endswith(".new is new and not declared: declare it if the warehouse needs it")


def test_a_table_that_is_declared_later_is_read_whole_and_no_other(
    new_lake: Callable[..., Lake],
) -> None:
    """Tables that were read before are not read again, however long the log; then all goes on."""
    lake = new_lake(pipeline_of(latest(same), tables=(same,)), *CREATE)
    lake.batch()
    lake.sql(f"INSERT INTO {sql_name(same)} VALUES (8)")
    lake.batch()

    lake.pipeline = pipeline_of(latest(same), things)
    batch = lake.batch()

    assert changed(batch) == {thing.id: 3, place.id: 2}
    assert batch.targets == ["Order", "things"]
    assert lake.extract().manifest is None
    lake.sql(f"DELETE FROM {sql_name(thing)} WHERE {identifier(ODD)} = 3")
    assert lake.batch().capture(thing.id).deleted == 1


def test_a_target_table_that_is_declared_later_is_reason_for_a_batch(
    new_lake: Callable[..., Lake],
) -> None:
    """A quiet source would never fill it otherwise; the batch itself has no rows."""
    lake = new_lake(pipeline_of(latest(same)), *CREATE)
    assert lake.batch().targets == ["Order"]

    lake.pipeline = pipeline_of(latest(same), things)
    batch = lake.batch()

    assert (batch.batch, batch.targets, changed(batch)) == (2, ["Order", "things"], {})
    assert lake.extract().manifest is None


def test_a_table_that_is_not_declared_any_more_is_forgotten(
    new_lake: Callable[..., Lake],
) -> None:
    """Its capture and its keys go, and when it is declared once more it is read whole."""
    lake = new_lake(pipeline_of(latest(same), things), *CREATE)
    lake.batch()

    lake.pipeline = pipeline_of(latest(same), tables=(same,))
    without = lake.batch()
    lake.pipeline = pipeline_of(latest(same), things)
    again = lake.batch()

    assert (set(without.tables), changed(without)) == ({same.id}, {})
    assert changed(again) == {thing.id: 3, place.id: 2}
    assert again.drift == []


def test_another_key_begins_a_table_again(new_lake: Callable[..., Lake]) -> None:
    """The keys that another column made do not say which rows were deleted."""
    lake = new_lake(
        pipeline_of(latest(same), tables=(same,)),
        *CREATE,
        f"ALTER TABLE {sql_name(same)} ADD COLUMN number int UNIQUE",
        f"UPDATE {sql_name(same)} SET number = 70",
    )
    lake.batch()

    columns = {"id": Integer(), "number": Integer()}
    other = Table("Order", key="number", schema=SCHEMA, alias="same", columns=columns)
    lake.pipeline = pipeline_of(latest(other), tables=(other,))
    batch = lake.batch()

    capture = batch.capture(other.id)
    assert (capture.key, capture.changed, capture.deleted) == (["number"], 1, 0)
    lake.sql(f"DELETE FROM {sql_name(same)}")
    assert lake.rows(lake.batch(), other, "tombstones") == [{"number": 70}]


def test_rows_that_go_while_their_table_is_stopped_are_deleted_afterwards(
    new_lake: Callable[..., Lake],
) -> None:
    """Also when the server was restarted meanwhile, so that all rows are read again."""
    lake = new_lake(pipeline_of(latest(same), things), *CREATE)
    lake.batch()
    key = lake.log.key(1)
    unknown = replace(lake.log.read(1), source=replace(lake.log.read(1).source, instances=[]))
    lake.bucket.objects[key] = msgspec.json.encode(unknown)
    lake.sql(f"ALTER TABLE {sql_name(same)} RENAME COLUMN id TO number")
    stopped = lake.extract()
    assert set(stopped.stopped) == {same.id}
    lake.sql(
        f"DELETE FROM {sql_name(same)}",
        f"ALTER TABLE {sql_name(same)} RENAME COLUMN number TO id",
    )

    batch = lake.batch()

    assert lake.rows(batch, same, "tombstones") == [{"id": 7}]


def test_a_batch_is_replayed_with_the_joins_that_are_declared_today(
    new_lake: Callable[..., Lake],
) -> None:
    """Rows that join in now are looked up where they last came, also before the batch."""
    lake = new_lake(pipeline_of(latest(same), latest(thing, name="plain")), *CREATE)
    lake.batch()
    lake.sql(f"UPDATE {sql_name(thing)} SET \"%s\" = 'new' WHERE {identifier(ODD)} = 1")
    lake.batch()
    lake.pipeline = pipeline_of(latest(same), things)
    lake.batch()

    again = lake.replay(2)

    assert [row["%s"] for row in lake.rows(again, thing)] == ["new"]
    assert [row["order"] for row in lake.rows(again, place, "partners")] == [1]
    assert again.targets == ["Order", "things"]


def test_a_replay_has_the_partners_as_they_are_now(new_lake: Callable[..., Lake]) -> None:
    """A place that has changed since the batch comes as it is, and one that is gone does not."""
    lake = new_lake(pipeline_of(things), *CREATE)
    lake.batch()
    lake.sql(
        f"UPDATE {sql_name(thing)} SET \"%s\" = 'new'",
        f"INSERT INTO {sql_name(thing)} VALUES (4, 2, 'd')",
    )
    lake.batch()
    # No thing comes with a place in between.
    lake.pipeline = pipeline_of(latest(thing, name="plain"), latest(same))
    lake.batch()
    lake.sql(
        f'UPDATE {sql_name(place)} SET "select" = \'uno\' WHERE "order" = 1',
        f'DELETE FROM {sql_name(place)} WHERE "order" = 2',
    )
    lake.batch()
    lake.pipeline = pipeline_of(things)
    lake.batch()

    again = lake.replay(2)

    assert sorted(row[ODD] for row in lake.rows(again, thing)) == [1, 2, 3, 4]
    partners = lake.rows(again, place, "partners")
    assert [(row["order"], row["select"]) for row in partners] == [(1, "uno")]
    assert lake.rows(again, place) == []
