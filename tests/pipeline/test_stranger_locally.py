"""A person with their own database: two commands, and a warehouse equals it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pg8000.native import identifier

from local.connection import connect
from local.postgres import PostgresServer
from tests.pipeline.checkout import Checkout, checked_out
from tests.pipeline.test_new_pipeline import STRANGERS

# A calendar, a target table under another name, and one more.
CHANGES = {
    "from etl import (": "from etl import (\n    Calendar,",
    "    latest(genre),": '    latest(genre, name="style"),\n    history(invoice, name="billed"),',
    "TARGET_TABLES)]": 'TARGET_TABLES, calendar=Calendar("days"))]',
}


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    """A copy of the code, to which a pipeline may be added."""
    with checked_out() as copied:
        yield copied


def test_two_commands_keep_a_strangers_database_in_a_warehouse(
    postgres: PostgresServer, database_numbers: Iterator[int], checkout: Checkout
) -> None:
    """`new` declares it, and `local` loads it, also after a change; what is not loaded is named."""
    name = f"music {next(database_numbers)}"
    with connect(postgres.superuser_url()) as connection:
        connection.run(f"CREATE DATABASE {identifier(name)}")
    with connect(url := postgres.superuser_url(name)) as connection:
        connection.run((STRANGERS / "music.sql").read_text())
        [[tracks]] = connection.run('SELECT count(*) FROM "Track"')

    said: list[str] = []

    def command(*arguments: str) -> Any:
        variables = {"PIPELINE": "music", "SOURCE_DATABASE_URL": url}
        done = checkout.deploy(*arguments, "--source-url", "env", **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stderr)
        return json.loads(done.stdout)

    command("new", "music")
    document = command("local", "--once", "--dir", "sandbox")

    rows = {table["table"]: table["rows"] for table in document["tables"]}
    assert rows["Track"] == tracks > 0
    assert min(rows.values()) > 0
    views = {view["view"]: view["rows"] for view in document["views"]}
    assert views["current_InvoiceLine"] == rows["InvoiceLine"]

    page = checkout.folder / "pipelines" / "music" / "pipeline.py"
    changed = page.read_text()
    for old, new in CHANGES.items():
        assert old in changed
        changed = changed.replace(old, new)
    page.write_text(changed)
    with connect(url) as connection:
        connection.run("""INSERT INTO "Invoice" VALUES (0, 1, '2999-01-01', 1)""")
    document = command("local", "--once", "--dir", "sandbox")

    again = {table["table"]: table["rows"] for table in document["tables"]}
    rows["style"] = rows.pop("Genre")
    rows["billed"], rows["Invoice"] = rows["Invoice"], rows["Invoice"] + 1
    # A history of stamps alone has no dates for the calendar.
    assert again == {**rows, "days": 0}
    assert "put aside" not in said[1]
    assert (
        "Invoice: 1 row put aside, not loaded: start again without --once, then "
        "`. sandbox/env; python deploy.py status`\n"
    ) in said[2]
