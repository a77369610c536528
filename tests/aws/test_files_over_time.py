"""Batches of files while declarations change, runs die, and objects grow old."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace as with_fields

from etl import Feed, Table, Text, latest, replace
from functions.common.logs import Logs
from functions.common.manifests import Balance
from functions.transform.sweep import sweep_all
from tests.aws.files_lake import (
    AT,
    BAD,
    FEEDS,
    GOOD,
    Dropped,
    FilesLake,
    declared,
    fact_order,
    order,
    orders,
    review,
    reviews,
    staged,
)


@pytest.fixture
def lake(files_lake: FilesLake) -> FilesLake:
    return files_lake


def test_a_new_target_table_has_the_rows_of_all_files_so_far(lake: FilesLake) -> None:
    """In order, without files that were refused whole, and with what is refused counted."""
    lake.environment["MAX_REJECTS"] = "50%"
    lake.pipeline = declared(latest(order, name="known"), feeds=FEEDS[:1])
    for price in range(10):
        lake.ingest(orders(["1", None, str(price)], BAD if price == 3 else ["2", None, "0"]))
    lake.ingest(orders(BAD, BAD, GOOD))
    lake.transform()
    lake.pipeline = declared(latest(order, name="known"), fact_order, staged, feeds=FEEDS[:1])
    lake.ingest(orders(["1", None, "99"]))
    done = lake.transform()
    prices = [int(row["price"]) for row in lake.rows(done, "fact_order") if row["id"] == 1]
    assert prices == [*range(10), 99]
    assert (done.tables["fact_order"].filled, done.tables["fact_order"].sequence) == (True, True)
    assert done.balance["orders"] == Balance(taken=21, released=0, out=20, quarantined=1)
    assert [row["price"] for row in lake.rows(done, "staged")] == [99]
    assert done.tables["known"].rows == 1


def test_a_new_replaced_table_has_the_newest_file_that_was_accepted(lake: FilesLake) -> None:
    """Also where that came long ago, and where the batch itself has none."""
    lake.pipeline = declared(reviews)
    lake.ingest(orders(["7", None, "1"]), orders(["8", None, "1"], key="orders-2.csv"))
    lake.ingest(orders(error="it is empty"))
    lake.ingest(Dropped(review, "reviews.csv", [["5", None]]))
    lake.transform()
    lake.pipeline = declared(reviews, staged)
    lake.ingest(Dropped(review, "reviews.csv", [["4", None]]))
    done = lake.transform()
    assert [row["id"] for row in lake.rows(done, "staged")] == [8]
    assert (done.tables["staged"].snapshot, done.tables["staged"].filled) == (True, False)
    lake.ingest(Dropped(review, "reviews.csv", [["3", None]]))
    assert lake.transform().tables["staged"].snapshot is False


def test_a_file_of_a_table_that_is_not_declared_any_more_is_passed_over(lake: FilesLake) -> None:
    """A batch that waited while the pipeline changed goes through."""
    lake.ingest(orders(GOOD), Dropped(review, "reviews.csv", [["5", None]]))
    lake.pipeline = declared(reviews, feeds=FEEDS[1:])
    done = lake.transform()
    assert [account.reason for account in done.files] == [None, None]
    assert lake.rows(done, "reviews") == [{"review": 5, "words": None}]


def test_a_column_that_is_declared_later_is_null_in_older_rows(lake: FilesLake) -> None:
    """Where it may not be NULL, the reason says so."""
    lake.ingest(orders(GOOD))
    grown = Table("orders", key="id", columns={**order.columns, "note": Text()})
    lake.pipeline = declared(replace(grown), feeds=(Feed(grown, "orders.csv"),))
    done = lake.transform()
    assert lake.errors(done.files[0].errors) == [["2", "has no note", "1,2026-11-01,1.50"]]


def test_a_batch_of_files_done_twice_has_the_same_rows(lake: FilesLake) -> None:
    """A run that died before its manifest leaves nothing that counts."""
    lake.ingest(orders(*[GOOD] * 50, BAD))
    first = lake.transform()
    log = lake.logs.processed
    log.bucket.remove([log.key(1)])
    lake.logs = Logs.of(lake.logs.ingested.bucket, log.bucket, "shop")
    second = lake.transform()
    assert lake.rows(first, "staged") == lake.rows(second, "staged")
    [before], [after] = first.files, second.files
    assert before.reasons is not None
    assert after.reasons is not None
    assert (after.reasons.sha256, after.rows) == (before.reasons.sha256, before.rows)
    as_before = [with_fields(before, reasons=after.reasons)]
    assert second == with_fields(first, tables=second.tables, files=as_before, refusals=as_before)


def test_what_is_for_people_is_never_swept_and_what_nothing_names_is(lake: FilesLake) -> None:
    """Errors and exports stay; copies and rows of files go when no manifest names them."""
    copies = [f"files/shop/{AT:%Y-%m-%d}/0000000001-000000000000{n}" for n in (1, 2)]
    lake.pipeline = declared(staged, reviews, remote=True)
    lake.ingest(orders(BAD, GOOD, copy=copies[0]))
    later = AT + timedelta(days=9)
    lake.ingest(Dropped(review, "reviews.csv", [["5", None]]), at=later)
    ours, theirs = lake.logs.ingested.bucket, lake.logs.processed.bucket
    for key in copies:
        ours.put(key, b"")
    theirs.put(f"exports/public/{AT:%Y-%m-%d}/0000000001-1.parquet", b"")
    lake.transform()
    lost = staged_objects(lake)
    assert sweep(lake, later + timedelta(days=9)) == 1 + len(lost)
    assert ours.keys_after("files/", "", 9) == copies[:1]
    assert staged_objects(lake) == []
    assert theirs.keys_after("errors/", "", 9) == ["errors/orders/orders.csv"]
    assert len(theirs.keys_after("exports/", "", 9)) == 1


def staged_objects(lake: FilesLake) -> list[str]:
    """Return the objects of a file that was refused whole after its rows were written."""
    return lake.logs.processed.bucket.keys_after("staged/", "", 9)


def sweep(lake: FilesLake, today: datetime) -> int:
    return sweep_all(lake.pipeline, lake.logs, today.date(), lambda: True)
