"""The logs as chains: each document has the digest of the one before it, and of its origin."""

import hashlib
from datetime import UTC, datetime

import msgspec
import pytest

from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError
from functions.targets import Applied
from tests.unit.fake_bucket import FakeBucket
from tests.unit.fake_loader import Load
from tests.unit.linked import Linked

NOW = datetime(2024, 11, 16, 12, tzinfo=UTC)


def entry(batch: int) -> Linked:
    return Linked(batch, NOW, "ours")


def log_in(bucket: FakeBucket) -> BatchLog[Linked]:
    return BatchLog(bucket, "source", Linked)


def stored(bucket: FakeBucket, key: str) -> str:
    return hashlib.sha256(bucket.objects[key]).hexdigest()


def test_each_manifest_has_the_digest_of_the_one_before() -> None:
    """The bytes that S3 has are what is digested; the first manifest has no predecessor."""
    bucket = FakeBucket()
    log = log_in(bucket)

    assert all(log.claim(entry(batch)) for batch in (1, 2, 3))

    links = [log.read(batch).previous_sha256 for batch in (1, 2, 3)]
    assert links == [None, stored(bucket, log.key(1)), stored(bucket, log.key(2))]


def test_a_link_costs_a_run_that_knows_its_predecessor_nothing() -> None:
    """A run that has read the newest manifest, or written it, asks S3 for nothing more."""
    bucket = FakeBucket()
    log_in(bucket).claim(entry(1))
    bucket.requests.clear()

    log = log_in(bucket)
    log.read(1)
    assert log.claim(entry(2))
    assert log.claim(entry(3))

    assert bucket.requests == {"get": 1, "put": 2}


def test_a_predecessor_that_is_not_known_is_read() -> None:
    """A cold function that has read an older manifest, links to the newest all the same."""
    bucket = FakeBucket()
    first = log_in(bucket)
    assert first.claim(entry(1))
    assert first.claim(entry(2))

    log = log_in(bucket)
    log.read(1)
    assert log.claim(entry(3))

    assert log.read(3).previous_sha256 == stored(bucket, log.key(2))


def test_the_link_after_a_lost_claim_is_to_the_winner() -> None:
    """The run that lost a number links its next batch to what the other run has written."""
    bucket = FakeBucket()
    mine, other = log_in(bucket), log_in(bucket)
    assert other.claim(Linked(1, NOW, "other"))

    assert not mine.claim(entry(1))
    assert mine.claim(entry(2))

    assert mine.read(2).previous_sha256 == stored(bucket, mine.key(1))


def test_the_link_in_a_log_that_was_started_again_is_to_its_own_batch() -> None:
    """A warm function does not link to a batch of a log that somebody has emptied."""
    bucket = FakeBucket()
    log = log_in(bucket)
    assert all(log.claim(entry(batch)) for batch in (1, 2, 3))

    bucket.empty()
    assert log_in(bucket).claim(Linked(1, NOW, "after"))
    log.read(1)
    assert log.claim(entry(2))

    assert log.read(2).previous_sha256 == stored(bucket, log.key(1))


def test_a_manifest_whose_predecessor_is_gone_is_not_written() -> None:
    """A number beyond a gap is an error, and no chain begins in the middle of a log."""
    log = log_in(FakeBucket())

    with pytest.raises(CorruptLogError):
        log.claim(entry(2))


def test_a_batch_of_an_earlier_version_has_no_link_and_is_linked_to() -> None:
    """A log that was begun before manifests had links goes on, and its chain begins there."""
    bucket = FakeBucket()
    log = log_in(bucket)
    before = msgspec.json.encode({"batch": 1, "written_at": NOW, "run": "before"})
    bucket.put_new(log.key(1), before)

    assert log.read(1).previous_sha256 is None
    assert log.claim(entry(2))

    assert log.read(2).previous_sha256 == hashlib.sha256(before).hexdigest()


def test_a_marker_has_the_digest_of_what_was_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is exchanged after it was loaded no longer is the one that its marker names."""
    load = Load(monkeypatch)
    load.loader.result = Applied({}, {}, {})
    load.write("a")
    load.write("b")
    load.run()

    markers = [load.markers.read(number) for number in (1, 2)]

    log, bucket = load.feed.log, load.feed.log.bucket
    assert isinstance(bucket, FakeBucket)
    assert [each.processed_sha256 for each in markers] == [
        stored(bucket, log.key(1)),
        stored(bucket, log.key(2)),
    ]
    assert markers[1].previous_sha256 == stored(bucket, load.markers.key(1))
