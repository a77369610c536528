"""Packages installed beside credentials: locked wheels, and nothing that only tests need."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def locked(name: str) -> dict[str, str]:
    return dict(PINNED.findall((ROOT / "requirements" / name).read_text()))


def test_a_deployment_installs_what_was_tested_and_no_test_tool() -> None:
    """Its packages have the versions that the tests ran with, and none of them tests or checks."""
    deployed, tested = locked("deploy.txt"), locked("dev.txt")

    assert deployed.items() <= tested.items()
    assert {"boto3", "python-dotenv", "rich"} <= deployed.keys()
    assert not {"pytest", "moto", "hypothesis", "ruff", "kingfisher-bin"} & deployed.keys()


@pytest.mark.parametrize(
    "lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda p: p.name
)
def test_every_package_is_known_by_its_hash(lock: Path) -> None:
    """A package that the registry exchanged is refused, whichever lock it stands in."""
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", lock.read_text())
    pinned = [entry for entry in entries if PINNED.match(entry)]

    assert pinned
    assert all("--hash=sha256:" in entry for entry in pinned)


def test_make_installs_wheels_with_hashes_alone() -> None:
    """No package of the registry runs its code while it is installed."""
    makefile = (ROOT / "Makefile").read_text()
    installs = [line for line in makefile.splitlines() if "pip install" in line]

    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "--only-binary :all:" in installs[0]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_where_credentials_are_no_test_tool_is_installed(workflow: Path) -> None:
    """A job that is given secrets sets up what a deployment needs."""
    text = workflow.read_text()

    assert ("secrets." in text) == ("make setup-deploy" in text)
    assert not re.search(r"make setup$", text, re.MULTILINE)
