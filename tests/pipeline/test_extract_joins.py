"""The rows that join in with a row come with it, at every level: a batch is complete."""

import random
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from etl import SELF, Integer, Pipeline, Postgres, PostgresWarehouse, Table, Text, latest
from tests.pipeline.lake import Lake, Part
from tests.pipeline.replica import Replica

region = Table("region", key="region_id", columns={"region_id": Integer(), "name": Text()})
office = Table("office", key="office_id", columns={
    "office_id": Integer(), "city": Text(),
    "region_id": Integer(references=region, nullable=True),
})  # fmt: skip
employee = Table("employee", key="employee_id", columns={
    "employee_id": Integer(), "name": Text(),
    "manager_id": Integer(references=SELF, nullable=True),
    "office_id": Integer(references=office),
    "second_office_id": Integer(references=office, nullable=True),
})  # fmt: skip


@latest(
    key="employee_id",
    joins={
        "manager": "manager_id",
        "office": "office_id",
        "second": "second_office_id",
        "manager_office": "manager.office_id",
        "region": "office.region_id",
    },
)
def dim_employee(  # noqa: PLR0917 - each parameter is a table that joins in
    employee: Any, manager: Any, office: Any, second: Any, manager_office: Any, region: Any
) -> Any:
    """Employees with their manager's office, and three levels below."""


@latest(key="office_id")
def dim_office(office: Any, region: Any) -> Any:
    """Offices, which are what joins in with employees as well."""


HOUSE = Pipeline(
    sources=[Postgres("house", (employee, office, region))],
    targets=[PostgresWarehouse("warehouse", (dim_employee, dim_office))],
)
CREATE = (
    "CREATE TABLE region (region_id int PRIMARY KEY, name text NOT NULL)",
    "CREATE TABLE office (office_id bigint PRIMARY KEY, city text NOT NULL, region_id int)",
    (
        "CREATE TABLE employee (employee_id int PRIMARY KEY, name text NOT NULL, manager_id int,"
        " office_id int NOT NULL, second_office_id int)"
    ),
)
FILL = (
    "INSERT INTO region SELECT i, 'region ' || i FROM generate_series(1, 3) AS i",
    "INSERT INTO office SELECT i, 'city ' || i, nullif(i % 4, 0) FROM generate_series(1, 8) AS i",
    (
        "INSERT INTO employee SELECT i, 'name ' || i, nullif(i / 2, 0), i % 8 + 1, nullif(i % 5, 0)"
        " FROM generate_series(1, 30) AS i"
    ),
)
ORACLE = {
    "dim_employee": "SELECT e.employee_id, e.name, m.name, o.city, s.city, p.city, r.name"
    " FROM employee e LEFT JOIN employee m ON m.employee_id = e.manager_id"
    " LEFT JOIN office o ON o.office_id = e.office_id"
    " LEFT JOIN office s ON s.office_id = e.second_office_id"
    " LEFT JOIN office p ON p.office_id = m.office_id"
    " LEFT JOIN region r ON r.region_id = o.region_id",
    "dim_office": "SELECT o.office_id, o.city, r.name"
    " FROM office o LEFT JOIN region r ON r.region_id = o.region_id",
}


SHOWS = {employee: "name", office: "city", region: "name"}


def changes(number: random.Random) -> Iterator[str]:
    """Yield statements that change some rows at some level."""
    some = f"{number.randint(1, 9)}"
    yield number.choice(
        [
            f"UPDATE region SET name = name || '!' WHERE region_id = {some}",
            f"UPDATE office SET city = city || '!' WHERE office_id = {some}",
            f"UPDATE office SET region_id = {number.randint(1, 4)} WHERE office_id = {some}",
            f"UPDATE employee SET name = name || '!' WHERE employee_id = {some}",
            f"UPDATE employee SET manager_id = {number.randint(1, 30)} WHERE employee_id = {some}",
            f"DELETE FROM region WHERE region_id = {some}",
            f"DELETE FROM office WHERE office_id = {some}",
            f"DELETE FROM employee WHERE employee_id = {some}",
            f"INSERT INTO region VALUES ({some}, 'new') ON CONFLICT DO NOTHING",
            f"INSERT INTO office VALUES ({some}, 'new', {some}) ON CONFLICT DO NOTHING",
            f"INSERT INTO employee VALUES ({some}, 'new', 7, {some}, 8) ON CONFLICT DO NOTHING",
            "ALTER TABLE office ADD COLUMN IF NOT EXISTS note text",
        ]
    )


def test_rows_made_of_each_batch_alone_are_those_of_plain_sql(
    new_lake: Callable[..., Lake],
) -> None:
    """Whatever changes, at whatever level, also deleted partners and references to nothing."""
    lake = new_lake(HOUSE, *CREATE, *FILL)
    replica, number = Replica(lake, SHOWS, ORACLE), random.Random(7)
    for _ in range(60):
        if batch := lake.extract().manifest:
            replica.apply(batch)
        assert replica.tables == replica.oracle()
        lake.sql(*chain.from_iterable(changes(number) for _ in range(number.randint(1, 4))))


def test_what_joins_in_is_the_snapshot_s_though_its_table_is_not_looked_at(
    new_lake: Callable[..., Lake],
) -> None:
    """Rows whose change shows no counts join as they are, and come with the next whole scan."""
    lake = new_lake(HOUSE, *CREATE, *FILL)
    replica = Replica(lake, SHOWS, ORACLE)
    replica.apply(lake.batch())
    lake.sql("UPDATE employee SET office_id = 2, second_office_id = 1 WHERE employee_id = 30")
    replica.apply(lake.batch())
    lake.sql("SET track_counts = off", "UPDATE office SET city = 'Ely' WHERE office_id = 1")
    lake.sql("UPDATE region SET name = 'new' WHERE region_id = 2")  # the region of office 2

    manifest = lake.extract(sparing=True).manifest

    assert manifest is not None
    assert manifest.capture("office").changed == 0
    replica.apply(manifest)
    assert replica.tables["dim_employee"][(30,)] == replica.oracle()["dim_employee"][(30,)]
    assert replica.tables != replica.oracle()
    replica.apply(lake.batch())
    assert replica.tables == replica.oracle()


def test_a_row_comes_once_and_only_what_joins_in_comes_with_it(
    new_lake: Callable[..., Lake],
) -> None:
    """A manager comes with a report without coming to be remodelled, and without a manager."""
    lake = new_lake(HOUSE, *CREATE, *FILL)
    lake.batch()
    lake.sql("UPDATE employee SET name = 'new' WHERE employee_id = 29")  # 29 -> 14 -> 7 -> 3 -> 1

    batch = lake.batch()

    def ids(table: Table, part: Part) -> list[int]:
        return sorted(row[table.keys[0]] for row in lake.rows(batch, table, part))

    assert (ids(employee, "files"), ids(employee, "partners")) == ([29], [14])
    # Its own office, the second one and that of its manager; the region of the first only.
    assert (ids(office, "files"), ids(office, "partners")) == ([], [4, 6, 7])
    assert (ids(region, "files"), ids(region, "partners")) == ([], [2])


def test_a_partner_that_comes_to_be_remodelled_is_not_a_partner_as_well(
    new_lake: Callable[..., Lake],
) -> None:
    """Each row is in a batch once: here offices come along with their region."""
    lake = new_lake(HOUSE, *CREATE, *FILL)
    lake.batch()
    lake.sql("UPDATE region SET name = 'new' WHERE region_id = 2")

    batch = lake.batch()

    for table in (employee, office, region):
        keys = [row[table.keys[0]] for row in lake.rows(batch, table, "joining")]
        assert len(keys) == len(set(keys))
    assert [row["region_id"] for row in lake.rows(batch, region)] == [2]
    assert sorted(row["office_id"] for row in lake.rows(batch, office)) == [2, 6]
    assert batch.capture("office").companions == 2
    # All whose office is one of these, with the offices of their managers.
    assert {row["office_id"] for row in lake.rows(batch, employee)} == {2, 6}


def test_a_table_that_stopped_is_joined_again_when_it_can_be_read(
    new_lake: Callable[..., Lake],
) -> None:
    """Rows that changed meanwhile wait for their partners, and no others are read again."""
    lake = new_lake(HOUSE, *CREATE, *FILL)
    replica = Replica(lake, SHOWS, ORACLE)
    replica.apply(lake.batch())
    lake.sql(
        "ALTER TABLE office RENAME COLUMN city TO town",
        "UPDATE office SET town = 'moved' WHERE office_id = 3",
        "UPDATE employee SET name = 'new' WHERE employee_id = 13",
    )
    stopped = lake.extract()
    assert stopped.stopped == {
        "office": "table office: column city is gone: was it dropped or renamed?"
    }

    lake.sql("ALTER TABLE office RENAME COLUMN town TO city")
    replica.apply(lake.batch())

    assert replica.tables == replica.oracle()
