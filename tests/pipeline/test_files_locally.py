"""A person with files: one command shows their results, and those of some with bad rows."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.checkout import Checkout, checked_out

MARKET = Path(__file__).parent.parent / "pipelines" / "market"
PATIENCE = 180.0
UP = "Ctrl-C stops everything."


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A copy of the code with the pipeline of a market."""
    with checked_out() as copied:
        shutil.copytree(MARKET, copied.folder / "pipelines" / "market")
        yield copied


def market(checkout: Checkout, *arguments: object) -> dict[str, Any]:
    """Run a command; an address of a real bucket in the environment is not used."""
    done = checkout.deploy(*arguments, PIPELINE="market", STALLS_BUCKET="somebodys-real-bucket")
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def shown(checkout: Checkout) -> dict[str, Any]:
    """What the sandbox says that ends after the first full cycle."""
    return market(checkout, "local", "--once", "--dir", "first")


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


def test_a_file_that_is_dropped_wakes_the_pipeline(checkout: Checkout) -> None:
    """The event of the bucket has it read, long before the schedule would; the script drops it."""
    page = checkout.folder / "pipelines" / "market" / "pipeline.py"
    page.write_text(page.read_text().replace('at_most=at_most("MARKET_AT_MOST"),', ""))
    sandbox = checkout.folder / "second"
    said = checkout.folder / "second.err"
    with said.open("w") as err:
        up = subprocess.Popen(
            [sys.executable, "deploy.py", "local", "--json", "--dir", sandbox],
            cwd=checkout.folder,
            env={**os.environ, "PIPELINE": "market", "EXTRACT_SCHEDULE": "rate(100 days)"},
            stdout=subprocess.DEVNULL,
            stderr=err,
            start_new_session=True,
        )
    try:
        _wait_until(lambda: UP in said.read_text() or up.poll() is not None)
        (checkout.folder / "price.csv").write_text("fruit;price\nplum;0.10\n")
        (checkout.folder / "sale.csv").write_text("fruit,pieces,day\nplum,5,2025-01-30\n")
        _shell(checkout, f"{shlex.quote(str(sandbox / 'drop'))} sale.csv price.csv")

        _wait_until(lambda: _newest_batch(checkout, sandbox) == 2)
    finally:
        os.killpg(up.pid, signal.SIGINT)
        up.wait(PATIENCE)


def _newest_batch(checkout: Checkout, sandbox: Path) -> int:
    env = shlex.quote(str(sandbox / "env"))
    program = f"{shlex.quote(sys.executable)} deploy.py status --json"
    status = json.loads(_shell(checkout, f". {env}; {program}"))
    newest: int = status["sources"]["desk"]["batches"]["extract"]["number"]
    return newest


def _shell(checkout: Checkout, line: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        ["/bin/sh", "-ec", line],
        cwd=checkout.folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _wait_until(is_so: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.5)
