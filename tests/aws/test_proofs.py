"""Proofs as `deploy.py verify` checks them: their chain, their signatures, and what they name."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deployer.operations import verify
from deployer.operations.proofs import Signatures
from deployer.operations.verified import Fault, Verified
from functions.common.batchlog import BatchLog
from functions.common.storage import Bucket
from functions.reconcile.proof import Signer, prove
from tests.unit.linked import Linked

NIGHT = datetime(2024, 11, 16, 3, tzinfo=UTC)
NIGHTS = [f"proofs/2024-11-{16 + night}.json" for night in range(3)]


@dataclass
class Proven:
    """A log of three batches, with a proof after each, and the key that signs them."""

    s3: Any
    kms: Any
    key: str

    def verified(self, key: str | None) -> Verified:
        buckets: Any = dict.fromkeys(("processed", "loaded"), "processed")
        signatures = Signatures(self.kms, key)
        ledger = verify.Ledger(self.s3, {"ingestion": "ingestion", **buckets}, signatures)
        return verify.verify_ledger(ledger, 1, NIGHT, lambda _: None)

    def body(self, key: str, bucket: str = "processed") -> bytes:
        found: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return found

    def write(self, key: str, body: bytes, **metadata: str) -> None:
        self.s3.put_object(Bucket="processed", Key=key, Body=body, Metadata=metadata)

    def metadata(self, key: str) -> dict[str, str]:
        found: dict[str, str] = self.s3.head_object(Bucket="processed", Key=key)["Metadata"]
        return found


Proving = Callable[..., Proven]


@pytest.fixture
def proving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proving]:
    """Return a function that has proofs written, of which the first are not signed."""
    monkeypatch.setattr(verify, "FILES", tmp_path)
    with mock_aws():
        session = boto3.Session("key", "secret", region_name="us-east-1")
        s3, kms = session.client("s3"), session.client("kms")
        for bucket in ("ingestion", "processed"):
            s3.create_bucket(Bucket=bucket)

        def prove_each(unsigned: int = 0) -> Proven:
            made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
            key = made["KeyMetadata"]["Arn"]
            log = BatchLog(Bucket(s3, "ingestion"), "shop", Linked)
            for night in range(3):
                assert log.claim(Linked(night + 1, NIGHT, "run"))
                head = {"number": night + 1, "sha256": log.digest(night + 1)}
                found = {"agrees": True, "batch": 1, "tables": {}, "heads": {"ingestion": head}}
                signer = Signer(kms, key) if night >= unsigned else None
                at = NIGHT + timedelta(days=night)
                assert prove(Bucket(s3, "processed"), {"shop": found}, signer, at) == []
            return Proven(s3, kms, key)

        yield prove_each


def test_signed_proofs_are_verified(proving: Proving) -> None:
    """With the key nothing is left to say; without it that signatures were not checked."""
    proven = proving()

    assert (proven.verified(proven.key).faults, proven.verified(proven.key).notes) == ({}, [])
    assert proven.verified(proven.key).proofs == 3
    assert proven.verified(None).faults == {}
    assert proven.verified(None).notes == [
        "signatures of proofs were not checked: PROOF_KEY is not set"
    ]


def test_proofs_from_before_the_key_are_covered_by_later_ones(proving: Proving) -> None:
    """A signature also holds for the earlier proofs, whose digests are in the signed one."""
    proven = proving(unsigned=2)

    assert (proven.verified(proven.key).faults, proven.verified(proven.key).notes) == ({}, [])


def test_the_newest_proof_has_to_be_signed(proving: Proving) -> None:
    """Whoever has just set the key learns what to do; whoever exchanges all proofs is found."""
    proven = proving(unsigned=3)

    [(url, fault)] = proven.verified(proven.key).faults.items()

    assert (url, fault.what) == (f"s3://processed/{NIGHTS[2]}", "unsigned")
    assert "`python deploy.py reconcile` writes one that is" in fault.why


@pytest.mark.parametrize("night", NIGHTS)
def test_a_changed_proof_is_named(proving: Proving, night: str) -> None:
    """By its signature, and by the next proof; the newest one by its signature alone."""
    proven = proving()
    changed = proven.body(night).replace(b'"agrees": true', b'"agrees": false')
    proven.write(night, changed, **proven.metadata(night))

    url = f"s3://processed/{night}"
    assert proven.verified(proven.key).faults == {
        url: Fault("changed", "its signature is not valid")
    }


def test_a_proof_that_lost_its_signature_is_named(proving: Proving) -> None:
    """Nor is one accepted that somebody else's key has signed."""
    proven = proving()
    other = {**proven.metadata(NIGHTS[2]), "signature-key": proven.key.replace("/", "/0")}
    for metadata in ({}, other):
        proven.write(NIGHTS[2], proven.body(NIGHTS[2]), **metadata)

        faults = proven.verified(proven.key).faults

        assert {url: fault.what for url, fault in faults.items()} == {
            f"s3://processed/{NIGHTS[2]}": "unsigned"
        }


def test_junk_for_a_signature_is_no_error(proving: Proving) -> None:
    """What is no signature at all is not valid, and the verification goes on."""
    proven = proving()
    for junk in ("", "%", "AAAA"):
        metadata = {**proven.metadata(NIGHTS[2]), "signature": junk}
        proven.write(NIGHTS[2], proven.body(NIGHTS[2]), **metadata)

        faults = proven.verified(proven.key).faults

        assert [fault.why for fault in faults.values()] == ["its signature is not valid"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]"])
def test_what_is_no_proof_is_named(proving: Proving, body: bytes) -> None:
    """An object of another form is not passed over."""
    proven = proving(unsigned=3)
    proven.write(NIGHTS[2], body)

    assert proven.verified(None).faults == {
        f"s3://processed/{NIGHTS[2]}": Fault("changed", "it is not a proof")
    }


def test_a_proof_of_odd_content_names_nothing(proving: Proving) -> None:
    """Whatever somebody writes there, the verification ends with what is wrong."""
    proven = proving(unsigned=3)
    previous = json.loads(proven.body(NIGHTS[2]))["previous"]
    odd: list[Any] = [None, [], {"shop": None}, {"shop": {"heads": []}}]
    for sources in (*odd, {"shop": {"heads": {"ingestion": 1}}}):
        body = json.dumps({"previous": previous, "sources": sources}).encode()
        proven.write(NIGHTS[2], body)

        assert proven.verified(None).faults == {}


def test_a_proof_that_was_removed_is_named(proving: Proving) -> None:
    """The next one knows that it was there."""
    proven = proving()
    for night, following in pairwise(NIGHTS):
        body, metadata = proven.body(night), proven.metadata(night)
        proven.s3.delete_object(Bucket="processed", Key=night)

        assert proven.verified(proven.key).faults == {
            f"s3://processed/{night}": Fault("missing", f"named by {following}")
        }
        proven.write(night, body, **metadata)


def test_logs_that_were_all_cut_are_named_by_a_proof(proving: Proving) -> None:
    """Where no other document is left that names the newest batch, the night's proof does."""
    proven = proving()
    key = "batches/shop/0000000003.json"
    before = proven.body(key, "ingestion")

    proven.s3.delete_object(Bucket="ingestion", Key=key)
    gone = proven.verified(proven.key).faults
    proven.s3.put_object(Bucket="ingestion", Key=key, Body=before.replace(b"run", b"RUN"))
    exchanged = proven.verified(proven.key).faults

    url = f"s3://ingestion/{key}"
    assert gone == {url: Fault("missing", f"named by {NIGHTS[2]}")}
    assert exchanged == {url: Fault("changed", f"named by {NIGHTS[2]}")} or url in exchanged


def test_proofs_are_left_where_everything_else_is_gone(proving: Proving) -> None:
    """A log that was emptied is no reason to say that there is nothing to verify."""
    proven = proving()
    for number in (1, 2, 3):
        proven.s3.delete_object(Bucket="ingestion", Key=f"batches/shop/{number:010d}.json")

    assert set(proven.verified(proven.key).faults) == {
        f"s3://ingestion/batches/shop/{number:010d}.json" for number in (1, 2, 3)
    }
