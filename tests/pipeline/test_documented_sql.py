"""The SQL on the pages, run on a real server."""

from collections.abc import Iterator

import pg8000.native
import pytest

from local.connection import connect
from local.databases import LOADER
from local.postgres import PostgresServer
from tests.documentation import Block, run_by

ROLES = run_by("test_a_role_of_the_pages_reads_and_does_nothing_else")


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[pg8000.native.Connection]:
    """A database as the pages have it, which is undone in the end: roles are the server's."""
    with connect(postgres.superuser_url()) as connection:
        connection.run("BEGIN")
        connection.run("CREATE SCHEMA project_team_1")
        connection.run("CREATE TABLE public.sales (id int)")
        connection.run("CREATE TABLE project_team_1.sales (id int)")
        if not connection.run(f"SELECT 1 FROM pg_roles WHERE rolname = '{LOADER}'"):
            connection.run(f"CREATE ROLE {LOADER}")
        yield connection
        connection.run("ROLLBACK")


@pytest.mark.parametrize("block", ROLES, ids=[block.name for block in ROLES])
def test_a_role_of_the_pages_reads_and_does_nothing_else(
    block: Block, database: pg8000.native.Connection
) -> None:
    """Whoever is given the role of a page can read the tables of its schema, and change none."""
    for statement in filter(str.strip, block.text.split(";")):
        database.run(statement)

    role, schema = ("bi", "public") if "ROLE bi" in block.text else ("finance", "project_team_1")
    rights = [
        database.run(f"SELECT has_table_privilege('{role}', '{schema}.sales', '{right}')")
        for right in ("SELECT", "INSERT, UPDATE, DELETE, TRUNCATE")
    ]
    assert rights == [[[True]], [[False]]]
