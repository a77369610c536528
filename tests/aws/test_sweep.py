"""Objects that no manifest names expire; whatever a manifest names, or may yet name, stays."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from functions.common.errors import BucketAccessError
from functions.common.keyparts import KeyPart, KeyParts
from functions.common.storage import Bucket
from functions.transform.sweep import DAYS_KEPT, sweep_all
from pipelines.totesys.pipeline import PIPELINE
from tests.aws.transform_pipeline import SNAPSHOT, SOURCE, Pipeline, one_of_each
from tests.source_rows import source_rows

DAY = SNAPSHOT.date()
DUE = DAY + timedelta(days=DAYS_KEPT + 1)
DEAD = "9999999990001.parquet"
ORPHANS = [
    f"source/payment/{DAY}/0000000001-{DEAD}",
    f"tombstones/source/staff/{DAY}/0000000001-{DEAD}",
    f"keys/source/{DAY}/0000000001-{DEAD}",
    f"lists/batches/source/{DAY}/0000000001-9999999990001.json",
]
STAR_ORPHANS = [
    f"fact_payment/{DAY}/0000000001-{DEAD}",
    f"tombstones/dim_staff/{DAY}/0000000001-{DEAD}",
    f"quarantine/source/payment/{DAY}/0000000001-{DEAD}",
    f"lists/batches/source/{DAY}/0000000001-9999999990001.json",
]
OF_A_MARKER = f"lists/loaded/source/{DAY}/0000000001-9999999990001.json"
UNDECIDED = f"source/payment/{DAY}/0000000003-{DEAD}"
NOT_OURS = [
    f"source/payment/{DAY}/notes.txt",
    f"source/payment/{DAY}/0000000001-copy.parquet",
    "elsewhere/x",
]


def keys(bucket: Bucket) -> set[str]:
    return set(bucket.keys_after("", "", 1000))


def sweep(
    pipeline: Pipeline, today: date = DUE, has_time: Callable[[], bool] = lambda: True
) -> int:
    return sweep_all(PIPELINE, pipeline.logs, today, has_time)


@pytest.fixture
def swept(pipeline: Pipeline) -> Pipeline:
    """Two batches, the second of the next day, and what dead runs have left of the first day."""
    lake, stars = pipeline.logs.ingested.bucket, pipeline.logs.processed.bucket
    pipeline.ingest(one_of_each(), deleted={"design": [5]})
    pipeline.transform()
    payments = source_rows("payment", {"payment_date": "soon"})
    pipeline.ingest({"payment": payments}, at=SNAPSHOT + timedelta(days=1))
    pipeline.transform()
    for bucket, orphans in ((lake, [*ORPHANS, UNDECIDED, *NOT_OURS]), (stars, STAR_ORPHANS)):
        for key in orphans:
            bucket.put_new(key, b"left behind")
    stars.put_new(OF_A_MARKER, b"[]")
    return pipeline


def test_leftovers_of_the_newest_batch_expire_too(swept: Pipeline) -> None:
    """A run that lost its number to the one whose manifest is there left them."""
    lake = swept.logs.ingested.bucket
    left = f"source/payment/{DAY}/0000000002-{DEAD}"
    lake.put_new(left, b"left behind")

    sweep(swept)

    assert left not in keys(lake)
    assert UNDECIDED in keys(lake)


def test_what_no_manifest_names_expires(swept: Pipeline) -> None:
    """After some days the leftovers of dead runs are gone, and nothing else is."""
    lake, stars = swept.logs.ingested.bucket, swept.logs.processed.bucket
    before = keys(lake), keys(stars)

    assert sweep(swept) == len(ORPHANS) + len(STAR_ORPHANS)
    assert before[0] - keys(lake) == set(ORPHANS)
    assert before[1] - keys(stars) == set(STAR_ORPHANS)
    for batch in (1, 2):
        for log in (swept.logs.ingested, swept.logs.processed):
            for table in log.read(batch).tables.values():
                assert {file.key for file in table.files + table.tombstones} <= keys(log.bucket)
    entries = swept.logs.processed.read(2).quarantine.values()
    assert {key for entry in entries for key in entry.objects} <= keys(stars)


def test_long_lists_that_manifests_name_stay(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are named like rows, by the first manifest that has them."""
    monkeypatch.setattr("functions.common.longlists.MOST_BYTES", 300)
    pipeline.ingest(one_of_each())
    pipeline.transform()
    pipeline.ingest({}, at=SNAPSHOT + timedelta(days=1))
    pipeline.transform()
    buckets = pipeline.logs.ingested.bucket, pipeline.logs.processed.bucket
    before = list(map(keys, buckets))

    assert sweep(pipeline) == 0
    for bucket, found in zip(buckets, before, strict=True):
        assert any(key.startswith("lists/batches/source/") for key in found)
        assert found <= keys(bucket)
    assert pipeline.rows(pipeline.logs.processed.read(1), "fact_payment")


def test_nothing_expires_early(swept: Pipeline) -> None:
    """For some days a person can look at what a dead run has left."""
    assert sweep(swept, today=DAY + timedelta(days=DAYS_KEPT)) == 0


def test_what_is_older_than_the_log_expires_with_its_first_day(swept: Pipeline) -> None:
    """A run that died before there was a batch has left it."""
    lake = swept.logs.ingested.bucket
    early = f"source/payment/{DAY - timedelta(days=9)}/0000000001-{DEAD}"
    lake.put_new(early, b"left behind")

    assert sweep(swept, today=DUE - timedelta(days=1)) == 0
    assert sweep(swept) == len(ORPHANS) + len(STAR_ORPHANS) + 1
    assert early not in keys(lake)


def test_a_claim_that_comes_late_finds_its_objects(pipeline: Pipeline) -> None:
    """A run may claim its batch after any time: its objects stay until the batch is decided."""
    pipeline.ingest(one_of_each())
    pipeline.transform()
    lake = pipeline.logs.ingested.bucket
    undecided = f"source/payment/{DAY}/0000000002-{DEAD}"
    lake.put_new(undecided, b"of a run that has not ended")

    assert sweep(pipeline, today=DUE + timedelta(days=1000)) == 0
    assert undecided in keys(lake)


def test_a_day_is_looked_at_once(swept: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifests of a day are read by one sweep and by no later one, however long the log."""
    sweep(swept)
    read: list[str] = []
    real = Bucket.get

    def get(bucket: Bucket, key: str, *limit: int) -> bytes:
        read.append(key)
        return real(bucket, key, *limit)

    monkeypatch.setattr(Bucket, "get", get)

    assert sweep(swept, today=DUE + timedelta(days=1)) == 0
    assert read == ["batches/source/0000000002.json"] * 2  # the newest one of each log


def test_a_function_that_starts_again_looks_into_no_folder(
    swept: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor before a day of the log is due, or when the newest one that is due was swept."""
    looked: list[str] = []
    real = Bucket.folders

    def folders(bucket: Bucket, prefix: str, start_after: str) -> list[str]:
        looked.append(prefix)
        return real(bucket, prefix, start_after)

    monkeypatch.setattr(Bucket, "folders", folders)
    assert (sweep(swept, today=DUE - timedelta(days=1)), looked) == (0, [])
    sweep(swept)
    assert "fact_payment/" in looked
    looked.clear()

    assert (sweep(swept), looked) == (0, [])


@pytest.mark.parametrize("dies_at", [0, 1])
def test_a_sweep_that_died_is_done_again(
    swept: Pipeline, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """A sweep may be killed before or after any removal: the next one ends what it began."""
    lake, stars = swept.logs.ingested.bucket, swept.logs.processed.bucket
    left, real = [dies_at], Bucket.remove

    def remove(bucket: Bucket, some: Any) -> None:
        real(bucket, some[: left[0]])
        raise KeyboardInterrupt

    before = keys(lake), keys(stars)
    with monkeypatch.context() as killed:
        killed.setattr(Bucket, "remove", remove)
        with pytest.raises(KeyboardInterrupt):
            sweep(swept)
    sweep(swept)

    assert before[0] - keys(lake) == set(ORPHANS)
    assert before[1] - keys(stars) == set(STAR_ORPHANS)


def test_a_manifest_that_cannot_be_read_protects_its_batch(swept: Pipeline) -> None:
    """Being unsure means keeping: nothing of a batch is removed whose manifest is damaged."""
    lake = swept.logs.ingested.bucket
    lake.client.put_object(Bucket=lake.name, Key=swept.logs.ingested.key(1), Body=b"{")
    before = keys(lake)

    sweep(swept)
    assert before - keys(lake) == {f"keys/source/{DAY}/0000000001-{DEAD}"}


def test_a_sweep_ends_when_its_time_is_up(swept: Pipeline) -> None:
    """With no time left the rest is for the next run."""
    assert sweep(swept, has_time=lambda: False) == 0
    assert sweep(swept) == len(ORPHANS) + len(STAR_ORPHANS)


def test_a_removal_that_is_refused_is_an_error(
    swept: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 refuses single keys inside an answer that looks like a success: the day is not done."""
    lake = swept.logs.ingested.bucket
    refused = {"Errors": [{"Key": ORPHANS[0], "Code": "AccessDenied"}]}
    with monkeypatch.context() as broken:
        broken.setattr(lake.client, "delete_objects", lambda **_: refused)
        with pytest.raises(BucketAccessError, match=f"{ORPHANS[0]} cannot be removed"):
            sweep(swept)

    assert sweep(swept) == len(ORPHANS) + len(STAR_ORPHANS)


def test_keys_expire_that_outlived_their_day(pipeline: Pipeline) -> None:
    """It is named by two batches a day, and goes some days after the last one that names it."""
    pipeline.ingest(one_of_each())
    pipeline.transform()
    log, first = pipeline.logs.ingested, pipeline.logs.ingested.read(1)
    part = f"keys/source/{DAY}/0000000001-0000000000007.parquet"
    log.bucket.put_new(part, b"keys")
    named = {"design": KeyParts(parts=[KeyPart(part, 1, "0a" * 32, 7)])}
    replaced_on, gone_on = DAY + timedelta(days=6), []
    for days in range(1, 15):
        at = SNAPSHOT + timedelta(days=days)
        for number in (2 * days, 2 * days + 1):
            index = f"keys/source/{at.date()}/{number:010d}-0000000000001.parquet"
            log.bucket.put_new(index, b"keys")
            is_named = (at.date(), number) <= (replaced_on, 2 * days)
            batch = replace(
                first,
                batch=number,
                source=replace(SOURCE, snapshot_at=at),
                tables={},
                keys=index,
                key_parts=named if is_named else {},
            )
            assert log.claim(batch)
        sweep(pipeline, today=at.date())
        if part not in keys(log.bucket):
            gone_on.append(at.date())

    assert gone_on[0] == replaced_on + timedelta(days=DAYS_KEPT + 1)


def test_nothing_expires_before_there_is_a_batch(pipeline: Pipeline) -> None:
    """What the first run has written is named by no manifest yet."""
    lake = pipeline.logs.ingested.bucket
    for key in ORPHANS:
        lake.put_new(key, b"of a run at work")

    assert sweep(pipeline, DUE + timedelta(days=99)) == 0
    assert keys(lake) == set(ORPHANS)


def test_keys_of_a_batch_that_is_not_in_the_log_stay(swept: Pipeline) -> None:
    """It may still be claimed; and so does what is not of ours."""
    lake = swept.logs.ingested.bucket
    others = {f"keys/source/{DAY}/0000000003-{DEAD}", f"keys/source/{DAY}/notes.txt"}
    for key in others:
        lake.put_new(key, b"")

    sweep(swept)

    assert others <= keys(lake)
