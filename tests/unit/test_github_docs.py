"""The workflows keep the promises of docs/github.md."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "github.md").read_text()
WORKFLOWS = {path.name: path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml")}
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
