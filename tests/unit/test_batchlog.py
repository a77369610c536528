"""The batch log: finding the newest batch, claiming the next one, and trusting nothing it reads."""

from datetime import UTC, datetime

import pytest

from functions.common import batchlog
from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError
from tests.unit.fake_bucket import FakeBucket
from tests.unit.linked import Linked

NOW = datetime(2024, 11, 16, 12, tzinfo=UTC)
LOTS = 100_000


def entry(batch: int, run: str = "ours") -> Linked:
    return Linked(batch, NOW, run)


def key(batch: int) -> str:
    return f"batches/source/{batch:010d}.json"


def log_of(*batches: int, others: tuple[str, ...] = ()) -> tuple[FakeBucket, BatchLog[Linked]]:
    """Return a log whose bucket has manifests of these numbers, and other keys."""
    bucket = FakeBucket(dict.fromkeys((*map(key, batches), *others), b""))
    return bucket, BatchLog(bucket, "source", Linked)


@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1001, 2000, 4000, 4001, 12_345, LOTS])
def test_the_newest_batch_is_found_in_a_log_of_any_length(count: int) -> None:
    """A cold start finds the newest batch, however many there are."""
    _, log = log_of(*range(1, count + 1))

    assert log.newest() == count


def test_a_long_log_takes_few_requests() -> None:
    """At 100,000 batches a cold start makes at most 20 small requests, and a warm one makes one."""
    bucket, log = log_of(*range(1, LOTS + 1))

    log.newest()
    assert bucket.requests["list"] <= 20
    assert bucket.requests.total() == bucket.requests["list"]

    bucket.requests.clear()
    assert log.newest() == LOTS
    assert bucket.requests == {"list": 1}

    bucket.put_new(key(LOTS + 1), b"")
    bucket.requests.clear()
    assert log.newest() == LOTS + 1
    assert bucket.requests == {"list": 1}


def test_a_warm_log_sees_what_others_have_added() -> None:
    """The number that is known is where the search starts, not its answer."""
    bucket, log = log_of(*range(1, 1500))
    log.newest()

    for batch in range(1500, 4001):
        bucket.put_new(key(batch), b"")

    assert log.newest() == 4000


@pytest.mark.parametrize("left", [0, 1, 3, 4, 1000, 2500])
def test_a_warm_log_notices_that_its_bucket_was_emptied(left: int) -> None:
    """Whoever empties the bucket need not wait until no function is warm any more."""
    bucket, log = log_of(*range(1, 4001))
    log.newest()

    bucket.empty()
    for batch in range(1, left + 1):
        bucket.put_new(key(batch), b"")

    bucket.requests.clear()
    assert log.newest() == left
    assert bucket.requests["list"] <= 10


@pytest.mark.parametrize("last", [0, 1, 7, 999, 1000, 1001, 3500, LOTS])
@pytest.mark.parametrize("distance", [1001, 3000, 4501, 150_000, 9_999_899_999])
def test_an_object_far_ahead_is_no_batch(
    last: int, distance: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The pipeline goes on although somebody put an object under a number of the far future."""
    _, log = log_of(*range(1, last + 1), last + distance)

    assert [log.newest(), log.newest()] == [last, last]
    assert f"s3://lake/{key(last + distance)} is ignored" in caplog.text


@pytest.mark.parametrize(
    ("batches", "missing", "found"),
    [
        ((2, 3), 1, 2),
        ((1, 2, 4), 3, 4),
        ((*range(1, 1001), 1500), 1001, 1500),
        ((*range(1, 4100), *range(4101, 4200)), 4100, 4101),
    ],
)
def test_a_gap_is_refused_until_it_is_gone(
    batches: tuple[int, ...], missing: int, found: int
) -> None:
    """A manifest that was removed by hand is named, and the log is read again once it is back."""
    bucket, log = log_of(*batches)

    with pytest.raises(CorruptLogError) as refused:
        log.newest()
    assert f"s3://lake/{key(missing)} is missing, and s3://lake/{key(found)} is there" in str(
        refused.value
    )

    for batch in range(missing, found):
        bucket.put_new(key(batch), b"")
    assert log.newest() == batches[-1]


@pytest.mark.parametrize("count", [0, 3, 999, 1000, 5000])
def test_other_keys_under_the_prefix_are_no_batches(count: int) -> None:
    """Notes, copies and other logs beside the manifests neither count nor hide any."""
    others = (
        "batches/source/",
        "batches/source/0000000002.json.bak",
        "batches/source/0000002000.json~",
        "batches/source/0000003000.txt",
        *(f"batches/source/000000300{digit}.copy" for digit in range(10)),
        "batches/source/00000030005.json",
        "batches/source/README.md",
        *(f"batches/source/warehouse-1/{batch:010d}.json" for batch in range(1, 3000)),
    )
    bucket, log = log_of(*range(1, count + 1), others=others)

    assert log.newest() == count
    assert bucket.requests["list"] <= 30


def test_a_number_is_claimed_once() -> None:
    """The first run has the number, the second learns that it is taken, and nothing is lost."""
    _, log = log_of()

    assert log.claim(entry(1, run="first")) is True
    assert log.claim(entry(1, run="second")) is False
    assert log.read(1) == entry(1, run="first")


def test_a_claim_whose_answer_was_lost_is_still_ours() -> None:
    """A run that repeats its write does not mistake its own manifest for another run's."""
    _, log = log_of()

    assert [log.claim(entry(1, run="same")) for _ in range(2)] == [True, True]


def test_a_manifest_that_is_too_large_to_be_read_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would stop every later run; one of just the bytes that are read is written."""
    bucket, log = log_of()
    assert log.claim(entry(1))
    size = len(bucket.objects[key(1)])
    bucket.empty()

    monkeypatch.setattr(batchlog, "MANIFEST_BYTES", size - 1)
    with pytest.raises(CorruptLogError, match=f"would have {size} bytes, and {size - 1} is"):
        log.claim(entry(1))
    assert bucket.objects == {}

    monkeypatch.setattr(batchlog, "MANIFEST_BYTES", size)
    assert log.claim(entry(1))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is not a manifest"),
        (b"{", "is not a manifest"),
        (b"[]", "is not a manifest"),
        (b'{"written_at": "2024-11-16T12:00:00Z", "run": "a"}', "is not a manifest"),
        (b'{"batch": "7"}', "is not a manifest"),
        (b'{"batch": 7}\xff', "is not a manifest"),
        (
            b'{"batch": 8, "written_at": "2024-11-16T12:00:00Z", "run": "a"}',
            "says that it is batch 8",
        ),
    ],
)
def test_a_manifest_that_is_not_one_is_named(body: bytes, said: str) -> None:
    """The error names the object of S3 that is wrong."""
    log = BatchLog(FakeBucket({key(7): body}), "source", Linked)

    with pytest.raises(CorruptLogError) as failure:
        log.read(7)

    assert str(failure.value).startswith("s3://lake/batches/source/0000000007.json " + said)


def test_a_missing_manifest_is_named() -> None:
    """The error of a gap in the log names the missing object."""
    _, log = log_of(1, 3)

    with pytest.raises(CorruptLogError, match=r"s3://lake/batches/source/0000000002\.json"):
        log.read(2)


def test_a_manifest_of_a_later_form_is_refused() -> None:
    """Code never misreads what later code has written: the message says to deploy that again."""
    bucket = FakeBucket({key(1): b'{"batch": 1, "run": [], "form": 9}'})

    with pytest.raises(CorruptLogError, match=r"0000000001\.json has form 9, .* up to 2: deploy"):
        BatchLog(bucket, "source", Linked).read(1)
