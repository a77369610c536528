"""The command line: what each command prints, and the exit status it ends with."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import deploy
from deployer.aws.changes import Change
from deployer.errors import OperationError
from deployer.operations.pipeline import Run
from deployer.packaging.packages import ROOT
from deployer.rollback import RolledBack
from tests.unit.conftest import (
    ACCOUNT,
    COSTS,
    IN_NO_TIME,
    SETTINGS,
    WHO,
    Command,
    running,
)


def deploying(monkeypatch: pytest.MonkeyPatch, *changes: Change, failing: str = "") -> None:
    """Let a deployment make these changes, after which a function is `failing`."""

    def deployer(_account: Any, _settings: Any, _packages: Any, report: Any) -> Any:
        def deploy() -> list[Change]:
            for change in changes:
                report(change)
            return list(changes)

        def check_functions() -> None:
            if failing:
                raise OperationError(failing)

        return SimpleNamespace(
            deploy=deploy,
            check_functions=check_functions,
            one_run_at_a_time=True,
            network=SimpleNamespace(surroundings=None),
        )

    monkeypatch.setattr(deploy, "Deployer", deployer)
    monkeypatch.setattr("deploy.sns.unconfirmed", lambda *_: [])


CREATED = Change("bucket", "totesys-etl-dev-code", "created", {"tags": (None, {"project": "p"})})
UPDATED = Change(
    "function", "totesys-etl-dev-load", "updated", {"memory": (256, 512), "runtime": ("a", "b")}
)
REMOVED = Change("layer version", "totesys-etl-dev-arrow:3", "removed")
LEFT = Change("queue", "totesys-etl-dev-failed-events", "left")


def test_deploy_reports_what_it_did(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account comes first, then what changes, then how much it was, and what it costs."""
    os.environ.update(SETTINGS)
    deploying(monkeypatch, CREATED, UPDATED, REMOVED, LEFT)

    assert command() == (
        0,
        f"1 created, 1 updated, 1 removed, 1 unchanged\n{COSTS.text()}\n",
        (
            "source targets is left out: TARGETS_BUCKET is not set\n"
            "source rates is left out: RATES_URL is not set\n"
            "reports are left out: REPORTS_TOKEN is not set, and REPORTS_AUTH is not iam\n"
            f"{WHO}\n"
            "  created  bucket        totesys-etl-dev-code\n"
            "  updated  function      totesys-etl-dev-load\n"
            "  removed  layer version totesys-etl-dev-arrow:3\n"
            f"{'deploy the pipeline':<68}{IN_NO_TIME}\n"
            f"{'check each function in Lambda':<68}{IN_NO_TIME}\n"
        ),
    )


def test_a_function_that_reaches_less_than_it_needs_fails_the_deployment(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is deployed, and each problem is a line with the function and what to do."""
    os.environ.update(SETTINGS)
    deploying(monkeypatch, LEFT, failing="load: target: no right: ask for it\npage: start: gone")

    status, _, err = command()

    assert status == 1
    assert err.splitlines()[-2:] == [
        "error: load: target: no right: ask for it",
        "error: page: start: gone",
    ]


@pytest.mark.parametrize("problem", ["", "load: target: no right: ask for it"])
def test_a_rollback_checks_what_runs_then(
    command: Command, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    """What was restored is said before what it cannot reach."""
    os.environ.update(SETTINGS)
    done = RolledBack([UPDATED], "12:00", "11:00", ["load"])
    asked: list[str] = []

    def check(account: object, names: object, uses: list[str]) -> None:
        asked.extend(uses)
        if problem:
            raise OperationError(problem)

    rollback = SimpleNamespace(roll_back=lambda: done)
    monkeypatch.setattr(deploy, "Rollback", lambda *_: rollback)
    monkeypatch.setattr(deploy, "require_working", check)

    status, out, err = command("rollback")

    assert (status, asked) == (int(bool(problem)), ["load"])
    assert out == "0 created, 1 updated, 0 removed, 0 unchanged\n"
    assert done.text() in err
    assert problem in err


def test_deploy_as_json(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program reads what was done, and the estimate of a month, as data."""
    os.environ.update(SETTINGS)
    deploying(monkeypatch, REMOVED, LEFT)

    status, out, _ = command("--json")

    assert (status, json.loads(out)) == (
        0,
        {
            "counts": {"removed": 1, "left": 1},
            "changes": [
                {
                    "kind": "layer version",
                    "name": "totesys-etl-dev-arrow:3",
                    "action": "removed",
                    "differences": {},
                }
            ],
            "monthly_cost_usd": COSTS.total,
            "drop_bucket": None,
            "endpoints": {},
        },
    )


def test_plan_names_every_attribute(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan with pending changes shows before and after, and exits 3."""
    os.environ.update(SETTINGS)
    deploying(monkeypatch, CREATED, UPDATED, REMOVED, LEFT, failing="a plan asks no function")

    status, out, _ = command("plan")

    assert (status, out) == (
        3,
        (
            "create  bucket totesys-etl-dev-code\n"
            "update  function totesys-etl-dev-load\n"
            "          memory: 256 -> 512\n"
            "          runtime: a -> b\n"
            "remove  layer version totesys-etl-dev-arrow:3\n"
        ),
    )


def test_plan_in_sync(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan without changes says so, and exits 0."""
    os.environ.update(SETTINGS)
    deploying(monkeypatch, LEFT)

    status, out, _ = command("plan")

    assert (status, out) == (0, "in sync: deploy would change nothing\n")


def test_plan_as_json(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program reads the changes as data, wherever --json stands."""
    os.environ.update(SETTINGS)
    deploying(monkeypatch, UPDATED, LEFT)
    document = {
        "counts": {"updated": 1, "left": 1},
        "changes": [
            {
                "kind": "function",
                "name": "totesys-etl-dev-load",
                "action": "updated",
                "differences": {"memory": [256, 512], "runtime": ["a", "b"]},
            }
        ],
    }

    for arguments in (("plan", "--json"), ("--json", "plan")):
        status, out, _ = command(*arguments)
        assert (status, json.loads(out)) == (3, document)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["plan", "--once"], "unrecognized arguments: --once"),
        (["local", "--onc"], "unrecognized arguments: --onc"),
        (["local", "--port", "0"], "argument --port: '0' is not a port (1 to 65535)"),
        (["local", "--port", "x"], "argument --port: 'x' is not a port (1 to 65535)"),
        (
            ["local", "--postgres-port", "65536"],
            "argument --postgres-port: '65536' is not a port (1 to 65535)",
        ),
        (["local", "--scale", "0"], "argument --scale: '0' is not a number from 0.01 to 1000"),
        (["local", "--scale", "nan"], "argument --scale: 'nan' is not a number from 0.01 to 1000"),
        (["local", "--scale", "big"], "argument --scale: 'big' is not a number from 0.01 to 1000"),
    ],
)
def test_wrong_usage_is_one_line(command: Command, arguments: list[str], problem: str) -> None:
    """Wrong usage exits 2 with one line, and with --json the line is a document."""
    status, out, err = command(*arguments)

    assert (status, out) == (2, "")
    assert err.startswith(f"error: {problem}. `python deploy.py")
    assert err.endswith("--help` shows the usage.\n")
    status, out, _ = command(*arguments, "--json")
    assert (status, json.loads(out)["error"].split(". `")[0]) == (2, problem)


def test_missing_settings_are_named_at_once(command: Command) -> None:
    """All settings that are missing are named, with an example each, before anything is touched."""
    example = "postgresql://user:password@host:5432/database"

    assert command("plan") == (
        2,
        "",
        (
            f"error: SOURCE_DATABASE_URL is not set. Example: SOURCE_DATABASE_URL={example}\n"
            f"error: WAREHOUSE_DATABASE_URL is not set. Example: WAREHOUSE_DATABASE_URL={example}\n"
        ),
    )


def test_settings_come_from_a_file_too(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Settings in .env count, unless the environment says otherwise."""
    settings = tmp_path / ".env"
    settings.touch(0o600)
    settings.write_text("STAGE=from-the-file\nPROJECT=from-the-file\n")
    os.environ["STAGE"] = "dev"
    running(monkeypatch, Run())

    assert command("run")[2] == f"{WHO}\n"
    assert os.environ["PROJECT"] == "from-the-file"


GOES_ON = "what is under way in AWS goes on; the same command follows it"


@pytest.mark.parametrize("json_only", [True, False])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], GOES_ON),
        (["replay", "3"], GOES_ON),
        (["reconcile"], GOES_ON),
        (["status"], "completed steps are kept; run again to continue"),
    ],
)
def test_ctrl_c_is_no_traceback(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
    json_only: bool,
) -> None:
    """An interrupted command says what that means; functions go on with what they were asked."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(deploy, "Pipeline", interrupted)
    monkeypatch.setattr(deploy, "read_status", interrupted)

    assert command(*words, *(["--json"] if json_only else [])) == (
        130,
        json.dumps({"error": f"interrupted: {said}"}) + "\n" if json_only else "",
        f"{WHO}\nerror: interrupted: {said}\n",
    )


def test_a_reader_that_has_enough_is_no_traceback() -> None:
    """As `deploy.py query … | head` closes the pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "deploy.py", "ddl", "--json"]
    environment = {**os.environ, "PIPELINE": "totesys"}

    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is full")
def test_a_full_device_is_no_traceback() -> None:
    command = [sys.executable, "deploy.py", "ddl", "--json"]
    environment = {**os.environ, "PIPELINE": "totesys"}

    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=full, stderr=subprocess.PIPE, check=False
        )

    said = b"error: the answer: no space is left on the device\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_an_emulator_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not AWS itself, the first line says so."""
    running(monkeypatch, Run())
    elsewhere = SimpleNamespace(**vars(ACCOUNT) | {"endpoint": "http://127.0.0.1:4566"})
    monkeypatch.setattr("deploy.account.connect", lambda *_, **__: elsewhere)

    assert command("run")[2] == f"{WHO} at http://127.0.0.1:4566\n"


def test_an_unconfirmed_address_is_pointed_out(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody should think that alarms reach an address that has not been confirmed."""
    os.environ.update(SETTINGS)
    deploying(monkeypatch)
    monkeypatch.setattr("deploy.sns.unconfirmed", lambda *_: ["team@example.com"])

    assert command()[2].splitlines()[-1] == (
        "team@example.com receives no alarms until the link in the e-mail from AWS is opened"
    )
