"""The workflows keep the promises of docs/github.md."""

import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from deployer.resources.names import FunctionUse

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "github.md").read_text()
WORKFLOWS = {path.name: path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml")}
# YAML reads the key `on` as a truth value.
PARSED: dict[str, Any] = {
    name: {"on" if key is True else key: value for key, value in yaml.safe_load(text).items()}
    for name, text in WORKFLOWS.items()
}
STAGES = {"sandbox": "dev", "production": "prod"}
SUBJECT = "repo:OWNER/REPOSITORY:environment:sandbox"


def test_the_trust_policy_names_repository_and_environment() -> None:
    """Only a run of one environment of one repository may take the role: nothing is a wildcard."""
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (statement,) = json.loads(block)["Statement"]

    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": SUBJECT,
        }
    }


@pytest.mark.parametrize("name", ["deploy.yml", "teardown.yml"])
def test_the_environment_is_the_one_of_the_page(name: str) -> None:
    """The environment that the page describes controls access to the secrets."""
    assert f"environment: {SUBJECT.rpartition(':')[2]}\n" in WORKFLOWS[name]


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_no_secret_is_given_to_a_whole_job(name: str) -> None:
    """A secret is in the environment of a step: deeper than the keys of a job."""
    for line in WORKFLOWS[name].splitlines():
        if "secrets." in line:
            assert len(line) - len(line.lstrip()) >= 10


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_a_pull_request_runs_without_rights(name: str) -> None:
    """No workflow runs a stranger's code with the rights of the repository."""
    assert "pull_request_target" not in WORKFLOWS[name]
    assert "\npermissions: {}\n" in WORKFLOWS[name]
    used = re.findall(r"uses: (\S+)", WORKFLOWS[name])
    assert all(re.search(r"@[0-9a-f]{40}$", use) or use.startswith("$/") for use in used)


def test_a_deployment_from_github_gets_every_setting() -> None:
    """What `.env` sets on a laptop, a secret or a variable of the environment sets on GitHub."""
    settings = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    passed = re.findall(
        r"^ +([A-Z_]+): \$\{\{ (?:vars|secrets)", WORKFLOWS["deploy.yml"], re.MULTILINE
    )

    assert settings
    assert set(settings) <= set(passed)


def test_a_commit_is_tested_once() -> None:
    """On main before it is deployed, elsewhere in its pull request; a newer push ends that run."""
    assert sorted(PARSED["test.yml"]["on"]) == [
        "pull_request",
        "workflow_call",
        "workflow_dispatch",
    ]
    assert PARSED["deploy.yml"]["on"] == {"push": {"branches": ["main"], "tags": ["v*"]}}
    assert [name for name, each in PARSED.items() if "push" in each["on"]] == ["deploy.yml"]
    ended = PARSED["test.yml"]["concurrency"]["cancel-in-progress"]
    assert ended == "${{ github.event_name == 'pull_request' }}"


def test_one_python_on_linux_is_the_default() -> None:
    """The other systems are tested at night and by a label: macOS costs ten times as much."""
    strategy = PARSED["test.yml"]["jobs"]["test"]["strategy"]
    condition, every, default = re.fullmatch(
        r"\$\{\{ fromJSON\((.*?) && '(\[.*?\])' \|\| '(\[.*?\])'\) \}\}",
        strategy["matrix"]["include"],
        re.DOTALL,
    ).groups()  # type: ignore[union-attr]

    assert [each["system"] for each in json.loads(default)] == ["ubuntu-24.04"]
    assert {each["system"] for each in json.loads(every)} == {"ubuntu-24.04", "macos-15"}
    assert json.loads(default)[0] in json.loads(every)
    assert "'every system'" in condition
    assert PARSED["nightly.yml"]["jobs"]["test"]["with"] == {"every-system": True}
    assert "schedule" in PARSED["nightly.yml"]["on"]


@pytest.mark.parametrize("environment", STAGES)
def test_a_teardown_that_waits_is_not_cancelled(environment: str) -> None:
    """What changes one account is in one queue, which has room for all that wait, in order."""
    jobs = [PARSED[name]["jobs"][environment] for name in ("deploy.yml", "teardown.yml")]

    for job in jobs:
        assert job["concurrency"] == {
            "group": environment,
            "cancel-in-progress": False,
            "queue": "max",
        }
        assert job["environment"] == environment
        assert job["env"]["STAGE"] == f"${{{{ vars.STAGE || '{STAGES[environment]}' }}}}"


def test_each_stage_is_deployed_and_removed_by_the_same_steps() -> None:
    """What was tried out on main in the sandbox is what a tag does in production."""
    for name in ("deploy.yml", "teardown.yml"):
        sandbox, production = (PARSED[name]["jobs"][environment] for environment in STAGES)
        assert sandbox["steps"] == production["steps"]
        assert sandbox["permissions"] == production["permissions"]
    deploy = PARSED["deploy.yml"]["jobs"]
    assert deploy["sandbox"]["if"] == "github.ref == 'refs/heads/main'"
    assert deploy["production"]["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert deploy["sandbox"]["needs"] == deploy["production"]["needs"] == "test"


def test_a_teardown_knows_every_role_that_a_deployment_knows() -> None:
    """It would take a role of the user's for the deployment's own, and remove it."""
    named = {
        name: {
            setting: value
            for step in PARSED[name]["jobs"]["sandbox"]["steps"]
            for setting, value in step.get("env", {}).items()
            if setting.endswith("_ROLE_ARN")
        }
        for name in ("deploy.yml", "teardown.yml")
    }
    every = [f"{use.upper()}_ROLE_ARN" for use in get_args(FunctionUse)]

    assert sorted(named["deploy.yml"]) == sorted(every)
    assert named["teardown.yml"] == named["deploy.yml"]


@pytest.mark.parametrize(
    ("hours", "is_due"), [(-1, False), (0.5, True), (7.9, True), (8.1, False), (119, False)]
)
def test_a_sandbox_is_emptied_before_it_expires(hours: float, is_due: bool, tmp_path: Path) -> None:
    """The comparison is made every six hours, so one of them is in the last eight."""
    [step] = PARSED["teardown.yml"]["jobs"]["due"]["steps"]
    moment = (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="seconds")
    output = tmp_path / "output"
    given = {**os.environ, "SANDBOX_EXPIRES_AT": moment, "GITHUB_OUTPUT": str(output)}

    subprocess.run(["bash", "-e", "-c", step["run"]], env=given, check=True, capture_output=True)

    assert output.exists() == is_due
    assert not is_due or output.read_text() == "is-due=true\n"
    assert PARSED["teardown.yml"]["on"]["schedule"] == [{"cron": "41 */6 * * *"}]


@pytest.mark.parametrize(("typed", "status"), [("dev", 0), ("prod", 1), ("", 1)])
def test_a_teardown_by_hand_is_confirmed(typed: str, status: int) -> None:
    """By typing the stage; a wrong one removes nothing."""
    step = PARSED["teardown.yml"]["jobs"]["sandbox"]["steps"][0]

    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        env={**os.environ, "STAGE": "dev", "TYPED": typed},
        capture_output=True,
        check=False,
    )

    assert done.returncode == status
    assert step["if"] == "github.event_name == 'workflow_dispatch'"
