"""A person whose warehouse is MySQL: one command shows what becomes of a sample."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.packaging.packages import ROOT
from local.mysql import MysqlServer, run_sql
from tests.mysql_fixtures import mysql_installation
from tests.pipeline.checkout import Checkout, checked_out
from tests.postgres_fixtures import Warehouse

HARBOUR = Path(__file__).parent.parent / "pipelines" / "harbour"
PAGE = ROOT / "docs" / "mysql.md"


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A copy of the code with the pipeline of a harbour."""
    mysql_installation()  # the sandbox finds the same, or fetches it
    with checked_out() as copied:
        shutil.copytree(HARBOUR, copied.folder / "pipelines" / "harbour")
        yield copied


def harbour(checkout: Checkout, *arguments: object, **variables: str) -> dict[str, Any]:
    done = checkout.deploy("local", "--once", *arguments, PIPELINE="harbour", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def rows_of(document: dict[str, Any]) -> dict[str, int]:
    return {table["table"]: table["rows"] for table in document["tables"]}


def test_one_command_shows_what_becomes_of_files(checkout: Checkout) -> None:
    """The sandbox starts its own server, and load creates its tables."""
    first = harbour(checkout, "--dir", "my sandbox")

    assert rows_of(first) == {"ship": 2, "captain": 2, "landing": 3}
    assert first["views"] == [{"view": "current_captain", "rows": 2, "deleted": 0}]
    assert first["warehouse"]["dbname"] == "warehouse"
    [landed] = first["questions"]
    assert landed["question"] == "What each ship landed"
    assert {(row["ship"], row["landings"]) for row in landed["rows"]} == {
        ("Möwe", "2"),
        ("L'Étoile", "1"),
    }


def test_a_server_of_ones_own_is_loaded_into(
    checkout: Checkout, mysql: MysqlServer, new_mysql_warehouse: Any
) -> None:
    """With --warehouse-url no server is started, and the rows are where the URL says."""
    warehouse: Warehouse = new_mysql_warehouse()

    shown = harbour(
        checkout,
        *("--warehouse-url", "env", "--managed", "--dir", "theirs"),
        WAREHOUSE_DATABASE_URL=warehouse.loader_url,
    )

    assert rows_of(shown) == {"ship": 2, "captain": 2, "landing": 3}
    assert shown["questions"] == []
    assert not (checkout.folder / "theirs" / "mysqld").exists()
    names = run_sql(warehouse.superuser_url, "SELECT name FROM ship ORDER BY ship_id")
    assert names == [("Möwe",), ("L'Étoile",)]


def test_an_unprepared_warehouse_is_named_before_anything_starts(
    checkout: Checkout, new_mysql_warehouse: Any
) -> None:
    """What it lacks is known by a look, in a second, and not when everything is deployed."""
    warehouse: Warehouse = new_mysql_warehouse()

    done = checkout.deploy(
        *("local", "--once", "--warehouse-url", "env", "--dir", "unprepared"),
        PIPELINE="harbour",
        WAREHOUSE_DATABASE_URL=warehouse.loader_url,
    )

    assert done.returncode == 1
    said = json.loads(done.stdout)["error"]
    assert said.startswith(f"table ship is not in schema {warehouse.database} of the warehouse, or")
    assert "ministack" not in done.stderr


def test_totesys_goes_to_mysql_when_its_target_says_so(checkout: Checkout) -> None:
    """The change of the declaration that is documented is all that it takes, for stars as well."""
    [line] = re.findall(r"^\$ (perl .*)$", PAGE.read_text(), re.MULTILINE)
    subprocess.run(["/bin/sh", "-c", line], cwd=checkout.folder, check=True)

    done = checkout.deploy("local", "--once", "--managed", "--scale", "0.02", "--dir", "stars")

    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(done.stdout)
    rows = rows_of(shown)
    first, business = shown["runs"]
    assert rows["fact_sales_order"] >= first["loaded"]["fact_sales_order"] > 0
    assert rows["dim_date"] > 300
    # Each order has a payment; in one minute of seven nothing is sold.
    assert business["loaded"]["fact_payment"] > 0
    [sales] = [view for view in shown["views"] if view["view"] == "current_sales_order"]
    assert 0 < sales["rows"] < rows["fact_sales_order"]
    assert sales["deleted"] == 1
