"""`python teardown.py` as a person and a workflow meet it."""

import io
import json
import re
from pathlib import Path

import pytest

import teardown
from deployer.inventory import ResourceId
from deployer.receipt import Entry
from tests.aws.sandbox import Sandbox

ACCOUNT = "account 123456789012, region eu-west-2, stage dev"
WHOSE = "totesys-etl-dev in account 123456789012, region eu-west-2"


@pytest.fixture(autouse=True)
def environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials, and neither databases nor anybody's .env."""
    for name in ("PROJECT", "STAGE", "SOURCE_DATABASE_URL", "WAREHOUSE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    monkeypatch.chdir(tmp_path)


class Terminal(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


def queue_only(sandbox: Sandbox) -> None:
    sandbox.deployer().create_queue()


def without_seconds(text: str) -> list[str]:
    """Return lines without the time that a step took; a wait took `some` seconds."""
    lines = re.sub(r"waited \d+ s", "waited some s", text).split("\n")
    return [" ".join(line.split()[:-2]) if line.endswith(" s") else line for line in lines]


def test_it_lists_asks_removes_and_gives_a_receipt(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Typing the stage removes everything that was listed, and prints a receipt."""
    queue_only(sandbox)
    monkeypatch.setattr("sys.stdin", Terminal("dev\n"))

    assert teardown.main([]) == 0

    shown = capsys.readouterr()
    assert without_seconds(shown.err) == [
        ACCOUNT,
        "search the account",
        "This will be removed, with everything in it:",
        "  queue         totesys-etl-dev-failed-events",
        "This cannot be undone. Type the stage, dev, to remove all of it:",
        "  removed  queue         totesys-etl-dev-failed-events",
        "  waited some s for late log lines and objects",
        "remove, and look again",
        "",
    ]
    lines = shown.out.splitlines()
    assert "removed      queue         totesys-etl-dev-failed-events" in lines
    assert "already gone function      totesys-etl-dev-load" in lines
    assert lines[-1] == f"1 removed, nothing left of {WHOSE}."


@pytest.mark.parametrize("answer", ["", "y\n", "DEV\n", "dev2\n"])
def test_any_other_answer_removes_nothing(
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
) -> None:
    """Only the name of the stage removes it; everything else leaves everything, with status 1."""
    queue_only(sandbox)
    sandbox.writes.clear()
    monkeypatch.setattr("sys.stdin", Terminal(answer))

    assert teardown.main([]) == 1
    assert capsys.readouterr().err.endswith("error: nothing was removed\n")
    assert len(sandbox.account.clients.sqs.list_queues()["QueueUrls"]) == 1


def test_without_a_terminal_it_needs_the_option(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody can agree, nothing is removed, and the option that is missing is named."""
    queue_only(sandbox)
    monkeypatch.setattr("sys.stdin", io.StringIO("dev\n"))

    assert teardown.main([]) == 2
    assert capsys.readouterr().err.endswith(
        "error: there is no terminal to ask at: use --yes to remove without asking\n"
    )
    assert len(sandbox.account.clients.sqs.list_queues()["QueueUrls"]) == 1


def test_an_empty_account_is_not_asked_about(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is nothing to remove, that is all that is said, with status 0."""
    monkeypatch.setattr("sys.stdin", io.StringIO())

    assert teardown.main([]) == 0
    assert capsys.readouterr().out == f"Nothing to remove: nothing is left of {WHOSE}.\n"


def test_json_is_one_document(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the receipt is all that stdout gets."""
    queue_only(sandbox)

    assert teardown.main(["--yes", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    entries = [Entry(**entry) for entry in document.pop("entries")]
    assert document == {
        "account": "123456789012",
        "region": "eu-west-2",
        "project": "totesys-etl",
        "stage": "dev",
        "complete": True,
    }
    assert Entry("queue", "totesys-etl-dev-failed-events", "removed") in entries


def test_the_buckets_are_not_listed_when_they_are_kept(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --keep-data a bucket is neither asked about nor removed, and that counts as done."""
    sandbox.deployer().create_bucket("code")
    monkeypatch.setattr("sys.stdin", io.StringIO())

    assert teardown.main(["--keep-data"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "kept         bucket        totesys-etl-dev-123456789012-eu-west-2-code" in lines
    assert lines[-1] == f"0 removed, 1 kept, nothing else left of {WHOSE}."


def test_something_that_stays_is_status_1(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A teardown that leaves anything has failed."""
    stays = ResourceId("other", "arn:aws:rds:eu-west-2:123456789012:db:totesys")
    monkeypatch.setattr("deployer.teardown.tagged", lambda *_: [stays])

    assert teardown.main(["--yes"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"0 removed, 1 left of {WHOSE}. Fix the causes above, then run again."
    )


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("STAGE", "Dev!", "error: STAGE is malformed: 'Dev!'. Example: STAGE=dev\n"),
        ("AWS_REGION", "", "error: AWS_REGION is not set. Example: AWS_REGION=eu-west-2\n"),
    ],
)
def test_wrong_settings_are_status_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    message: str,
) -> None:
    """A malformed setting is named in one line before anything is looked at."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv(variable, value)

    assert teardown.main(["--yes"]) == 2
    assert capsys.readouterr().err == message


def test_a_pipeline_that_is_gone_can_be_removed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its declaration, the names alone find what is deployed; tags find its secrets."""
    sandbox.start_deployed()
    monkeypatch.setenv("PIPELINE", "forgotten")
    monkeypatch.setenv("PROJECT", "totesys-etl")

    assert teardown.main(["--yes"]) == 0

    assert "removed      secret        totesys-etl/dev/source" in capsys.readouterr().out
    assert sandbox.account.clients.secrets.list_secrets()["SecretList"] == []
