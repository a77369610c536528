"""Damaged objects: with the right digest no byte is believed, and no error is a bare one."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common import parquet
from functions.common.errors import CorruptLogError
from functions.common.objects import DataFile, ObjectNames
from functions.common.parquet import PartWriter, digest, packed, read_parts, read_rows
from functions.common.quarantined import QuarantinePart
from functions.sources.postgres.keysets import KeySetBuilder
from functions.sources.postgres.storedkeys import fetch, store
from functions.transform import quarantine
from tests.unit.fake_bucket import FakeBucket

KEYS = "keys/source/2024-03-01/0000000001-0000000000001.parquet"
DAY = date(2024, 3, 1)
SECRET = "a value of somebody's row"


def rows(count: int) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "payment_id": pa.array(range(count), pa.int32()),
            "payment_date": pa.array([SECRET, None, "2024-01-01"] * (count // 3), pa.string()),
            "payment_amount": pa.array([Decimal("1.25")] * count, pa.decimal128(10, 2)),
            "created_at": pa.array([datetime(2024, 3, 1)] * count, pa.timestamp("ms")),
            "paid": pa.array([True] * count, pa.bool_()),
        }
    )


def written(count: int = 30) -> tuple[DataFile, bytes]:
    bucket = FakeBucket()
    writer = PartWriter(bucket, "payment", 1, DAY)
    writer.write(rows(count))
    [file] = writer.close()
    return file, bucket.objects[file.key]


FILE, BODY = written()


def read(body: bytes, file: DataFile) -> pa.Table:
    return pa.Table.from_batches(read_rows(FakeBucket({file.key: body}), [file]))


def believed(body: bytes) -> DataFile:
    """Return what a manifest would say of an object that it takes for the right one."""
    return DataFile(FILE.key, FILE.rows, digest(body))


def refusal(body: bytes, file: DataFile) -> CorruptLogError:
    with pytest.raises(CorruptLogError) as failure:
        read(body, file)
    assert str(failure.value).startswith(f"s3://lake/{file.key} is damaged: ")
    assert SECRET not in str(failure.value)
    return failure.value


def is_read_or_refused(body: bytes) -> bool:
    """Return whether rows are one of these two, whatever the digest; other errors are raised."""
    try:
        return bool(read(body, believed(body)).num_rows == FILE.rows)
    except CorruptLogError as error:
        return FILE.key in str(error) and SECRET not in str(error)


def flipped(body: bytes, place: int, flip: int) -> bytes:
    return body[:place] + bytes([body[place] ^ flip]) + body[place + 1 :]


def test_rows_are_read_back() -> None:
    """The object that the tests below damage is valid to begin with."""
    assert read(BODY, FILE).to_pylist() == rows(30).to_pylist()


def test_no_flipped_byte_is_believed() -> None:
    """Whichever byte of an object is changed, the object is refused."""
    for place in range(len(BODY)):
        message = str(refusal(flipped(BODY, place, 0x55), FILE))
        assert "it is not what was written there" in message


def test_a_flipped_byte_with_its_digest_is_no_bare_error() -> None:
    """Footer, headers and pages may hold anything: it is read, or refused by the object's name."""
    for place in range(len(BODY)):
        for flip in (0x01, 0x80, 0xFF):
            assert is_read_or_refused(flipped(BODY, place, flip))


def test_an_object_that_was_cut_is_refused() -> None:
    """No part of an object is taken for all of it."""
    for length in range(0, len(BODY), 7):
        refusal(BODY[:length], believed(BODY[:length]))


@given(st.binary())
def test_random_bytes_are_refused(body: bytes) -> None:
    """Bytes that are no Parquet are refused, between its magic numbers too."""
    for damaged in (body, b"PAR1" + body + b"PAR1"):
        refusal(damaged, believed(damaged))


@pytest.mark.parametrize("said", [1, 29, 31, 10**18])
def test_rows_that_are_missing_or_too_many_are_refused(said: int) -> None:
    """A reader that has read to the end has all rows, and no others."""
    error = refusal(BODY, DataFile(FILE.key, said, FILE.sha256))

    assert f"it has 30 rows, and its manifest says {said}" in str(error)


def test_an_object_is_counted_before_it_is_expanded() -> None:
    """By what its footer says, so that a wrong one takes no memory."""
    with (
        pytest.raises(CorruptLogError, match="it has 30 rows, and its manifest says 29"),
        parquet.opened(FakeBucket({FILE.key: BODY}), FILE.key, FILE.sha256, 29),
    ):
        pytest.fail("the object was opened")


@pytest.mark.parametrize("reader", [read_rows, read_parts])
def test_rows_are_counted_as_they_are_read(
    reader: Callable[..., Iterator[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A footer that is right, of pages with fewer rows, is noticed after the last."""

    whole, batches = pq.ParquetFile.read, pq.ParquetFile.iter_batches

    def short(source: Any, **options: Any) -> pa.Table:
        return whole(source, **options).slice(1)

    def short_batches(source: Any, **options: Any) -> Iterator[pa.RecordBatch]:
        return (batch.slice(1) for batch in batches(source, **options))

    monkeypatch.setattr(pq.ParquetFile, "read", short)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", short_batches)

    with pytest.raises(CorruptLogError, match="it has 29 rows, and its manifest says 30"):
        list(reader(FakeBucket({FILE.key: BODY}), [FILE]))


def test_a_name_or_text_that_is_no_text_is_refused_or_read() -> None:
    """Other encodings in the footer are no bare error either."""
    for old, new in ((b"payment_date", b"payment\xff\xfedat"), (SECRET.encode(), b"\xff" * 25)):
        assert is_read_or_refused(BODY.replace(old, new))


def test_no_damaged_key_set_is_believed() -> None:
    """Keys that are misread would be rows that are reported as deleted."""
    bucket, builder = FakeBucket(), KeySetBuilder()
    builder.add(pa.array([1, 2, 3]))
    made = builder.key_set()
    assert made is not None
    key, sha256 = store(bucket, ObjectNames("keys", 1, DAY), {"payment": made})
    body = bucket.objects[key]

    for place in range(len(body)):
        with pytest.raises(CorruptLogError, match=f"{key} is damaged: it is not what was written"):
            fetch(FakeBucket({key: flipped(body, place, 0x55)}), key, sha256)
    for length in range(0, len(body), 7):
        with pytest.raises(CorruptLogError, match=f"{key} is damaged: it cannot be read"):
            fetch(FakeBucket({key: body[:length]}), key, digest(body[:length]))


@pytest.mark.parametrize(
    "other",
    [
        pa.table({"table": ["payment"]}),
        pa.table(
            {
                "table": ["payment"],
                "shift": [12],
                "first": [0],
                "last": [1],
                "rows": [1],
                "sum": [1],
            }
        ),
        rows(3),
    ],
)
def test_an_object_that_holds_no_keys_is_refused(other: pa.Table) -> None:
    """Another object instead of the keys, or keys of nothing, are refused."""
    body = packed(pa.table(other))

    with pytest.raises(CorruptLogError, match=f"{KEYS} does not hold the keys of tables"):
        fetch(FakeBucket({KEYS: body}), KEYS, digest(body))


def test_no_damaged_quarantine_is_believed() -> None:
    """Rows that wait are neither lost nor changed with the object that holds them."""
    bucket = FakeBucket()
    names = ObjectNames("quarantine/source/payment", 1, DAY)
    entry = quarantine.store(bucket, names, pa.table(rows(30)), [])
    body = bucket.objects[entry.file]
    assert entry == QuarantinePart(entry.file, 30, digest(body))
    assert quarantine.read(bucket, entry).num_rows == 30

    for place in range(len(body)):
        with pytest.raises(CorruptLogError, match="it is not what was written there"):
            quarantine.read(FakeBucket({entry.file: flipped(body, place, 0x55)}), entry)
    with pytest.raises(CorruptLogError, match="it has 30 rows, and its manifest says 29"):
        quarantine.read(bucket, msgspec.structs.replace(entry, rows=29))


def forged(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", use_dictionary=False)
    return bytes(sink.getvalue().to_pybytes())


def nulls() -> pa.Table:
    return pa.table({f"column_{place}": pa.nulls(1_000_000, pa.int64()) for place in range(40)})


def text() -> pa.Table:
    return pa.table({"text": pa.repeat(pa.scalar("x" * 1_000_000), 300)})


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (nulls, "it would take 325,000,000 bytes in memory"),
        (text, "bytes in memory"),
        (lambda: pa.table({"list": [[1, 2]]}), "a column is of a type that is never written"),
        (lambda: pa.table({"text": pa.array(["x"]).dictionary_encode()}), "a type that is never"),
    ],
    ids=["rows", "bytes", "nested", "dictionary type"],
)
def test_an_object_that_would_be_too_large_is_refused_unread(
    made: Callable[[], pa.Table], why: str
) -> None:
    """Few bytes that would become many are refused by their metadata, and take no memory."""
    rows = made()
    body = forged(rows)
    file = DataFile(FILE.key, rows.num_rows, digest(body))
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()

    for reader in (read_rows, read_parts):
        with pytest.raises(CorruptLogError, match=f"s3://lake/{FILE.key} is damaged: .*{why}"):
            list(reader(FakeBucket({FILE.key: body}), [file]))
    assert pool.bytes_allocated() - before < 1_000_000


def test_few_large_rows_make_parts_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are bounded by bytes too, so that what one function writes the next can hold."""
    monkeypatch.setattr("functions.common.parquet.BYTES_PER_PART", 1_000_000)
    bucket = FakeBucket()
    writer = PartWriter(bucket, "payment", 1, DAY)
    for place in range(10):
        writer.write(pa.record_batch({"text": [str(place) * 400_000]}))
    files = writer.close()

    assert [file.rows for file in files] == [3, 3, 3, 1]
    assert sum(batch.num_rows for batch in read_rows(bucket, files)) == 10
