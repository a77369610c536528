"""What `deploy.py verify` prints: chains, faults by name, and what could not be verified."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployer.operations.verified import Chain, Fault, Verified, kept
from deployer.operations.verified_view import verified_view
from deployer.terminal import Terminal

NOW = datetime(2025, 1, 30, 12, tzinfo=UTC)
BUCKET = "totesys-etl-dev-123456789012-eu-west-2-ingestion"


def found(**changes: object) -> Verified:
    logs = {
        "source/ingestion": Chain(1234, 2, 0, 1234, "0a"),
        "source/loaded": Chain(1230, 41, 3, 1230, "0b"),
    }
    verified = Verified(1, NOW.isoformat(), logs, objects=7, bytes=1_500_000)
    for name, value in changes.items():
        setattr(verified, name, value)
    return verified


def shown(verified: Verified, capsys: pytest.CaptureFixture[str]) -> str:
    Terminal().result(verified.document(), *verified_view(verified))
    return capsys.readouterr().out


def test_what_was_verified_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Each log has a line, and what a chain does not cover is said."""
    lines = [line.rstrip() for line in shown(found(), capsys).splitlines()]

    assert lines == [
        "log               documents  newest  linked from",
        "source/ingestion      1,234  1234    2",
        "source/loaded         1,230  1230    41",
        "7 objects, 1.5 MB, compared with their digests",
        "source/loaded: the chain begins at 40: an earlier version wrote the rest",
        "source/loaded: 3 later ones have no link, as after a rollback",
        "nothing is missing or changed",
    ]
    assert found().document()["notes"] == lines[4:6]


def test_each_fault_is_named_below_its_bucket(capsys: pytest.CaptureFixture[str]) -> None:
    """The object, what is wrong with it, and by what that is known."""
    faults = {
        f"s3://{BUCKET}/batches/source/0000000002.json": Fault("changed", "named by x"),
        f"s3://{BUCKET}/batches/source/0000000009.json": Fault("missing", "named by y"),
    }
    said = shown(found(logs={}, faults=faults), capsys)

    assert said.splitlines()[2:] == [
        f"s3://{BUCKET}/",
        "  changed: batches/source/0000000002.json",
        "    named by x",
        "  missing: batches/source/0000000009.json",
        "    named by y",
        "2 objects are not as they should be",
    ]
    assert all(len(line) <= 80 for line in said.splitlines())


def test_many_faults_are_cut_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """The first are shown, and how many more `--json` lists."""
    faults = {f"s3://b/{number}": Fault("missing", "named by x") for number in range(25)}
    verified = found(logs={}, faults=faults)

    assert "and 5 more: --json lists all of them" in shown(verified, capsys)
    assert len(verified.document()["faults"]) == 25
    assert verified.document()["ok"] is False


def test_what_was_found_is_kept_for_a_day(tmp_path: Path) -> None:
    """An interrupted verification continues, from the same batch on and within a day."""
    file = tmp_path / "verify" / "b.json"
    verified = found(faults={"s3://b/1": Fault("missing", "named by x")})
    verified.keep(file)

    assert kept(file, 1, NOW) == verified
    assert kept(file, 2, NOW) is None
    assert kept(file, 1, NOW + timedelta(days=1)) is None
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"logs": {"a": 1}}', "null"])
def test_a_file_of_another_form_is_ignored(tmp_path: Path, text: str) -> None:
    """What another version has left there is no reason to fail."""
    file = tmp_path / "b.json"
    file.write_text(text)

    assert kept(file, 1, NOW) is None
    assert json.dumps(found().document())
