"""`deploy.py verify --from` begins with the first marker of the batch, whatever came after it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployer.aws.account import Account
from deployer.operations import verify
from deployer.operations.proofs import Signatures
from etl import keymarks

NOW = datetime(2024, 11, 16, 3, tzinfo=UTC)


@pytest.fixture
def s3(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two empty buckets, and an index of markers for each three."""
    monkeypatch.setattr(verify, "FILES", tmp_path / "verify")
    monkeypatch.setattr(keymarks, "STRETCH", 3)
    s3 = account.clients.s3
    for bucket in ("ingestion", "processed"):
        where: Any = {"LocationConstraint": "eu-west-2"}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    return s3


def mark(s3: Any, *batches: int, indexed: bool) -> None:
    """Write markers of some batches, each of which names an object that is missing."""
    for number, batch in enumerate(batches, 1):
        missing = {"key": f"refused/{number}", "sha256": "0" * 64}
        marker = {"number": number, "batch": batch, "refused": [missing], "written_at": str(NOW)}
        if indexed and number % 3 == 0:
            marker["index"] = [[each, str(NOW)] for each in batches[number - 3 : number]]
        body = json.dumps(marker).encode()
        s3.put_object(Bucket="processed", Key=f"loaded/shop/{number:010d}.json", Body=body)


def verified(s3: Any, first: int) -> list[int]:
    """Return the markers whose objects are reported as missing."""
    buckets: Any = {"ingestion": "ingestion", "processed": "processed", "loaded": "processed"}
    ledger = verify.Ledger(s3, buckets, Signatures(None, None))
    found = verify.verify_ledger(ledger, first, NOW, lambda _: None)
    prefix = "s3://processed/refused/"
    return sorted(int(url.removeprefix(prefix)) for url in found.faults if url.startswith(prefix))


@pytest.mark.parametrize("indexed", [True, False])
def test_markers_before_a_restore_are_verified_too(s3: Any, *, indexed: bool) -> None:
    """After it their batches begin again, so they do not ascend."""
    mark(s3, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, indexed=indexed)

    assert verified(s3, 5) == [5, 6, 7, 8, 9, 10, 11]
    assert verified(s3, 6) == [11]


@pytest.mark.parametrize("indexed", [True, False])
def test_a_damaged_marker_hides_none_before_it(s3: Any, *, indexed: bool) -> None:
    """It says no batch: it may be of one that is to be verified."""
    mark(s3, 1, 2, 3, 4, 5, 6, 7, indexed=indexed)
    for body in (b"{}", b'{"index": 3}', b'{"index": [1, [], ["x"]]}'):
        s3.put_object(Bucket="processed", Key="loaded/shop/0000000006.json", Body=body)
        assert verified(s3, 4) == [4, 5, 7]
        assert verified(s3, 7) == [7]
    s3.put_object(Bucket="processed", Key="loaded/shop/0000000004.json", Body=b"{}")
    assert verified(s3, 4) == [5, 7]
