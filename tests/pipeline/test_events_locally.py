"""A person with events: one command posts samples through the endpoint, to the warehouse."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.checkout import checked_out
from tests.pipeline.started import Started, started

TILL = Path(__file__).parent.parent / "pipelines" / "till"
RARELY = "rate(100 days)"


@pytest.fixture(scope="module")
def up() -> Iterator[Started]:
    """A sandbox of a till, in a copy of the code."""
    with checked_out() as copied:
        shutil.copytree(TILL, copied.folder / "pipelines" / "till")
        program = copied.folder / "deploy.py"
        variables = {"PIPELINE": "till", "LOAD_SCHEDULE": RARELY}
        with started(copied.folder / "sandbox", program=program, **variables) as sandbox:
            yield sandbox


def test_one_command_posts_events_and_shows_answers_and_tables(up: Started) -> None:
    """Forgeries are refused, repetitions are stored once, and one without an id has its reason."""
    shown = up.document
    answers = {(each["status"], each["expected"]): each["posts"] for each in shown["answers"]}
    assert answers == {(200, 200): 43, (400, 400): 2}
    assert shown["endpoints"]["till"].endswith("/webhooks/till")
    assert up.rows() == {"sale": 40, "other": 1, "delivery": 0}
    [run] = shown["runs"]
    assert sum(each["rows"] for each in run["refused"].values()) == 1
    assert run["waiting"] == {}


def test_an_event_is_sent_to_what_is_up(up: Started) -> None:
    """`send` signs it and says the answer, `run` loads it, `status` has the URL and no backlog."""
    (up.directory.parent / "sale.json").write_text('{"id": "mine", "type": "sale.made"}')
    (up.directory.parent / "none.json").write_text("[]")

    sent = up.command("send sale.json --source till")
    refused = up.command("send none.json --source till", status=1)
    run = up.command("run")
    status = up.command("status")

    assert (sent["status"], json.loads(sent["answer"])) == (200, {"status": "stored"})
    assert sent["url"] == status["endpoints"]["till"]
    assert refused["status"] == 400
    assert run["loaded"] == {"sale": 1}
    assert (status["waiting_events"], status["dead_events"]) == (0, 0)
    assert status["functions"]["receive"]["state"] == "Active"
