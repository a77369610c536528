"""Proofs of reconcile: written once, linked to the one before, signed, and without any row."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.common.errors import CorruptLogError
from functions.reconcile.proof import Signer, compared, prove
from functions.targets import Counted
from tests.unit.fake_bucket import FakeBucket

NIGHT = datetime(2024, 11, 16, 3, 5, 7, tzinfo=UTC)
KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234"
TABLE = {"pending": 0, "error": None}
FOUND: Mapping[str, dict[str, Any]] = {
    "shop": {"agrees": True, "batch": 7, "heads": {}, "tables": {"fact": TABLE}}
}


class FakeKms:
    """A key that signs, unless it is disabled."""

    def __init__(self, *, is_enabled: bool = True) -> None:
        self.is_enabled = is_enabled

    def sign(self, **asked: Any) -> dict[str, bytes]:
        if not self.is_enabled:
            raise PermissionError("the key is disabled")
        return {"Signature": b"signature of " + asked["Message"]}


def proofs(bucket: FakeBucket) -> dict[str, Any]:
    return {key: json.loads(body) for key, body in bucket.objects.items()}


def test_a_proof_is_named_by_its_day_and_says_what_was_found() -> None:
    """Anyone can read it: when, what, and what it does not show."""
    bucket = FakeBucket()

    assert prove(bucket, FOUND, None, NIGHT) == []

    [(key, proof)] = proofs(bucket).items()
    assert key == "proofs/2024-11-16.json"
    assert proof.pop("run")
    assert proof == {
        "written_at": "2024-11-16T03:05:07Z",
        "previous": None,
        "signed_with": None,
        "agrees": True,
        "not_shown": [],
        "sources": FOUND,
    }


def test_each_proof_names_the_one_before() -> None:
    """Also the second one of a day, which is written beside the first and never over it."""
    bucket = FakeBucket()
    for later in (timedelta(), timedelta(hours=1), timedelta(days=1)):
        assert prove(bucket, FOUND, None, NIGHT + later) == []

    keys = [f"proofs/2024-11-{name}.json" for name in ("16", "16-040507", "17")]
    links = [
        {"key": key, "sha256": hashlib.sha256(bucket.objects[key]).hexdigest()} for key in keys
    ]
    assert [proofs(bucket)[key]["previous"] for key in keys] == [None, *links[:2]]


def test_a_proof_whose_answer_was_lost_is_not_written_twice() -> None:
    """S3 may have written an object although the request was repeated and refused."""

    class Repeating(FakeBucket):
        def put_new(self, key: str, body: bytes, metadata: Mapping[str, str] = {}) -> bool:
            super().put_new(key, body, metadata)
            return super().put_new(key, body, metadata)

    bucket = Repeating()

    assert prove(bucket, FOUND, None, NIGHT) == []
    assert list(bucket.objects) == ["proofs/2024-11-16.json"]


def test_the_bytes_of_the_object_are_signed() -> None:
    """The signature is kept with the object, as metadata, with the key that made it."""
    bucket = FakeBucket()
    prove(bucket, FOUND, Signer(FakeKms(), KEY), NIGHT)

    [(key, body)] = bucket.objects.items()
    assert json.loads(body)["signed_with"] == KEY
    assert bucket.metadata[key]["signature-key"] == KEY
    assert bucket.metadata[key]["signature-algorithm"] == "ECDSA_SHA_256"
    assert bucket.metadata[key]["signature"]


def test_a_proof_that_cannot_be_signed_is_written_and_reported() -> None:
    """The night's comparison is not lost with the key, and the run fails."""
    bucket = FakeBucket()

    [failure] = prove(bucket, FOUND, Signer(FakeKms(is_enabled=False), KEY), NIGHT)

    assert isinstance(failure, PermissionError)
    [proof] = proofs(bucket).values()
    assert (proof["signed_with"], proof["not_shown"]) == (None, ["it could not be signed"])
    assert bucket.metadata["proofs/2024-11-16.json"] == {}


def test_a_name_that_another_program_has_taken_is_an_error() -> None:
    """Nothing is overwritten, whoever wrote it."""
    taken = [f"proofs/2024-11-{name}.json" for name in ("16", "16-030507", "16-030507-000000")]
    bucket = FakeBucket(dict.fromkeys(taken, b"{}"))

    [failure] = prove(bucket, FOUND, None, NIGHT)

    assert isinstance(failure, CorruptLogError)
    assert bucket.objects == dict.fromkeys(taken, b"{}")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"agrees": False, "error": "it could not be compared"}, "shop: it could not be compared"),
        ({"agrees": True, "batch": None, "tables": {}}, "shop: no batch is in the target"),
        (
            {"agrees": True, "batch": 7, "tables": {"fact": {**TABLE, "error": "gone"}}},
            "fact: it could not be compared",
        ),
        (
            {"agrees": True, "batch": 7, "tables": {"fact": {**TABLE, "pending": 2}}},
            "fact: rows that changed after batch 7",
        ),
    ],
)
def test_what_a_proof_does_not_show_is_in_it(found: dict[str, Any], said: str) -> None:
    """A table without a comparison, rows on their way, and a source that could not be read."""
    bucket = FakeBucket()
    prove(bucket, {"shop": found}, None, NIGHT)

    [proof] = proofs(bucket).values()
    assert proof["not_shown"] == [said]
    assert proof["agrees"] is found["agrees"]


def test_no_key_of_a_row_is_in_a_proof() -> None:
    """Proofs are kept for years, and given to auditors: they have counts alone."""
    table = {**vars(Counted(1, 1, examples={"missing": [4711]})), "error": None, "note": None}

    assert "4711" not in json.dumps(compared({"fact": table}))
