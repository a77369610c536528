"""A person with files: one command shows their results, and those of some with bad rows."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.checkout import Checkout, checked_out
from tests.pipeline.ground import wait_until
from tests.pipeline.started import PATIENCE, Started, started

MARKET = Path(__file__).parent.parent / "pipelines" / "market"


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A copy of the code with the pipeline of a market."""
    with checked_out() as copied:
        shutil.copytree(MARKET, copied.folder / "pipelines" / "market")
        yield copied


@pytest.fixture(scope="module")
def shown(checkout: Checkout) -> dict[str, Any]:
    """The document of one run; an address of a real bucket in the environment is not used."""
    done = checkout.deploy(
        *("local", "--once", "--dir", "sandbox"),
        PIPELINE="market",
        STALLS_BUCKET="somebodys-real-bucket",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_one_command_shows_what_becomes_of_files(shown: dict[str, Any]) -> None:
    """Dropped and somebody else's are loaded; the model, its export and the mails are shown."""

    rows = {table["table"]: table["rows"] for table in shown["tables"]}
    assert rows == {"price": 2, "sale": 40, "stall": 2, "takings": 1}
    [takings] = shown["models"]
    assert takings["model"] == "reports.takings"
    assert [row["takings"] for row in takings["rows"]] == ["430.50"]
    [run] = shown["runs"]
    assert run["batches"] == {"desk": 1, "stalls": 1}
    assert [url.partition("-processed/")[2].rpartition("/")[0] for url in run["exports"]] == [
        "exports/reports/takings"
    ]
    assert any("The market took 430.50." in mail["text"] for mail in shown["mails"])


def test_it_shows_what_is_refused_of_a_bad_drop(shown: dict[str, Any]) -> None:
    """Though a drop was read today; the errors have line, reason, and the row as it came."""
    refusal = shown["refusal"]

    assert refusal["run"]["batches"]["desk"] == 2
    [(key, refused)] = refusal["run"]["refused"].items()
    assert (key, refused["rows"], refused["of"], refused["reason"]) == ("sale.csv", 1, 41, None)
    [header, row] = refusal["errors"][refused["errors"]]
    assert header == "line,reasons,row"
    assert row.startswith("42,pieces is not a whole number: 'ten',\"pear,ten,")
    assert len(refusal["mails"]) == 1


def test_a_file_that_is_dropped_wakes_the_pipeline(
    checkout: Checkout, shown: dict[str, Any]
) -> None:
    """The event of the bucket has it read, long before the schedule would; the script drops it."""
    page = checkout.folder / "pipelines" / "market" / "pipeline.py"
    page.write_text(page.read_text().replace('at_most=at_most("MARKET_AT_MOST"),', ""))
    program = checkout.folder / "deploy.py"
    variables = {"PIPELINE": "market", "EXTRACT_SCHEDULE": "rate(100 days)"}
    with started(checkout.folder / "sandbox", program=program, **variables) as up:
        before = newest_batch(up)
        (checkout.folder / "price.csv").write_text("fruit;price\nplum;0.10\n")
        (checkout.folder / "sale.csv").write_text("fruit,pieces,day\nplum,5,2025-01-30\n")
        dropped = up.shell('"$DIRECTORY/drop" sale.csv price.csv')
        assert dropped.returncode == 0, dropped.stderr

        wait_until(lambda: newest_batch(up) > before, "the files are read", PATIENCE)


def newest_batch(up: Started) -> int:
    newest: int = up.command("status")["sources"]["desk"]["batches"]["extract"]["number"]
    return newest
