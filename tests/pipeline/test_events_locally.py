"""A person with events: one command posts samples through the endpoint, to the warehouse."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.checkout import Checkout, checked_out
from tests.pipeline.ground import wait_until

TILL = Path(__file__).parent.parent / "pipelines" / "till"
UP = "Ctrl-C stops everything."
SHOWN = "shown.json"
PATIENCE = 300.0


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A copy of the code with the pipeline of a till."""
    with checked_out() as copied:
        shutil.copytree(TILL, copied.folder / "pipelines" / "till")
        yield copied


@pytest.fixture(scope="module")
def command(checkout: Checkout) -> Iterator[Any]:
    """What runs a command of deploy.py in a sandbox that is up."""
    with _up(checkout) as command:
        yield command


@pytest.mark.usefixtures("command")
def test_one_command_posts_events_and_shows_answers_and_tables(checkout: Checkout) -> None:
    """Forgeries are refused, repetitions are stored once, and one without an id has its reason."""
    shown = json.loads((checkout.folder / SHOWN).read_text())

    answers = {(each["status"], each["expected"]): each["posts"] for each in shown["answers"]}
    assert answers == {(200, 200): 43, (400, 400): 2}
    assert shown["endpoints"]["till"].endswith("/webhooks/till")
    rows = {table["table"]: table["rows"] for table in shown["tables"]}
    assert rows == {"sale": 40, "other": 1, "delivery": 0}
    [run] = shown["runs"]
    assert sum(each["rows"] for each in run["refused"].values()) == 1
    assert run["waiting"] == {}


def test_an_event_is_sent_to_what_is_up(checkout: Checkout, command: Any) -> None:
    """`send` signs it and says the answer, `run` loads it, `status` has the URL and no backlog."""
    (checkout.folder / "sale.json").write_text('{"id": "mine", "type": "sale.made"}')
    (checkout.folder / "none.json").write_text("[]")
    sent = command("send sale.json --source till")
    refused = command("send none.json --source till", status=1)
    run = command("run")
    status = command("status")

    assert (sent["status"], json.loads(sent["answer"])) == (200, {"status": "stored"})
    assert sent["url"] == status["endpoints"]["till"]
    assert refused["status"] == 400
    assert run["loaded"] == {"sale": 1}
    assert (status["waiting_events"], status["dead_events"]) == (0, 0)
    assert status["functions"]["receive"]["state"] == "Active"


@contextmanager
def _up(checkout: Checkout) -> Iterator[Any]:
    """Keep a sandbox up; yields what runs a command of deploy.py in it."""
    said = checkout.folder / "said"
    with said.open("w") as err, (checkout.folder / SHOWN).open("w") as out:
        up = subprocess.Popen(
            [sys.executable, "deploy.py", "local", "--json", "--dir", "sandbox"],
            cwd=checkout.folder,
            env={**_clean(), "PIPELINE": "till", "LOAD_SCHEDULE": "rate(100 days)"},
            stdout=out,
            stderr=err,
        )
    env = shlex.quote(str(checkout.folder / "sandbox" / "env"))

    def command(line: str, status: int = 0) -> Any:
        program = f". {env}; {shlex.quote(sys.executable)} deploy.py {line} --json"
        done = subprocess.run(
            ["/bin/sh", "-c", program],
            cwd=checkout.folder,
            env=_clean(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout)

    try:
        wait_until(lambda: UP in said.read_text() or up.poll() is not None, "it is up", PATIENCE)
        yield command
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(PATIENCE)


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
