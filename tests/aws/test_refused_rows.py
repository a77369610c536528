"""The object with the refused rows of a file, written while the file is read."""

from typing import Any

import boto3
import pyarrow as pa
import pytest

from etl import Csv, Feed, Table, Text
from functions.common.carried import LINE, ROW
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.transform.refusals import RefusedRows
from functions.transform.reports import form_of

FEED = Feed(Table("orders", key="id", columns={"id": Text()}), "orders.csv", Csv())
KEY = "errors/orders/orders.csv"


@pytest.fixture
def bucket(aws: None) -> Bucket:
    client = boto3.client("s3", config=CLIENT_CONFIG, region_name="us-east-1")
    client.create_bucket(Bucket="lake")
    return Bucket(client, "lake")


def part(*ids: str, first: int) -> pa.Table:
    lines = range(first, first + len(ids))
    return pa.table({"id": ids, LINE: [*lines], ROW: pa.nulls(len(ids), pa.string())})


def test_refused_rows_of_all_parts_of_a_file_are_in_one_object(bucket: Bucket) -> None:
    """In order and below one head, counted as they come; parts without any leave it as it is."""
    parts: list[tuple[pa.Table, dict[int, str]]] = [
        (part("a", "b", first=2), {1: "no"}),
        (part("c", first=4), {}),
        (part("d", "e", first=5), {0: "wrong", 1: "not it"}),
    ]

    with RefusedRows(bucket, KEY, form_of(FEED, ["id"]), lambda: False) as refused:
        for rows, reasons in parts:
            refused.add(rows, rows.select(["id"]), reasons)

    assert (refused.rows, refused.key) == (3, KEY)
    assert bucket.get(KEY).decode().splitlines() == [
        "line,reasons,row", "3,no,b", "5,wrong,d", "6,not it,e",
    ]  # fmt: skip


def test_a_file_without_refused_rows_has_no_object(bucket: Bucket) -> None:
    """Neither its name is given, nor anything written."""
    rows: Any = part("a", first=2)

    with RefusedRows(bucket, KEY, form_of(FEED, ["id"]), lambda: False) as refused:
        refused.add(rows, rows, {})

    assert (refused.rows, refused.key) == (0, None)
    assert bucket.keys_after("", "", 10) == []


@pytest.mark.parametrize("before", [None, b"theirs"])
def test_a_run_that_was_overtaken_writes_nothing(bucket: Bucket, before: bytes | None) -> None:
    """What is there may be of a newer version of the file; if nothing is, it has no such rows."""
    if before is not None:
        bucket.put(KEY, before)
    rows = part("a", first=2)

    with RefusedRows(bucket, KEY, form_of(FEED, ["id"]), lambda: True) as refused:
        refused.add(rows, rows.select(["id"]), {0: "no"})

    assert bucket.keys_after("", "", 10) == ([] if before is None else [KEY])
    assert before is None or bucket.get(KEY) == before
