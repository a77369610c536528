"""Keys of any kind and references to them: several columns, texts, UUIDs, enumerations, domains."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etl import SELF, Pipeline, Postgres, PostgresWarehouse, Table, Text, Timestamp, Uuid, latest
from etl.sources import CAPTURES, WAL
from tests.pipeline.lake import Lake
from tests.pipeline.replica import Replica

kind = Table("kind", key="kind", columns={"kind": Text(), "name": Text()})
city = Table("city", key=("country", "code"), columns={
    "country": Text(), "code": Text(), "name": Text(), "kind": Text(references=kind, nullable=True),
})  # fmt: skip
person = Table(
    "person",
    key="id",
    columns={
        "id": Uuid(), "name": Text(), "boss": Uuid(references=SELF, nullable=True),
        "country": Text(nullable=True), "code": Text(nullable=True),
    },
    references={("country", "code"): city},
)  # fmt: skip
visit = Table("visit", key=("person", "at"), columns={
    "person": Uuid(references=person), "at": Timestamp(), "note": Text(),
})  # fmt: skip


@latest(key="id", joins={"boss": "boss"})
def people(person: Any, boss: Any, city: Any, kind: Any) -> Any:
    """People with their city and what kind of city it is."""


@latest(key=("person", "at"))
def visits(visit: Any, person: Any, city: Any) -> Any:
    """Visits with their person and the city of that."""


WORLD = Pipeline(
    sources=[Postgres("world", (visit, person, city, kind))],
    targets=[PostgresWarehouse("warehouse", (people, visits, latest(city)))],
)
CREATE = (
    "CREATE TYPE kind_of_city AS ENUM ('big', 'sm\"all', 'b\\s')",
    "CREATE DOMAIN country_code AS char(3)",
    "CREATE TABLE kind (kind kind_of_city PRIMARY KEY, name text NOT NULL)",
    (
        "CREATE TABLE city (country country_code, code varchar(20), name text NOT NULL,"
        " kind kind_of_city, PRIMARY KEY (country, code))"
    ),
    (
        "CREATE TABLE person (id uuid PRIMARY KEY, name text NOT NULL, boss uuid, country char(3),"
        " code text)"
    ),
    "CREATE TABLE visit (person uuid, at timestamp, note text NOT NULL, PRIMARY KEY (person, at))",
)
CODES = ["", "a", "a,b", '"', "\\", "{}", "1:2", "ü", "NULL", " x "]
COUNTRIES = ["GB", "DEU", "F"]
KINDS = ["big", 'sm"all', "b\\s"]
SHOWS = {person: "name", city: "name", kind: "name", visit: "note"}
ORACLE = {
    "people": "SELECT p.id::text, p.name, b.name, c.name, k.name FROM person p"
    " LEFT JOIN person b ON b.id = p.boss"
    " LEFT JOIN city c ON c.country = p.country AND c.code = p.code"
    " LEFT JOIN kind k ON k.kind = c.kind",
    "visits": "SELECT v.person::text, v.at, v.note, p.name, c.name FROM visit v"
    " LEFT JOIN person p ON p.id = v.person"
    " LEFT JOIN city c ON c.country = p.country AND c.code = p.code",
    "city": "SELECT country, code, name FROM city",
}


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def uuid(number: random.Random) -> str:
    return f"md5('{number.randint(1, 25)}')::uuid"


def changes(number: random.Random) -> Iterator[str]:
    """Yield statements that change some rows, and some keys."""
    code, country = quoted(number.choice(CODES)), quoted(number.choice(COUNTRIES))
    this = f"country = {country} AND code = {code}"
    kind_of = quoted(number.choice(KINDS))
    at = f"'2024-03-01 09:00:00.{number.choice(['1', '123456', '000001'])}'"
    person, other = uuid(number), uuid(number)
    yield number.choice(
        [
            f"INSERT INTO kind VALUES ({kind_of}, 'new') ON CONFLICT DO NOTHING",
            f"UPDATE kind SET name = name || '!' WHERE kind = {kind_of}",
            f"DELETE FROM kind WHERE kind = {kind_of}",
            f"INSERT INTO city VALUES ({country}, {code}, 'new', {kind_of}) ON CONFLICT DO NOTHING",
            f"UPDATE city SET name = name || '!' WHERE {this}",
            f"UPDATE city SET kind = {kind_of} WHERE {this}",
            f"DELETE FROM city WHERE {this}",
            (
                f"INSERT INTO person VALUES ({person}, 'new', {other}, {country}, {code})"
                " ON CONFLICT DO NOTHING"
            ),
            (
                f"INSERT INTO person VALUES ({person}, 'new', NULL, NULL, {code})"
                " ON CONFLICT DO NOTHING"
            ),
            f"UPDATE person SET name = name || '!' WHERE id = {person}",
            f"UPDATE person SET code = {code} WHERE id = {person}",
            f"DELETE FROM person WHERE id = {person}",
            f"INSERT INTO visit VALUES ({person}, {at}, 'new') ON CONFLICT DO NOTHING",
            f"UPDATE visit SET note = note || '!' WHERE person = {person}",
            f"DELETE FROM visit WHERE at = {at}",
        ]
    )


@pytest.mark.parametrize("capture", CAPTURES)
def test_rows_made_of_each_batch_alone_are_those_of_plain_sql(
    new_lake: Callable[..., Lake], capture: str
) -> None:
    """Whatever the keys are, also those with commas, quotes, spaces and backslashes in them."""
    lake = new_lake(WORLD, *CREATE)
    if capture == WAL:
        lake.publish()
    replica, number = Replica(lake, SHOWS, ORACLE), random.Random(11)
    for _ in range(60):
        lake.sql(*(next(changes(number)) for _ in range(number.randint(1, 12))))
        captured = lake.extract()
        assert captured.stopped == {}
        if captured.manifest:
            replica.apply(captured.manifest)
        assert replica.tables == replica.oracle()
