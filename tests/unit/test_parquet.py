"""The Parquet objects of a batch: bounded parts, never written twice, none without rows."""

import threading
from collections.abc import Mapping
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.common.errors import CorruptLogError
from functions.common.objects import DataFile
from functions.common.parquet import ROWS_PER_GROUP, PartWriter, read_parts, read_rows
from functions.common.storage import NO_METADATA, OBJECT_BYTES
from tests.unit.fake_bucket import FakeBucket

DAY = date(2024, 11, 16)


@pytest.fixture(autouse=True)
def first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every writer draw the same number."""
    monkeypatch.setattr("functions.common.objects.randbelow", lambda _: 0)


def rows(first: int, count: int) -> pa.RecordBatch:
    numbers = list(range(first, first + count))
    amounts = pa.array([Decimal(number) for number in numbers], pa.decimal128(10, 2))
    return pa.record_batch({"id": pa.array(numbers, pa.int32()), "amount": amounts})


class BrokenBucket(FakeBucket):
    """A bucket that is out of reach."""

    def put_new(self, key: str, body: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        raise ConnectionError("no bucket")


def writer(bucket: FakeBucket, rows_per_part: int = 10) -> PartWriter:
    return PartWriter(bucket, "sales_order", 7, DAY, rows_per_part)


def key(part: int) -> str:
    return f"sales_order/2024-11-16/0000000007-000000000{part:04d}.parquet"


def named(files: list[DataFile]) -> list[tuple[str, int]]:
    return [(file.key, file.rows) for file in files]


def contents(bucket: FakeBucket, files: list[DataFile]) -> list[dict[str, Any]]:
    return [row for batch in read_rows(bucket, files) for row in batch.to_pylist()]


def test_rows_of_another_schema_begin_another_object() -> None:
    """Rows that were written before and after a column changed are kept as they are."""
    bucket = FakeBucket()
    parts = writer(bucket)
    before, after = rows(0, 2), pa.record_batch({"id": pa.array([2], pa.int64())})
    for batch in (before, after, after):
        parts.write(batch)
    files = parts.close()

    assert named(files) == [(key(1), 2), (key(2), 2)]
    assert contents(bucket, files) == [
        row for each in (before, after, after) for row in each.to_pylist()
    ]


def test_rows_are_read_as_they_were_written() -> None:
    """Order, values and types come back from the objects."""
    bucket = FakeBucket()
    parts = writer(bucket)
    written = [rows(0, 4), rows(4, 3)]
    for batch in written:
        parts.write(batch)
    files = parts.close()

    assert named(files) == [(key(1), 7)]
    assert contents(bucket, files) == [row for batch in written for row in batch.to_pylist()]
    assert pq.read_schema(pa.BufferReader(bucket.objects[key(1)])) == written[0].schema


def test_parts_are_of_bounded_size() -> None:
    """A part goes as soon as it has its rows, so memory holds one in the making and one going."""
    bucket = FakeBucket()
    parts = writer(bucket, rows_per_part=10)
    for first in range(0, 32, 4):
        parts.write(rows(first, 4))
        there = sum(
            pq.read_metadata(pa.BufferReader(body)).num_rows for body in [*bucket.objects.values()]
        )
        made = (first + 4) // 12 * 12
        assert made - 12 <= there <= made
    files = parts.close()

    assert named(files) == [(key(1), 12), (key(2), 12), (key(3), 8)]
    assert [row["id"] for row in contents(bucket, files)] == list(range(32))


def test_an_object_that_cannot_be_put_is_an_error_of_whoever_writes() -> None:
    """It happens in a thread, and is raised here, at the latest at the end."""
    parts = writer(BrokenBucket())
    parts.write(rows(0, 4))
    parts.flush()

    with pytest.raises(ConnectionError, match="no bucket"):
        parts.close()


def test_no_thread_is_left() -> None:
    """A warm function has after a batch what it had before."""
    before = set(threading.enumerate())
    parts = writer(FakeBucket())
    parts.write(rows(0, 4))
    parts.close()

    assert set(threading.enumerate()) <= before


def test_a_whole_table_is_written_too() -> None:
    """Rows come as a batch or as a table."""
    bucket = FakeBucket()
    parts = writer(bucket)
    parts.write(pa.Table.from_batches([rows(0, 2)]))

    assert contents(bucket, parts.close()) == rows(0, 2).to_pylist()


def test_without_rows_nothing_is_written() -> None:
    """An empty table of a batch leaves no object."""
    bucket = FakeBucket()
    parts = writer(bucket)
    parts.write(rows(0, 0))

    assert parts.close() == []
    assert bucket.objects == {}


def test_a_part_that_is_there_already_is_passed_over() -> None:
    """The objects of a run that died are neither overwritten nor taken for ours."""
    left = {key(1): b"left", key(2): b"behind"}
    bucket = FakeBucket(left)
    parts = writer(bucket)
    parts.write(rows(0, 10))
    parts.write(rows(10, 1))
    files = parts.close()

    assert named(files) == [(key(3), 10), (key(4), 1)]
    assert {name: bucket.objects[name] for name in left} == left
    assert [row["id"] for row in contents(bucket, files)] == list(range(11))


def test_a_run_after_a_dead_one_sends_each_part_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many runs died over a batch, the next has free names at once."""
    bucket = FakeBucket()
    for run in (17, 999_999_999):
        monkeypatch.setattr("functions.common.objects.randbelow", lambda _, run=run: run)
        bucket.requests.clear()
        parts = writer(bucket)
        parts.write(rows(0, 10))
        parts.write(rows(10, 10))
        names = [file.key.rpartition("-")[2] for file in parts.close()]

        assert names == [f"{run:09d}0001.parquet", f"{run:09d}0002.parquet"]
        assert bucket.requests == {"put": 2}


def test_a_reader_holds_a_slice_at_a_time() -> None:
    """However big a part is, rows come in slices that fit into a small function."""
    bucket = FakeBucket()
    parts = writer(bucket, rows_per_part=1_000_000)
    parts.write(rows(0, 2 * ROWS_PER_GROUP + 5))
    sizes = [batch.num_rows for batch in read_rows(bucket, parts.close())]

    assert sizes == [ROWS_PER_GROUP, ROWS_PER_GROUP, 5]


def test_a_slice_of_large_rows_has_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by bytes: 65,536 rows of 10 kB would be 655 MB."""
    monkeypatch.setattr("functions.common.parquet.BYTES_PER_SLICE", 100_000)
    bucket = FakeBucket()
    parts = PartWriter(bucket, "sales_order", 7, DAY)
    parts.write(pa.table({"text": ["x" * 10_000] * 35}))
    sizes = [batch.num_rows for batch in read_rows(bucket, parts.close())]

    assert sum(sizes) == 35
    assert max(sizes) < 11


def test_a_table_of_large_rows_is_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are passed at once fill parts as well, each of which can be read."""
    monkeypatch.setattr("functions.common.parquet.BYTES_PER_SLICE", 30_000)
    monkeypatch.setattr("functions.common.parquet.BYTES_PER_PART", 60_000)
    bucket = FakeBucket()
    parts = PartWriter(bucket, "sales_order", 7, DAY)
    parts.write(pa.table({"text": [str(place) * 10_000 for place in range(9)]}))
    files = parts.close()

    assert len(files) > 1
    assert [row["text"][0] for row in contents(bucket, files)] == list("012345678")


class SlowBucket(FakeBucket):
    """A bucket that answers no request before it has `together` of them."""

    def __init__(self, objects: dict[str, bytes], together: int) -> None:
        super().__init__(objects)
        self._all_here = threading.Barrier(together, timeout=10)

    def get(self, key: str, at_most: int = OBJECT_BYTES) -> bytes:
        self._all_here.wait()
        return super().get(key, at_most)


def test_small_objects_are_fetched_together() -> None:
    """A replay reads those of all later batches: one by one, 100,000 would take an hour."""
    bucket = FakeBucket()
    parts = writer(bucket)
    for first in range(0, 80, 10):
        parts.write(rows(first, 10))
    files = parts.close()
    slow = SlowBucket(bucket.objects, together=8)

    assert [row["id"] for row in contents(slow, files)] == list(range(80))


def test_large_objects_are_fetched_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not more than one is in memory."""
    monkeypatch.setattr("functions.common.parquet.ROWS_AT_ONCE", 15)
    bucket, files = three_parts()
    found = read_rows(bucket, files)
    next(found)

    assert not bucket.asked[key(2)].is_set()


def test_only_the_columns_that_are_needed_are_read() -> None:
    """Comparing keys costs the keys, however wide the rows are."""
    bucket = FakeBucket()
    parts = writer(bucket)
    parts.write(rows(0, 3))
    [found] = read_rows(bucket, parts.close(), ["id"])

    assert found.to_pydict() == {"id": [0, 1, 2]}


class WatchedBucket(FakeBucket):
    """A bucket that records which objects are requested."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__(objects)
        self.asked = {key: threading.Event() for key in objects}

    def get(self, key: str, at_most: int = OBJECT_BYTES) -> bytes:
        self.asked[key].set()
        return super().get(key, at_most)


def three_parts() -> tuple[WatchedBucket, list[DataFile]]:
    bucket = FakeBucket()
    parts = writer(bucket)
    for first in (0, 10, 20):
        parts.write(rows(first, 10))
    files = parts.close()
    return WatchedBucket(bucket.objects), files


def test_a_part_is_one_chunk_with_all_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts come whole and in order, however many slices each was written in."""
    monkeypatch.setattr("functions.common.parquet.ROWS_PER_GROUP", 4)
    bucket, files = three_parts()
    parts = list(read_parts(bucket, files))

    assert [part["id"].to_pylist() for part in parts] == [
        list(range(first, first + 10)) for first in (0, 10, 20)
    ]
    assert {column.num_chunks for part in parts for column in part.columns} == {1}
    assert list(read_parts(bucket, [])) == []


def test_the_next_part_is_read_meanwhile_and_no_other() -> None:
    """Reading costs no extra time while the database is at work, and memory is bounded."""
    bucket, files = three_parts()
    parts = read_parts(bucket, files)
    next(parts)

    assert bucket.asked[key(2)].wait(10)
    assert not bucket.asked[key(3)].is_set()
    next(parts)
    assert bucket.asked[key(3)].wait(10)


def test_a_damaged_part_is_reported_when_its_turn_comes() -> None:
    """The parts before it are whole, and no row of it is taken for good."""
    bucket, files = three_parts()
    bucket.objects[key(2)] = b"something else"
    parts = read_parts(bucket, files)

    assert next(parts).num_rows == 10
    with pytest.raises(CorruptLogError, match=r"0002\.parquet is damaged"):
        next(parts)


def test_a_caller_that_stops_early_leaves_no_thread() -> None:
    """A caller that fails over a part can go on, and nothing more is read."""
    before = set(threading.enumerate())
    bucket, files = three_parts()
    with closing(read_parts(bucket, files)) as parts:  # type: ignore[type-var]
        next(parts)

    assert set(threading.enumerate()) <= before
    assert not bucket.asked[key(3)].is_set()
