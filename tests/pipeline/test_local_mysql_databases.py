"""The sandbox's warehouse in MySQL: prepared as a real one, and its user has no more rights."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

import pipelines
from deployer.packaging.packages import ROOT
from etl.loading import load
from local import shells
from local.mysql import MysqlServer, run_sql
from local.mysql.databases import (
    MANAGED,
    PREPARED,
    create_managed_mysql_warehouse,
    create_mysql_warehouse,
)
from tests.mysql_fixtures import own_mysql

FOLDER = Path(__file__).parent.parent / "pipelines"
COMMAND_DENIED, ACCESS_DENIED = 1142, 1044


@pytest.fixture(scope="module")
def server() -> Iterator[MysqlServer]:
    """A server of this module, whose databases have the names of a sandbox's."""
    with own_mysql() as running:
        yield running


@pytest.fixture(autouse=True)
def harbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])


def refusal(url: str, statement: str) -> int:
    """Return the error that a statement is refused with."""
    with pytest.raises(pymysql.OperationalError) as error:
        run_sql(url, statement)
    code: int = error.value.args[0]
    return code


def test_a_prepared_warehouse_has_its_tables_and_views(server: MysqlServer) -> None:
    """The file of DDL is run once, the views with it, and a later start keeps what is there."""
    url = create_mysql_warehouse(server, "zipster", "zip_codes")
    run_sql(url, "INSERT INTO zip_codes.ZIPCODES (ZIPCODE) VALUES ('00501')")

    assert create_mysql_warehouse(server, "zipster", "zip_codes") == url
    there = run_sql(server.superuser_url("zip_codes"), "SHOW FULL TABLES")
    assert there == [("ZIPCODES", "BASE TABLE"), ("ZIPCODE_DISTANCES", "VIEW")]
    assert run_sql(url, "SELECT ZIPCODE FROM zip_codes.ZIPCODES") == [("00501",)]


def test_the_loader_of_a_prepared_warehouse_changes_rows_alone(server: MysqlServer) -> None:
    """It makes temporary tables and no others, deletes nothing, and sees no other database."""
    url = create_mysql_warehouse(server, "zipster", "rights_")
    run_sql(server.superuser_url(), "CREATE DATABASE IF NOT EXISTS rightsX")

    run_sql(url, "CREATE TEMPORARY TABLE rights_.staged LIKE rights_.ZIPCODES")
    for statement in (
        "CREATE TABLE rights_.mine (a INT)",
        "ALTER TABLE rights_.ZIPCODES ADD a INT",
        "DELETE FROM rights_.ZIPCODES",
        "DROP TABLE rights_.ZIPCODES",
    ):
        assert refusal(url, statement) == COMMAND_DENIED
    assert refusal(url, "CREATE TEMPORARY TABLE rightsX.staged (a INT)") == ACCESS_DENIED


def test_what_is_replaced_may_be_deleted(server: MysqlServer) -> None:
    """Rows that are in the source no more have to go."""
    url = create_mysql_warehouse(server, "harbour", "replaced")

    run_sql(url, "INSERT INTO replaced.landing VALUES (1, '2025-01-30', 'cod')")
    run_sql(url, "DELETE FROM replaced.landing")


def test_a_managed_warehouse_is_empty_and_its_loader_may_shape_it(server: MysqlServer) -> None:
    """In the databases of the pipeline alone; a later start keeps what is there."""
    [target] = load("harbour").targets
    url = create_managed_mysql_warehouse(server, target, "shaped")

    assert run_sql(url, "SHOW TABLES FROM shaped") == []
    run_sql(
        url,
        "CREATE TABLE shaped.a (b INT, INDEX (b))",
        "ALTER TABLE shaped.a ADD c INT",
        "CREATE OR REPLACE VIEW shaped.v AS SELECT b FROM shaped.a",
        "CREATE OR REPLACE VIEW shaped.v AS SELECT c FROM shaped.a",
        "DROP VIEW shaped.v",
    )
    assert create_managed_mysql_warehouse(server, target, "shaped") == url
    assert run_sql(url, "SHOW TABLES FROM shaped") == [("a",)]
    assert refusal(url, "CREATE DATABASE another") == ACCESS_DENIED
    assert refusal(url, "CREATE TABLE mysql.mine (a INT)") in {COMMAND_DENIED, ACCESS_DENIED}


def test_the_rights_of_the_page_are_those_that_are_tested() -> None:
    """Who grants what docs/mysql.md says grants what the sandbox's loader has, and no more."""
    page = (ROOT / "docs" / "mysql.md").read_text()
    granted = re.findall(r"GRANT (SELECT.*?) ON", page, re.DOTALL)

    assert [tuple(re.split(r",\s+", rights)) for rights in granted] == [PREPARED, MANAGED]


def test_the_script_opens_the_client(server: MysqlServer, tmp_path: Path) -> None:
    """The line that a person is shown for looking inside works, in a folder with a space too."""
    folder = tmp_path / "the sandbox"
    folder.mkdir()
    for name, (text, mode) in shells.mysql(server, folder, "mysql").items():
        (folder / name).write_text(text)
        (folder / name).chmod(mode)

    line = f"{shlex.quote(str(folder / 'mysql'))} --batch --execute 'SELECT 6 * 7 AS answer'"
    done = subprocess.run(["/bin/sh", "-c", line], check=True, capture_output=True, text=True)

    assert done.stdout == "answer\n42\n"
