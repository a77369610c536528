"""Many rows in quarantine, in parts: a batch costs what it has to do with them."""

from collections.abc import Callable
from typing import Any

import pytest

from functions.transform import quarantine
from tests.aws.transform_pipeline import Pipeline
from tests.source_rows import source_rows


@pytest.fixture(autouse=True)
def every_part_has_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no part be small."""
    monkeypatch.setattr(quarantine, "MARKED_BYTES", 0)


@pytest.fixture
def read(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return what returns which objects under `quarantine/` were read since it was last called."""
    keys: list[str] = []
    bucket = pipeline.logs.processed.bucket
    get = bucket.get

    def watched(key: str, *limit: int) -> bytes:
        keys.append(key)
        return get(key, *limit)

    monkeypatch.setattr(bucket, "get", watched)

    def taken() -> list[str]:
        found = [key for key in keys if key.startswith("quarantine/")]
        keys.clear()
        return found

    return taken


def payments(*ids: int, **values: Any) -> dict[str, Any]:
    return {"payment": source_rows("payment", *({"payment_id": each} | values for each in ids))}


def late(*ids: int) -> dict[str, Any]:
    return payments(*ids, payment_date="soon")


def test_a_batch_that_has_nothing_to_do_with_them_reads_none(
    pipeline: Pipeline, read: Callable[[], list[str]]
) -> None:
    """Of another table not even the marks; of other rows of the table the marks alone."""
    pipeline.ingest(late(1, 2, 3))
    first = pipeline.transform()
    [part] = first.quarantine["payment"].all_parts
    assert part.marks is not None
    read()

    pipeline.ingest({"design": source_rows("design", {})})
    assert pipeline.transform().quarantine == first.quarantine
    assert read() == []

    pipeline.ingest(payments(4))
    assert pipeline.transform().quarantine == first.quarantine
    assert read() == [part.marks.file]


def test_only_the_part_with_a_row_that_came_again_is_read(
    pipeline: Pipeline, read: Callable[[], list[str]]
) -> None:
    """The others are named as they are."""
    pipeline.ingest(late(1, 2, 3, 4))
    pipeline.transform()
    pipeline.ingest(late(5, 6, 7))
    large, small = pipeline.transform().quarantine["payment"].all_parts
    assert (large.rows, small.rows) == (4, 3)
    read()

    pipeline.ingest(payments(6))
    done = pipeline.transform()

    assert large.file not in read()
    assert [row[0] for row in pipeline.held(done, "payment")] == [1, 2, 3, 4, 5, 7]
    assert large in done.quarantine["payment"].all_parts


def test_rows_of_any_part_come_with_their_parent(pipeline: Pipeline) -> None:
    """A parent is looked for in the marks of what waits for it."""
    for number in (1, 2, 3):
        absent = {"transaction": [90 + number]}
        pipeline.ingest(payments(number, transaction_id=90 + number), missing=absent)
        pipeline.transform()
    pipeline.ingest({"transaction": source_rows("transaction", {"transaction_id": 92})})
    done = pipeline.transform()

    assert [row["payment_id"] for row in pipeline.rows(done, "fact_payment")] == [2]
    assert sorted(row[0] for row in pipeline.held(done, "payment")) == [1, 3]
    assert done.absent == {"transaction": [91, 93]}


def test_parts_stay_few_however_many_batches_add_to_them(pipeline: Pipeline) -> None:
    """Small ones are put together: after n batches with a bad row there are log n of them."""
    for number in range(1, 33):
        pipeline.ingest(late(number))
        done = pipeline.transform()
    parts = done.quarantine["payment"].all_parts

    assert len(parts) <= 6
    assert sorted(row[0] for row in pipeline.held(done, "payment")) == list(range(1, 33))


def test_more_rows_than_a_part_holds_are_several(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No function has to hold all of them, and none is lost between the parts."""
    monkeypatch.setattr(quarantine, "PART_BYTES", 2_000)
    pipeline.ingest(late(*range(1, 101)))
    done = pipeline.transform()
    entry = done.quarantine["payment"]

    assert (entry.rows, len(entry.parts) > 3, entry.file) == (100, True, None)
    assert len(pipeline.held(done, "payment")) == 100
    pipeline.ingest(payments(*range(1, 100)))
    assert [row[0] for row in pipeline.held(pipeline.transform(), "payment")] == [100]


def test_a_log_in_parts_is_of_a_form_that_older_code_refuses(pipeline: Pipeline) -> None:
    """A rollback is refused while there are parts, and only then."""
    pipeline.ingest(late(1))
    assert pipeline.transform().form == 2
    pipeline.ingest(payments(1))
    assert pipeline.transform().quarantine == {}
    assert b'"form"' not in pipeline.objects()["batches/source/0000000002.json"]


def test_an_object_of_an_earlier_version_is_read(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows in one object without marks: it is divided when a batch changes it."""
    monkeypatch.setattr(quarantine, "MARKED_BYTES", 1 << 30)
    pipeline.ingest(late(1, 2))
    entry = pipeline.transform().quarantine["payment"]
    assert (entry.parts, entry.rows) == ([], 2)
    monkeypatch.setattr(quarantine, "MARKED_BYTES", 0)
    pipeline.ingest(payments(1))
    done = pipeline.transform()

    assert len(done.quarantine["payment"].parts) == 1
    assert [row[0] for row in pipeline.held(done, "payment")] == [2]


def test_many_absent_parents_are_read_by_those_that_may_wait_for_them(
    pipeline: Pipeline, read: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch without them, and without rows that refer to them, names the object as it is."""
    monkeypatch.setattr("functions.transform.absentkeys.MOST_LISTED", 1)
    missing = {"transaction": [91, 92]}
    pipeline.ingest(payments(1, transaction_id=91), missing=missing)
    first = pipeline.transform()
    held = first.absent_files["transaction"]
    assert (first.absent, held.rows, first.form) == ({}, 2, 2)
    read()

    pipeline.ingest({"design": source_rows("design", {})})
    assert pipeline.transform().absent_files == first.absent_files
    assert read() == []
    pipeline.ingest(payments(2, transaction_id=92))
    assert pipeline.transform().absent_files == first.absent_files
    assert held.file in read()
    pipeline.ingest({"transaction": source_rows("transaction", {"transaction_id": 92})})
    done = pipeline.transform()

    assert (done.absent, done.absent_files) == ({"transaction": [91]}, {})
    assert [row["payment_id"] for row in pipeline.rows(done, "fact_payment")] == [2]
