"""Long lists of manifests: in separate objects, read as they were written or not at all."""

import hashlib
import json
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from deployer.operations.batchlog import lists_of
from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError
from functions.common.longlists import MOST_BYTES
from functions.common.manifests import IngestionManifest
from tests.unit.fake_bucket import FakeBucket
from tests.unit.test_manifests import INGESTION

KEY = "batches/source/{:010d}.json"
DRIFT = [f"column {number} of table {number} was added" for number in range(20_000)]


def log_of(bucket: FakeBucket) -> BatchLog[IngestionManifest]:
    return BatchLog(bucket, "source", IngestionManifest)


def manifest(batch: int, drift: list[str]) -> IngestionManifest:
    return replace(INGESTION, batch=batch, drift=drift, written_at=datetime(2024, 3, 1, tzinfo=UTC))


def written(*drifts: list[str]) -> FakeBucket:
    bucket = FakeBucket()
    log = log_of(bucket)
    for batch, drift in enumerate(drifts, start=1):
        assert log.claim(manifest(batch, drift))
    return bucket


def lists(bucket: FakeBucket) -> list[str]:
    return [key for key in bucket.objects if key.startswith("lists/")]


def test_a_long_manifest_is_short_and_reads_the_same() -> None:
    """It has less than 100 kB, whatever it says, and what reads it sees all of it."""
    bucket = written(DRIFT)
    body = bucket.objects[KEY.format(1)]
    [key] = lists(bucket)
    found = log_of(bucket).read(1)

    assert len(body) < MOST_BYTES
    assert msgspec.json.decode(body)["form"] == 2
    assert key.startswith("lists/batches/source/2024-03-01/0000000001-")
    assert (found.drift, found.tables, found.schemas) == (
        DRIFT,
        INGESTION.tables,
        INGESTION.schemas,
    )
    assert key in found.objects  # so it is no orphan


def test_a_short_manifest_has_no_lists_and_the_first_form() -> None:
    """It is what it was: earlier code reads it as well."""
    bucket = written(["a column was added"])

    assert lists(bucket) == []
    assert not {"elsewhere", "form"} & msgspec.json.decode(bucket.objects[KEY.format(1)]).keys()
    assert log_of(bucket).read(1).elsewhere is UNSET


def test_a_list_that_stays_the_same_is_written_once() -> None:
    """A source with a thousand tables does not store their columns every minute."""
    bucket = written(DRIFT, DRIFT, DRIFT[1:])
    first, second, third = (log_of(bucket).read(batch).elsewhere for batch in (1, 2, 3))

    assert first == second != third
    assert len(lists(bucket)) == 2
    log = log_of(bucket)
    log.read(3)
    assert log.claim(manifest(4, DRIFT[1:]))
    assert len(lists(bucket)) == 2


@pytest.mark.parametrize("left", [0, 1])
def test_a_list_of_an_emptied_log_is_written_again(left: int) -> None:
    """A warm function names no object that was removed with the log that it had."""
    bucket = FakeBucket()
    log = log_of(bucket)
    for batch in (1, 2):
        assert log.newest() == batch - 1
        assert log.claim(manifest(batch, DRIFT))

    bucket.empty()
    if left:  # by another function, which had no such list yet
        assert log_of(bucket).claim(manifest(1, []))
    assert log.newest() == left
    if left:
        log.read(left)
    assert log.claim(manifest(left + 1, DRIFT))

    assert log_of(bucket).read(left + 1).drift == DRIFT


def test_a_list_that_is_damaged_or_gone_is_no_short_list() -> None:
    """The error names the object."""
    bucket = written(DRIFT)
    [key] = lists(bucket)
    value = bucket.objects[key]
    bucket.objects[key] = value.replace(b"column 7 ", b"column 8 ")
    with pytest.raises(CorruptLogError, match=f"s3://lake/{key} is damaged"):
        log_of(bucket).read(1)
    del bucket.objects[key]
    with pytest.raises(CorruptLogError, match=f"s3://lake/{key} is not there"):
        log_of(bucket).read(1)


@pytest.mark.parametrize(
    "key",
    [
        "batches/source/0000000001.json",
        "lists/batches/../2024-03-01/0000000001-1.json",
        "lists/batches/source/2024-03-01/0000000001-1.parquet",
    ],
)
def test_a_list_is_read_from_its_prefix_only(key: str) -> None:
    """An edited manifest makes no function read another object."""
    bucket = written([])
    body = msgspec.json.decode(bucket.objects[KEY.format(1)])
    body["elsewhere"] = {"drift": {"key": key, "sha256": "0" * 64}}
    bucket.objects[KEY.format(1)] = msgspec.json.encode(body)

    with pytest.raises(CorruptLogError, match=r"0000000001\.json is not a manifest"):
        log_of(bucket).read(1)


def test_the_command_line_reads_long_lists_too() -> None:
    """What `status` and `query` see of a long manifest is whole, and what was written."""
    body = b'["a column was added"]'
    digest = hashlib.sha256(body).hexdigest()
    document = {"batch": 1, "elsewhere": {"drift": {"key": "lists/x.json", "sha256": digest}}}

    assert lists_of(document, {"lists/x.json": body}.__getitem__) == {"drift": json.loads(body)}
    assert lists_of({"batch": 1}, lambda _key: b"") == {}
    with pytest.raises(ValueError, match="not what was written there"):
        lists_of(document, lambda _key: b"[]")
