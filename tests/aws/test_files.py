"""Files that are dropped, overwritten and deleted, and which of their versions are read."""

import gzip

import pytest

from etl import Files
from functions.sources import Repair
from tests.aws.drop import APART, NOTES, REVIEWS, TOGETHER, VERSIONED_OR_NOT, Drop, keys


@VERSIONED_OR_NOT
def test_files_that_were_there_before_are_read(drop: Drop) -> None:
    """A batch has the rows of each, and says which objects hold those of which file."""
    drop.put("orders.csv", "id,note\n1,a\n2,b\n")
    drop.put("orders-2.csv.gz", gzip.compress(b"note,id\nc,3\n"))
    drop.put("reviews/1.csv", "stars\n5\n5\n")
    drop.put("notes.json", '{"id": 7, "note": "x"}')
    drop.put("other.txt", "?")
    drop.put("reviews/", "")

    batch = drop.batch()

    assert sorted(drop.rows(batch)) == [("1", "a"), ("2", "b"), ("3", "c")]
    assert drop.rows(batch, REVIEWS) == [("5",), ("5",)]
    assert drop.rows(batch, NOTES) == [("7", "x")]
    assert {read.file.key: read.rows for read in batch.files} == {
        "orders.csv": 2,
        "orders-2.csv.gz": 1,
        "reviews/1.csv": 2,
        "notes.json": 1,
    }
    assert batch.source.database == "drop"
    assert batch.tables["orders"].changed == 3


@VERSIONED_OR_NOT
def test_nothing_new_writes_nothing(drop: Drop) -> None:
    """An event that comes twice, late, or not at all makes no difference: the bucket is listed."""
    assert drop.run().manifest is None
    drop.put("orders.csv", "id,note\n1,a\n")
    drop.batch()

    assert drop.run().manifest is None
    assert drop.log.newest() == 1


@VERSIONED_OR_NOT
def test_a_file_that_is_dropped_twice_is_read_once(drop: Drop) -> None:
    """The same bytes under the same key are the same file."""
    drop.put("orders.csv", "id,note\n1,a\n")
    drop.batch()
    drop.put("orders.csv", "id,note\n1,a\n")

    assert drop.run().manifest is None


@VERSIONED_OR_NOT
def test_a_file_that_becomes_what_it_was_is_read_again(drop: Drop) -> None:
    """Else the warehouse would stay with what was between."""
    for text in ("a", "b", "a"):
        drop.put("orders.csv", f"id,note\n1,{text}\n")
        batch = drop.batch()

        assert drop.rows(batch) == [("1", text)]
    assert drop.run().manifest is None


def test_all_versions_are_read_in_order(aws: None) -> None:
    """Files dropped between two runs are not lost, even if all of them came in one second."""
    drop = Drop()
    for text in "abcc":
        drop.put("orders.csv", f"id,note\n1,{text}\n")

    batch = drop.batch()

    assert drop.rows(batch) == [("1", "a"), ("1", "b"), ("1", "c")]
    assert [read.rows for read in batch.files] == [1, 1, 1]
    assert drop.run().manifest is None


@pytest.mark.parametrize("source", [APART, TOGETHER], ids=["apart", "together"])
def test_a_file_from_before_the_bucket_kept_versions_is_read(aws: None, source: Files) -> None:
    """Also after it was overwritten: S3 keeps it as the version null."""
    drop = Drop(source, versioned=False)
    drop.put("orders.csv", "id,note\n1,a\n")
    drop.put("reviews/1.csv", "stars\n5\n")
    status = {"Status": "Enabled"}
    drop.client.put_bucket_versioning(Bucket="drop", VersioningConfiguration=status)
    drop.put("orders.csv", "id,note\n1,b\n")

    batch = drop.batch()

    assert drop.rows(batch) == [("1", "a"), ("1", "b")]
    assert drop.run().manifest is None


def test_a_file_from_before_the_bucket_kept_versions_can_be_read_again(aws: None) -> None:
    """As the version that was read last, though another one covers it."""
    drop = Drop(versioned=False)
    drop.put("orders.csv", "id,note\n1,a\n")
    drop.batch()
    status = {"Status": "Enabled"}
    drop.client.put_bucket_versioning(Bucket="drop", VersioningConfiguration=status)
    drop.put("orders.csv", "id,note\n1,b\n")

    again = drop.run(repair=Repair(read=["orders"])).manifest

    assert again is not None
    assert drop.rows(again) == [("1", "a")]
    assert [read.again for read in again.files] == [True]
    assert drop.rows(drop.batch()) == [("1", "b")]


@VERSIONED_OR_NOT
def test_two_files_in_one_second_are_both_read(drop: Drop) -> None:
    """No file is skipped because of the time of another."""
    drop.put("orders-b.csv", "id,note\n1,b\n")
    drop.batch()
    drop.put("orders-a.csv", "id,note\n2,a\n")

    assert keys(drop.batch()) == ["orders-a.csv"]


@VERSIONED_OR_NOT
def test_of_a_replaced_table_only_the_newest_file_is_read(drop: Drop) -> None:
    """The others are known without being read."""
    for name in ("b", "a", "c"):
        drop.put(f"reviews/{name}.csv", f"stars\n{len(name)}\n")
    batch = drop.batch()

    assert len(keys(batch)) == 1
    assert drop.run().manifest is None
    drop.put("reviews/a.csv", "stars\n9\n")
    assert drop.rows(drop.batch(), REVIEWS) == [("9",)]


@VERSIONED_OR_NOT
def test_a_deleted_file_is_not_read_and_costs_nothing(drop: Drop) -> None:
    """One that was withdrawn before it was read is not there; one that was read stays read."""
    drop.put("orders.csv", "id,note\n1,a\n")
    drop.put("orders-2.csv", "id,note\n2,a\n")
    drop.delete("orders-2.csv")
    assert keys(drop.batch()) == ["orders.csv"]
    drop.delete("orders.csv")

    assert drop.run().manifest is None
    drop.put("orders.csv", "id,note\n1,b\n")
    assert drop.rows(drop.batch()) == [("1", "b")]


@VERSIONED_OR_NOT
def test_a_file_that_cannot_be_used_is_in_the_batch_with_the_reason(drop: Drop) -> None:
    """It has no rows, others have theirs, and it is not read again until it is another one."""
    drop.put("orders.csv", "id\n1\n")
    drop.put("orders-2.csv", "id,note\n2,a\n")
    drop.put("orders-3.csv.gz", gzip.compress(b"id,note\n" + b"1,a\n" * 9999)[:-9])

    batch = drop.batch()

    assert {read.file.key: read.error for read in batch.files} == {
        "orders.csv": "its header has no column note",
        "orders-2.csv": None,
        "orders-3.csv.gz": "it is cut off: gzip's data end before they should",
    }
    assert drop.rows(batch) == [("2", "a")]
    assert drop.run().manifest is None


def test_other_headers_are_reported_once(drop: Drop) -> None:
    """Another column, and a column less; another order is nothing to report."""
    reported = []
    for header in ("id,note,x", "x,note,id", "id,note,y"):
        drop.put("orders.csv", f"{header}\n1,2,3\n")
        reported.append(drop.batch().drift)

    assert reported == [
        [],
        [],
        [
            (
                "table orders: column y is new in its files"
                " (not declared: carried into the lake, and no further)"
            ),
            "table orders: column x is gone from its files (not declared)",
        ],
    ]


def test_a_change_of_thousands_of_columns_is_one_line(drop: Drop) -> None:
    """Ten are named, and the others counted: nobody reads a line for each."""
    many = [f"c{number}" for number in range(3_000)]
    drop.put("orders.csv", "id,note\n")
    drop.batch()
    drop.put("orders.csv", f"id,note,{','.join(many)}\n")

    [change] = drop.batch().drift

    assert change == (
        "table orders: columns c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 2,990 more are new in its"
        " files (not declared: carried into the lake, and no further)"
    )
