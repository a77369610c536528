"""`deploy.py verify` follows what a manifest keeps in separate objects, because it is long."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployer.aws.account import Account
from deployer.operations import verify
from deployer.operations.proofs import Signatures
from functions.common.accounts import FileRead, FileVersion, KnownFiles
from functions.common.batchlog import BatchLog
from functions.common.manifests import IngestionManifest, Source
from functions.common.storage import Bucket

NOW = datetime(2024, 11, 16, 3, tzinfo=UTC)
COPIES = [f"files/shop/2024-11-16/0000000001-{number}" for number in range(400)]


def a_copied_file(number: int) -> FileRead:
    file = FileVersion("theirs", f"reports/{number}.csv", "version", "etag", 1, NOW)
    digest = hashlib.sha256(COPIES[number].encode()).hexdigest()
    return FileRead("thing", file, [], 0, [], copy=COPIES[number], copy_sha256=digest)


@pytest.fixture
def s3(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket with a batch of so many files that they are in a separate list."""
    monkeypatch.setattr(verify, "FILES", tmp_path / "verify")
    s3 = account.clients.s3
    for bucket in ("ingestion", "processed"):
        where: Any = {"LocationConstraint": "eu-west-2"}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    for key in COPIES:
        s3.put_object(Bucket="ingestion", Key=key, Body=key.encode())
    manifest = IngestionManifest(
        batch=1,
        written_at=NOW,
        run="run",
        source=Source("", 0, "theirs", NOW),
        tables={},
        missing={},
        keys=None,
        keys_sha256=None,
        key_parts={},
        files=[a_copied_file(number) for number in range(len(COPIES))],
        known=KnownFiles(since=1),
    )
    assert BatchLog(Bucket(s3, "ingestion"), "shop", IngestionManifest).claim(manifest)
    return s3


def faults(s3: Any) -> dict[str, str]:
    buckets: Any = {"ingestion": "ingestion", "processed": "processed", "loaded": "processed"}
    ledger = verify.Ledger(s3, buckets, Signatures(None, None))
    found = verify.verify_ledger(ledger, 1, NOW, lambda _: None)
    return {url: fault.what for url, fault in found.faults.items()}


def test_what_only_a_long_list_names_is_verified(s3: Any) -> None:
    """A copy of a file that is changed or gone is named, as of a short manifest."""
    assert faults(s3) == {}

    s3.put_object(Bucket="ingestion", Key=COPIES[7], Body=b"other bytes")
    s3.delete_object(Bucket="ingestion", Key=COPIES[399])

    assert faults(s3) == {
        f"s3://ingestion/{COPIES[7]}": "changed",
        f"s3://ingestion/{COPIES[399]}": "missing",
    }


@pytest.mark.parametrize("body", [b"[]", b"", None])
def test_a_long_list_that_is_damaged_is_named(s3: Any, body: bytes | None) -> None:
    """It is an object with a digest like any other, and the verification goes on."""
    [key] = [
        found["Key"]
        for found in s3.list_objects_v2(Bucket="ingestion", Prefix="lists/")["Contents"]
    ]
    if body is None:
        s3.delete_object(Bucket="ingestion", Key=key)
    else:
        s3.put_object(Bucket="ingestion", Key=key, Body=body)

    assert faults(s3) == {f"s3://ingestion/{key}": "missing" if body is None else "changed"}
