"""Junk in the way of extract and load: a clear error that Lambda counts, and no effect."""

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.common.errors import CorruptLogError, PipelineError, UnknownBatchError
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from local.connection import connect
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.oracle import current, expected, records

FIRST = "batches/source/0000000001.json"
JUNK: list[Any] = [
    None,
    True,
    0,
    1.5,
    "replay",
    [],
    ["replay", 1],
    {},
    {"Replay": 1},
    {"detail": {"replay": 1}},
    {"Records": [{"s3": {"object": {"key": "batches/source/0000000001.json"}}}]},
    {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
]

Edit = Callable[[dict[str, Any]], Any]


def say(handler: Callable[[Any, Any], dict[str, Any]], event: Any) -> dict[str, Any]:
    return handler(event, Context("function"))


def contents(functions: Functions) -> dict[str, bytes]:
    """Return all objects of both buckets."""
    return {
        f"{bucket}/{key}": functions.body(bucket, key)
        for bucket in (functions.ingestion, functions.processed)
        for key in functions.keys(bucket)
    }


def change(functions: Functions) -> None:
    with connect(functions.source.superuser_url) as shop:
        shop.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 1")
        shop.run("UPDATE address SET district = 'Other' WHERE address_id = 1")
        shop.run("DELETE FROM payment WHERE payment_id = 2")


def touch(functions: Functions) -> None:
    with connect(functions.source.superuser_url) as shop:
        shop.run("UPDATE design SET file_name = file_name || '+' WHERE design_id = 1")


def overwrite(bucket: str, key: str, body: bytes) -> None:
    """Do what nothing in the pipeline does."""
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def edit(functions: Functions, bucket: str, key: str, edited: Edit) -> bytes:
    """Change a document; return what it was."""
    document = functions.document(bucket, key)
    before = functions.body(bucket, key)
    edited(document)
    overwrite(bucket, key, json.dumps(document).encode())
    return before


def test_an_event_that_asks_for_nothing_gets_the_usual_work(functions: Functions) -> None:
    """Whatever event invokes extract and load, they move what has changed, and nothing twice."""
    for batch, event in enumerate(JUNK, start=1):
        touch(functions)
        assert say(extract_handler.handler, event)["batch"] == batch
        functions.transform()
        assert say(load_handler.handler, event)["batches"] == [batch]

        assert say(extract_handler.handler, event)["batch"] is None
        assert say(load_handler.handler, event)["batches"] == []
    assert current(functions.warehouse) == expected(functions.source)


def test_a_replay_of_what_is_no_batch_is_refused(functions: Functions) -> None:
    """Only a number of the log is replayed: true, "1" and half a batch get a hint."""
    functions.run()
    before = contents(functions)

    for junk in (None, True, False, 1.5, 1.0, "1", "x", "", [], [1], {}, {"batch": 1}):
        with pytest.raises(UnknownBatchError) as failure:
            say(extract_handler.handler, {"replay": junk})
        assert str(failure.value) == (
            f"the event asks to replay a {type(junk).__name__}: give the number of a batch, as in "
            '{"replay": 7}'
        )
    for number in (0, -1, 2, 2**31, -(2**63), 10**30):
        with pytest.raises(UnknownBatchError, match=f"there is no batch {number}: the newest is 1"):
            say(extract_handler.handler, {"replay": number})
    assert contents(functions) == before


def test_a_run_without_time_left_does_one_whole_batch(functions: Functions) -> None:
    """A function without time left neither hangs nor does half of the work."""
    functions.extract()
    functions.transform()
    change(functions)
    functions.extract()
    functions.transform()

    assert [functions.load(milliseconds=left)["batches"] for left in (0, -1, 0)] == [[1], [2], []]


def refused(functions: Functions, run: Callable[[], Any], message: str) -> None:
    """Run a function that fails: its error says where, and nothing has changed anywhere."""
    objects, rows = contents(functions), records(functions.warehouse)
    star = current(functions.warehouse)
    with pytest.raises(PipelineError) as failure:
        run()
    assert message in str(failure.value)
    assert contents(functions) == objects
    assert (current(functions.warehouse), records(functions.warehouse)) == (star, rows)


EDITS: list[tuple[Edit, str]] = [
    (lambda m: m.update(batch=7), "says that it is batch 7"),
    (lambda m: m.update(batch=-1), "is not a manifest"),
    (lambda m: m.update(tables=[]), "is not a manifest"),
    (lambda m: m.pop("source"), "is not a manifest"),
]


def test_extract_stops_at_a_newest_manifest_that_misleads(functions: Functions) -> None:
    """The watermark is believed only whole; once it is restored, nothing has been lost."""
    functions.run()
    change(functions)

    for edited, message in EDITS:
        good = edit(functions, functions.ingestion, FIRST, edited)
        refused(functions, functions.extract, f"s3://{functions.ingestion}/{FIRST} {message}")
        refused(functions, lambda: say(extract_handler.handler, {"replay": 1}), message)
        overwrite(functions.ingestion, FIRST, good)

    assert functions.run()["rows"] == {"payment": 1, "address": 1}


def test_extract_stops_at_damaged_keys(functions: Functions) -> None:
    """Without the previous keys no row is reported as deleted."""
    functions.run()
    change(functions)
    key = functions.document(functions.ingestion, FIRST)["keys"]
    good = functions.body(functions.ingestion, key)

    for damaged in (b"", b"junk", b"PAR1PAR1", good[:-9]):
        overwrite(functions.ingestion, key, damaged)
        refused(functions, functions.extract, f"s3://{functions.ingestion}/{key} is damaged")

    overwrite(functions.ingestion, key, good)
    assert functions.run()["deleted"] == {"payment": 1}


def test_a_table_whose_position_is_too_large_is_read_whole(functions: Functions) -> None:
    """Transactions without end in a manifest cost a whole read, not a function's memory."""
    functions.run()

    def without_end(manifest: dict[str, Any]) -> None:
        manifest["tables"]["payment"]["seen"] = [[0, 2**62]]

    edit(functions, functions.ingestion, FIRST, without_end)
    change(functions)

    assert functions.run()["rows"]["payment"] == len(expected(functions.source)["fact_payment"])


def test_load_stops_at_a_manifest_that_misleads(functions: Functions) -> None:
    """Nothing of the batch is in the warehouse until its manifest is restored."""
    functions.extract()
    functions.transform()

    for edited, message in EDITS:
        good = edit(functions, functions.processed, FIRST, edited)
        refused(functions, functions.load, f"s3://{functions.processed}/{FIRST} {message}")
        overwrite(functions.processed, FIRST, good)

    functions.load()
    assert current(functions.warehouse) == expected(functions.source)


def files_of(functions: Functions, table: str) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = functions.document(functions.processed, FIRST)["tables"][table][
        "files"
    ]
    return files


def test_load_stops_at_a_damaged_object(functions: Functions) -> None:
    """A batch with one damaged object is loaded whole or not at all."""
    functions.extract()
    functions.transform()
    [file] = files_of(functions, "fact_payment")
    good = functions.body(functions.processed, file["key"])
    middle = len(good) // 2

    for damaged in (
        b"",
        good[:-1],
        good[:middle],
        good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        b"PAR1" + bytes(range(256)) + b"PAR1",
    ):
        overwrite(functions.processed, file["key"], damaged)
        refused(functions, functions.load, f"s3://{functions.processed}/{file['key']} is damaged")

    overwrite(functions.processed, file["key"], good)
    functions.load()
    assert current(functions.warehouse) == expected(functions.source)


def altered(rows: pa.Table) -> list[tuple[str, pa.Table]]:
    """Return a table of payments as no transform writes it, with columns that do not fit."""
    key = rows.schema.get_field_index("payment_id")
    nothing, text = pa.nulls(rows.num_rows, pa.int32()), pa.array(["x"] * rows.num_rows)
    return [
        ("extra column", rows.append_column("; DROP TABLE dim_date; --", text)),
        ("renamed column", rows.rename_columns({"paid": 'pa"id'})),
        ("no keys", rows.set_column(key, "payment_id", nothing)),
        ("twice", rows.append_column("paid", rows["paid"])),
    ]


def test_load_stops_at_well_formed_rows_that_do_not_fit(functions: Functions) -> None:
    """Rows of another version or hand, that their manifest vouches for, leave nothing behind."""
    functions.extract()
    functions.transform()
    [file] = files_of(functions, "fact_payment")
    rows = pq.read_table(io.BytesIO(functions.body(functions.processed, file["key"])))

    for name, table in altered(rows):
        exchange(functions, file["key"], table)
        objects = contents(functions)
        with pytest.raises(PipelineError):
            functions.load()
        assert contents(functions) == objects, name
        assert set(records(functions.warehouse).values()) == {0}, name


def exchange(functions: Functions, key: str, rows: pa.Table) -> None:
    """Put other rows into an object of payments, and let the first manifest vouch for them."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    body = sink.getvalue().to_pybytes()
    overwrite(functions.processed, key, body)

    def vouch(manifest: dict[str, Any]) -> None:
        [entry] = manifest["tables"]["fact_payment"]["files"]
        entry["sha256"] = hashlib.sha256(body).hexdigest()

    edit(functions, functions.processed, FIRST, vouch)


def test_values_that_the_warehouse_cannot_have_cost_their_rows(functions: Functions) -> None:
    """Amounts of another type are refused one by one, and every other table is loaded."""
    functions.extract()
    functions.transform()
    [file] = files_of(functions, "fact_payment")
    rows = pq.read_table(io.BytesIO(functions.body(functions.processed, file["key"])))
    amount = rows.schema.get_field_index("payment_amount")
    text = pa.array(["x"] * rows.num_rows)
    exchange(functions, file["key"], rows.set_column(amount, "payment_amount", text))

    assert functions.load()["refused"] == {"fact_payment": rows.num_rows}
    there = current(functions.warehouse)
    assert not there.pop("fact_payment")
    assert there == {name: r for name, r in expected(functions.source).items() if name in there}


def test_load_stops_at_a_damaged_marker(functions: Functions) -> None:
    """The loaded batches are not guessed."""
    functions.run()
    change(functions)
    functions.extract()
    functions.transform()
    marker = "loaded/source/0000000001.json"
    good = functions.body(functions.processed, marker)

    for damaged in (b"", good[:-1], b"{}", b"[" * 1000, b"\xff"):
        overwrite(functions.processed, marker, damaged)
        refused(functions, functions.load, f"s3://{functions.processed}/{marker} is not a manifest")

    overwrite(functions.processed, marker, good)
    assert functions.load()["batches"] == [2]


def test_an_object_that_is_gone_is_named(functions: Functions) -> None:
    """The function that misses a deleted object names it."""
    functions.extract()
    functions.transform()
    [file] = files_of(functions, "dim_staff")
    functions.s3.delete_object(Bucket=functions.processed, Key=file["key"])

    with pytest.raises(
        CorruptLogError, match=r"dim_staff/.* is named by the batch log and cannot be"
    ):
        functions.load()
    assert set(records(functions.warehouse).values()) == {0}
