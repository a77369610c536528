"""`deploy.py verify` as a command: its exit status, what it prints, and the key of the settings."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import deploy
from deployer.aws.account import Account
from deployer.operations import verify
from deployer.resources.names import Names
from functions.common.batchlog import BatchLog
from functions.common.storage import Bucket
from functions.reconcile.proof import Signer, prove
from tests.unit.linked import Linked

NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
INGESTION, PROCESSED = NAMES.bucket("ingestion"), NAMES.bucket("processed")
NOW = datetime(2024, 11, 16, 3, tzinfo=UTC)


@pytest.fixture(autouse=True)
def connected(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify, "FILES", tmp_path / "verify")
    monkeypatch.setattr("deploy.account.connect", lambda *_, **__: account)
    monkeypatch.setenv("PIPELINE", "totesys")
    for name in ("PROJECT", "STAGE", "PROOF_KEY"):
        monkeypatch.delenv(name, raising=False)


def write_batches(account: Account, *, proven: Signer | None = None) -> None:
    """Write a log of two batches, and a proof of it."""
    s3 = account.clients.s3
    for bucket in (INGESTION, PROCESSED):
        where: Any = {"LocationConstraint": "eu-west-2"}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    log = BatchLog(Bucket(s3, INGESTION), "shop", Linked)
    assert all(log.claim(Linked(batch, NOW, "run")) for batch in (1, 2))
    found: dict[str, Any] = {"agrees": True, "batch": None, "tables": {}, "heads": {}}
    assert prove(Bucket(s3, PROCESSED), {"shop": found}, proven, NOW) == []


def test_a_ledger_that_is_whole_ends_with_0(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the chains as a table, or as one JSON document and nothing else."""
    write_batches(account)

    assert deploy.main(["verify", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["faults"], said["notes"], said["proofs"]) == (True, {}, [], 1)
    assert said["logs"]["shop/ingestion"]["documents"] == 2

    assert deploy.main(["verify", "--from", "2"]) == 0
    shown = capsys.readouterr()
    assert "shop/ingestion          1  2       2" in shown.out
    assert "nothing is missing or changed" in shown.out
    assert "verify the ledger" in shown.err


def test_what_is_missing_or_changed_ends_with_1(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each object is named, below its bucket."""
    write_batches(account)
    key = "batches/shop/0000000001.json"
    account.clients.s3.put_object(Bucket=INGESTION, Key=key, Body=b"{}")

    assert deploy.main(["verify"]) == 1
    shown = capsys.readouterr().out
    assert f"s3://{INGESTION}/\n  changed: {key}" in shown
    assert deploy.main(["verify", "--json"]) == 1
    assert list(json.loads(capsys.readouterr().out)["faults"]) == [f"s3://{INGESTION}/{key}"]


def test_where_nothing_is_to_be_verified_is_said(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """An account without buckets, and buckets without a batch, are not in order."""
    assert deploy.main(["verify"]) == 1
    assert f"s3://{INGESTION} has no batch: there is nothing to verify" in capsys.readouterr().err


@pytest.mark.parametrize("batch", ["0", "-1", "x", "1.5", "10000000000"])
def test_what_is_no_batch_is_a_wrong_usage(batch: str) -> None:
    """Before anything is read."""
    assert deploy.main(["verify", f"--from={batch}"]) == 2


def test_signatures_are_checked_by_the_key_of_the_settings(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that PROOF_KEY names, whichever key a proof says."""
    kms = account.clients.kms
    keys = [
        kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        for _ in range(2)
    ]
    write_batches(account, proven=Signer(kms, keys[0]))

    said = []
    for key, status in ((keys[0], 0), (keys[1], 1), ("", 0)):
        monkeypatch.setenv("PROOF_KEY", key)
        assert deploy.main(["verify", "--json"]) == status
        found = json.loads(capsys.readouterr().out)
        said.append((found["notes"], [each["what"] for each in found["faults"].values()]))

    assert said == [
        ([], []),
        ([], ["unsigned"]),
        (["signatures of proofs were not checked: PROOF_KEY is not set"], []),
    ]
