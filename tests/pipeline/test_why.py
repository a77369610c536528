"""`deploy.py why`: the life of a row is what reading everything finds, and is found quickly."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

import deploy
from deployer.query.cache import Cache
from deployer.resources.names import Names
from deployer.why import command
from etl import keymarks
from local.connection import connect
from tests.documentation import commands, run_by
from tests.pipeline.conftest import Functions
from tests.pipeline.everything import Everything
from tests.pipeline.ground import run_sql
from tests.pipeline.test_replay import replay

Ask = Callable[..., str]


@pytest.fixture
def ask(
    functions: Functions,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Ask:
    """Return what runs the command, and returns its stdout."""
    buckets = {"processed": functions.processed, "ingestion": functions.ingestion}
    monkeypatch.setattr(Names, "bucket", lambda _, use: buckets[use])
    monkeypatch.setattr(command, "Cache", lambda: Cache(tmp_path / "cache"))
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", functions.warehouse.loader_url)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        status = deploy.main(["why", *arguments])
        out, err = capsys.readouterr()
        return out if status == 0 else err

    return run


def live(functions: Functions) -> None:
    """Have rows wait, be corrected, joined with others, refused, deleted and loaded again."""
    with connect(functions.source.superuser_url) as source:
        [[department, location]] = source.run(
            "SELECT department_id, location FROM department JOIN staff USING (department_id)"
            " ORDER BY staff_id LIMIT 1"
        )
        put = "UPDATE department SET location = :location WHERE department_id = :id"
        source.run(put, location=None, id=department)
        source.run("UPDATE payment SET payment_amount = 'NaN' WHERE payment_id = 6")
        functions.run()
        rule = "ALTER TABLE fact_sales_order ADD CONSTRAINT rule CHECK (units_sold <> 13)"
        run_sql(functions.warehouse.superuser_url, rule)
        source.run("UPDATE sales_order SET units_sold = 13 WHERE sales_order_id IN (1, 2)")
        source.run("UPDATE department SET department_name = 'Renamed'")
        source.run("UPDATE payment SET payment_amount = 7 WHERE payment_id = 6")
        functions.run()
        source.run(put, location=location, id=department)
        source.run("DELETE FROM payment WHERE payment_id = 3")
        source.run("UPDATE sales_order SET units_sold = 14 WHERE sales_order_id = 2")
        functions.run()
    no_rule = "ALTER TABLE fact_sales_order DROP CONSTRAINT rule"
    run_sql(functions.warehouse.superuser_url, no_rule)
    replay(functions, 2)


def test_rows_of_a_database_have_the_life_that_reading_everything_finds(
    functions: Functions, ask: Ask, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through joins, quarantine, deletion and a replay, with an index, and what was refused."""
    monkeypatch.setattr(keymarks, "STRETCH", 2)
    live(functions)

    for prefix in ("batches", "loaded"):
        key = f"{prefix}/source/{2:010d}.json"
        assert "index" in functions.document(functions.processed, key)
    never = {("fact_sales_order", key, 2) for key in ("1", "2")}
    everything = Everything(functions, "totesys", "source", refused=never)
    assert everything.unexplained(tmp_path / "cache", Random(seed)) == []
    life = json.loads(ask("fact_sales_order", "2", "--json"))["life"]
    refused = [step["refused_by_warehouse"] for step in life]
    assert [each and (each["reason"], each["outcome"]) for each in refused] == [
        None,
        ("a check constraint does not hold [23514], constraint rule", "superseded"),
        None,
    ]


def test_the_commands_of_why_answer(ask: Ask, functions: Functions) -> None:
    """Each line of the page can be typed."""
    functions.run()
    [block] = run_by("test_the_commands_of_why_answer")
    staff, order, payment = [ask(*shlex.split(line)[3:]) for line in commands(block.text)]

    assert "    staff_id = 1" in staff.splitlines()
    [step] = json.loads(order)["life"]
    assert (step["batch"], step["what"]) == (1, "new")
    assert [each["table"] for each in step["made_from"]] == ["sales_order"]
    assert "  from payment 3 of batch 1" in payment.splitlines()


def test_the_page_shows_what_the_command_says(ask: Ask, functions: Functions) -> None:
    """The story on the page is that of a row, but for its times and numbers."""
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE department SET location = NULL WHERE department_id = 5")
        functions.run()
        source.run("UPDATE department SET location = 'Sheffield' WHERE department_id = 5")
        functions.run()
    [block] = run_by("test_the_page_shows_what_the_command_says")

    assert without_numbers(ask("dim_staff", "1")) == without_numbers(block.text)


def without_numbers(text: str) -> list[str]:
    """Return the lines of a story without times, ids and the numbers of batches."""
    shown = re.sub(r"database totesys \d+,", "database totesys,", text)
    return [re.sub(r"\d[\d:. -]*", "0", line).rstrip() for line in shown.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing", "1"], "there is no target table nothing. There are: dim_counterparty"),
        (["dim_staff", "1", "2"], "dim_staff has the key staff_id: write 1 of KEY"),
        (["dim_staff", "x"], "staff_id of target table dim_staff is Integer, and KEY not"),
    ],
)
def test_what_cannot_be_answered_says_why(ask: Ask, arguments: list[str], says: str) -> None:
    """A wrong table and a key that is none are one clear error."""
    assert says in ask(*arguments)
