"""What the owner of a source has still to allow is said with the statement that allows it."""

from collections.abc import Callable
from typing import cast

import pytest

from etl import Postgres
from functions.sources.postgres.logready import missing
from local.connection import connect
from tests.pipeline.lake import Lake
from tests.pipeline.test_extract_keys import CREATE, WORLD

SOURCE = cast("Postgres", WORLD.sources[0])
ROLE = "reads only"
TABLES = '"public"."visit", "public"."person", "public"."city", "public"."kind"'


@pytest.fixture
def lake(new_lake: Callable[..., Lake]) -> Lake:
    return new_lake(WORLD, *CREATE)


def found(lake: Lake, role: str | None = None) -> list[str]:
    """Return what is missing for the superuser, or for another role."""
    with connect(lake.url) as connection:
        if role:
            connection.run(f'SET ROLE "{role}"')
        return missing(connection, SOURCE)


def test_each_statement_that_is_named_helps(lake: Lake) -> None:
    """Who runs them all has nothing left to do."""
    lake.sql(f'CREATE ROLE "{ROLE}"', "ALTER TABLE visit DROP CONSTRAINT visit_pkey")
    problems = found(lake, ROLE)
    statements = [
        f'ALTER ROLE "{ROLE}" REPLICATION',
        "ALTER TABLE public.visit REPLICA IDENTITY FULL",
        f'CREATE PUBLICATION "etl_world" FOR TABLE {TABLES}',
    ]
    assert [each in problem for each, problem in zip(statements, problems, strict=True)] == [
        True, True, True
    ]  # fmt: skip
    lake.sql(*statements)

    assert found(lake, ROLE) == []
    lake.sql(f'DROP ROLE "{ROLE}"')


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER PUBLICATION etl_world DROP TABLE city",
        "ALTER PUBLICATION etl_world SET TABLE visit, person, kind, city WHERE (code = 'a')",
    ],
    ids=["table", "rows"],
)
def test_a_publication_that_shows_less_is_noticed(lake: Lake, statement: str) -> None:
    """The table is named, and the statement helps; until then it is scanned."""
    lake.publish()
    assert found(lake) == []
    lake.sql(statement)
    [problem] = found(lake)
    lake.sql(problem.partition(": ")[2])

    assert problem.startswith("the publication does not show all rows of table city: ")
    assert found(lake) == []


def test_each_partition_shows_its_own_deleted_rows(lake: Lake) -> None:
    """Whatever the whole table declares; a deferrable key and an included column are not shown."""
    lake.sql(
        "ALTER TABLE visit DROP CONSTRAINT visit_pkey",
        "ALTER TABLE visit RENAME TO old",
        "CREATE TABLE visit (LIKE old) PARTITION BY HASH (person)",
        "ALTER TABLE visit REPLICA IDENTITY FULL",
        'CREATE TABLE "a part" PARTITION OF visit FOR VALUES WITH (MODULUS 1, REMAINDER 0)',
        "ALTER TABLE kind DROP CONSTRAINT kind_pkey CASCADE, ADD PRIMARY KEY (kind) DEFERRABLE",
        "ALTER TABLE city DROP CONSTRAINT city_pkey, ADD PRIMARY KEY (code) INCLUDE (country)",
        "CREATE PUBLICATION etl_world FOR ALL TABLES WITH (publish_via_partition_root)",
    )
    problems = [problem.partition(": ")[2] for problem in found(lake)]

    assert problems == [
        "ALTER TABLE public.city REPLICA IDENTITY FULL",
        "ALTER TABLE public.kind REPLICA IDENTITY FULL",
        'ALTER TABLE public."a part" REPLICA IDENTITY FULL',
        'ALTER PUBLICATION "etl_world" SET (publish_via_partition_root = false)',
    ]
    lake.sql(*problems)
    assert found(lake) == []


def test_a_publication_of_everything_is_as_good(lake: Lake) -> None:
    """As is one of a whole schema."""
    lake.sql("CREATE PUBLICATION etl_world FOR ALL TABLES")
    assert found(lake) == []
    lake.sql(
        "DROP PUBLICATION etl_world", "CREATE PUBLICATION etl_world FOR TABLES IN SCHEMA public"
    )
    assert found(lake) == []
    lake.sql("ALTER PUBLICATION etl_world SET (publish = 'insert')")
    [problem] = found(lake)
    lake.sql(problem.partition(": ")[2])
    assert found(lake) == []
