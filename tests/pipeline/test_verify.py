"""`deploy.py verify`: each thing that is wrong in the logs, or in what they name, is named."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deployer.errors import OperationError
from deployer.operations import verify
from deployer.operations.ledger import Stage, named
from deployer.operations.proofs import Signatures
from deployer.operations.verified import Fault, Verified
from deployer.operations.verify import Ledger
from local.connection import connect
from tests.aws.kept import KeptAccounts
from tests.pipeline.conftest import Functions

INGESTED = "batches/source/{:010d}.json"
LOADED = "loaded/source/{:010d}.json"

Verify = Callable[..., Verified]


@dataclass
class Lake:
    """Two buckets, and what is in them."""

    s3: Any
    ingestion: str = "ingestion"
    processed: str = "processed"

    def ledger(self) -> Ledger:
        names: dict[Stage, str] = {"ingestion": self.ingestion}
        names |= dict.fromkeys(("processed", "loaded"), self.processed)
        return Ledger(self.s3, names, Signatures(None, None))

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def body(self, bucket: str, key: str) -> bytes:
        found: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return found

    def document(self, bucket: str, key: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body(bucket, key))
        return found


_recorded: dict[tuple[str, str], bytes] = {}
_kept: list[KeptAccounts] = []


def record(functions: Functions) -> None:
    """Let the functions write four batches that differ in what they have, and keep all objects."""
    functions.run()
    for statement in (
        "UPDATE design SET file_name = file_name || '+' WHERE design_id = 1",
        "UPDATE sales_order SET agreed_payment_date = 'soon' WHERE sales_order_id = 2",
        "DELETE FROM payment WHERE payment_id = 2",
    ):
        with connect(functions.source.superuser_url) as shop:
            shop.run(statement)
        functions.run()
    for name, bucket in (("ingestion", functions.ingestion), ("processed", functions.processed)):
        for key in functions.keys(bucket):
            _recorded[name, key] = functions.body(bucket, key)


@pytest.fixture
def lake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """Buckets with what the functions wrote: they run, and their objects are put, once."""
    if not _recorded:
        record(request.getfixturevalue("functions"))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        s3 = boto3.Session("key", "secret", region_name="us-east-1").client("s3")
        if _kept:
            _kept[0].restore()
        else:
            for bucket in ("ingestion", "processed"):
                s3.create_bucket(Bucket=bucket)
            for (bucket, key), body in _recorded.items():
                s3.put_object(Bucket=bucket, Key=key, Body=body)
            _kept.append(KeptAccounts())
        yield Lake(s3)


@pytest.fixture
def verified(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verify:
    """Return a function that verifies the logs of the lake."""
    monkeypatch.setattr(verify, "FILES", tmp_path / "verify")

    def run(first: int = 1, report: Callable[[str], None] = lambda _: None) -> Verified:
        return verify.verify_ledger(lake.ledger(), first, datetime.now(UTC), report)

    return run


@contextmanager
def overwritten(lake: Lake, bucket: str, key: str, body: bytes) -> Iterator[str]:
    """Exchange an object for a while; yield its URL."""
    before = lake.body(bucket, key)
    lake.s3.put_object(Bucket=bucket, Key=key, Body=body)
    yield f"s3://{bucket}/{key}"
    lake.s3.put_object(Bucket=bucket, Key=key, Body=before)


@contextmanager
def removed(lake: Lake, bucket: str, *keys: str) -> Iterator[list[str]]:
    """Remove objects for a while; yield their URLs."""
    before = {key: lake.body(bucket, key) for key in keys}
    for key in keys:
        lake.s3.delete_object(Bucket=bucket, Key=key)
    yield [f"s3://{bucket}/{key}" for key in keys]
    for key, body in before.items():
        lake.s3.put_object(Bucket=bucket, Key=key, Body=body)


def edited(lake: Lake, bucket: str, key: str, **changes: Any) -> bytes:
    return json.dumps(lake.document(bucket, key) | changes).encode()


def wrong(found: Verified) -> dict[str, str]:
    """Return what is wrong, by URL."""
    return {url: fault.what for url, fault in found.faults.items()}


def lengths(found: Verified) -> set[int]:
    """Return how many documents of the three logs were read."""
    assert found.logs.keys() == {f"source/{s}" for s in ("ingestion", "processed", "loaded")}
    return {chain.documents for chain in found.logs.values()}


def test_logs_that_nobody_has_touched_are_verified(lake: Lake, verified: Verify) -> None:
    """Every document of every log is read, and every object that one names is there unchanged."""
    found = verified()

    assert found.faults == {}
    assert found.notes == ["there is no proof yet: reconcile writes one each night"]
    chains = {name: (c.documents, c.newest, c.linked_from) for name, c in found.logs.items()}
    assert chains == {
        f"source/{stage}": (4, 4, 2) for stage in ("ingestion", "processed", "loaded")
    }
    assert found.objects == len(promised(lake))
    assert {key.split("/")[0] for _, key in promised(lake)} >= {
        "source", "keys", "tombstones", "quarantine", "fact_sales_order",
    }  # fmt: skip


def promised(lake: Lake) -> set[tuple[str, str]]:
    """Return all objects that some document names."""
    return {
        (each.bucket, each.key)
        for bucket in (lake.ingestion, lake.processed)
        for prefix in ("batches/", "loaded/")
        for key in lake.keys(bucket, prefix)
        for each in named(lake.document(bucket, key), bucket)
    }


def test_a_changed_byte_and_a_missing_object_are_named(lake: Lake, verified: Verify) -> None:
    """One object of each kind: rows, keys, deletions, quarantine, and rows of a target table."""
    kinds = {(bucket, key.split("/")[0]): key for bucket, key in sorted(promised(lake))}

    for (bucket, _), key in kinds.items():
        body = lake.body(bucket, key)
        flipped = bytes([body[0] ^ 1]) + body[1:]
        with overwritten(lake, bucket, key, flipped) as url:
            assert wrong(verified()) == {url: "changed"}
        with removed(lake, bucket, key) as [url]:
            assert wrong(verified()) == {url: "missing"}
    assert len(kinds) >= 6
    assert verified().faults == {}


def test_an_exchanged_document_is_named(lake: Lake, verified: Verify) -> None:
    """Whichever document is exchanged, the newest too, another one knows its digest."""
    for bucket, key, witness in (
        (lake.ingestion, INGESTED.format(2), INGESTED.format(3)),
        (lake.ingestion, INGESTED.format(4), INGESTED.format(4)),
        (lake.processed, INGESTED.format(2), INGESTED.format(3)),
        (lake.processed, INGESTED.format(4), LOADED.format(4)),
        (lake.processed, LOADED.format(2), LOADED.format(3)),
    ):
        with overwritten(lake, bucket, key, edited(lake, bucket, key, run="x")) as url:
            assert verified().faults == {url: Fault("changed", f"named by {witness}")}


def test_a_document_that_is_exchanged_with_its_successor_is_named(
    lake: Lake, verified: Verify
) -> None:
    """A forger who also corrects the next link is found by the link after that."""
    bucket = lake.processed
    forged = edited(lake, bucket, INGESTED.format(2), run="forged")
    with overwritten(lake, bucket, INGESTED.format(2), forged) as second:
        link = hashlib.sha256(forged).hexdigest()
        after = edited(lake, bucket, INGESTED.format(3), previous_sha256=link)
        with overwritten(lake, bucket, INGESTED.format(3), after) as third:
            assert wrong(verified()) == {
                second: "changed",  # by the marker of what was loaded
                third: "changed",
            }


def test_what_is_no_document_is_named(lake: Lake, verified: Verify) -> None:
    """Bytes that are no JSON, and a document under another number, are found by themselves."""
    bucket, key = lake.processed, LOADED.format(4)
    for body in (b"", b"{", b"[]", edited(lake, bucket, key, number=5)):
        with overwritten(lake, bucket, key, body) as url:
            assert verified().faults[url].why == "it is not the document of that number"


@pytest.mark.parametrize("cut", [(4,), (3, 4), (2,), (1, 2, 3, 4)])
def test_a_log_that_is_cut_short_is_named(
    lake: Lake, verified: Verify, cut: tuple[int, ...]
) -> None:
    """Documents that are gone, at the end too, are named by what was made from them."""
    for bucket in (lake.ingestion, lake.processed):
        with removed(lake, bucket, *map(INGESTED.format, cut)) as urls:
            assert wrong(verified()) == dict.fromkeys(urls, "missing")


def test_markers_that_are_cut_off_are_noticed(
    lake: Lake, verified: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No document names the newest marker: a batch that was not loaded in time is missing one."""
    with removed(lake, lake.processed, LOADED.format(3), LOADED.format(4)) as [url, _]:
        found = verified()
        assert found.faults == {}
        [note, _] = found.notes
        assert note.startswith("source/loaded ends at batch 2: nothing is of batch 4, which was")

        monkeypatch.setattr(verify, "IN_TIME", timedelta())
        assert wrong(verified()) == {url: "missing"}
    assert verified().faults == {}


def test_a_document_far_ahead_is_named(lake: Lake, verified: Verify) -> None:
    """Functions ignore it; whoever verifies learns that somebody put it there."""
    key = INGESTED.format(9_000_000)
    lake.s3.put_object(Bucket=lake.ingestion, Key=key, Body=b"{}")

    assert wrong(verified()) == {f"s3://{lake.ingestion}/{key}": "unexpected"}


def test_a_part_of_a_log_is_verified(lake: Lake, verified: Verify) -> None:
    """From a batch on, also by the digest of the batch before it; earlier ones are not read."""
    bucket = lake.ingestion
    [first] = [each.key for each in rows_of(lake, 1)][:1]
    with removed(lake, bucket, first):
        assert lengths(verified(3)) == {2}
        assert verified(3).faults == {}
    key = INGESTED.format(2)
    with overwritten(lake, bucket, key, edited(lake, bucket, key, run="x")) as url:
        assert verified(3).faults == {url: Fault("changed", f"named by {INGESTED.format(3)}")}
        assert verified(4).faults == {}
    with removed(lake, lake.processed, INGESTED.format(3)) as [url]:
        assert wrong(verified(3)) == {url: "missing"}
        assert verified(4).faults == {}
    with pytest.raises(OperationError, match="no batch from 5 on"):
        verified(5)


def rows_of(lake: Lake, batch: int) -> list[Any]:
    document = lake.document(lake.ingestion, INGESTED.format(batch))
    return list(named(document, lake.ingestion))


def test_superseded_objects_may_be_swept(lake: Lake, verified: Verify) -> None:
    """Older keys that the sweep has removed are not missing; those of the newest batch are."""
    bucket = lake.ingestion
    old, new = (lake.document(bucket, INGESTED.format(batch))["keys"] for batch in (1, 4))
    note = f"swept/source/ingestion/{old.split('/')[2]}.json"
    with removed(lake, bucket, old, new) as urls:
        assert sorted(verified().faults) == sorted(urls)
        lake.s3.put_object(Bucket=lake.processed, Key=note, Body=b"{}")
        assert list(verified().faults) == urls[1:]


def test_an_interrupted_verification_continues(
    lake: Lake, verified: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was verified is not read again, and what was wrong is not forgotten."""
    monkeypatch.setattr(verify, "AHEAD", 1)
    [first] = [each.key for each in rows_of(lake, 1)][:1]

    def stop(text: str) -> None:
        if text.startswith("source/processed 3"):
            raise KeyboardInterrupt

    with removed(lake, lake.ingestion, first) as [url]:
        with pytest.raises(KeyboardInterrupt):
            verified(report=stop)
        reported: list[str] = []
        found = verified(report=reported.append)

    assert reported[0] == "source/processed 4 of 4"
    assert found.faults == {url: Fault("missing", f"named by {INGESTED.format(1)}")}
    assert lengths(found) == {4}
    assert verified().faults == {}
