"""Batches of files become target rows, and what cannot be used is refused in words."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from etl import Feed, latest, replace
from functions.common import telemetry
from functions.common.errors import PipelineCodeError, SettingsError
from functions.common.manifests import Balance, ProcessedManifest
from functions.common.uploads import PART_BYTES
from functions.transform import handler as transform
from tests.aws.files_lake import (
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
    target,
)


@pytest.fixture
def lake(files_lake: FilesLake) -> FilesLake:
    return files_lake


def test_the_rows_of_a_file_are_the_rows_of_its_table(lake: FilesLake) -> None:
    """Line by line, equal lines included, in exact types; a table that has no file stays."""
    lake.ingest(Dropped(review, "reviews.csv", [["5", " good "], ["5", " good "], ["1", None]]))
    done = lake.transform()
    assert lake.rows(done, "reviews") == [
        {"review": 5, "words": " good "}, {"review": 5, "words": " good "},
        {"review": 1, "words": None},
    ]  # fmt: skip
    assert (done.tables["reviews"].snapshot, done.tables["staged"].snapshot) == (True, False)
    assert (done.quarantine, done.absent, done.refusals) == ({}, {}, [])
    [account] = done.files
    assert (account.rows, account.out, account.refused, account.errors) == (3, 3, 0, None)


def test_a_row_that_cannot_be_used_costs_that_row(lake: FilesLake) -> None:
    """It is in the errors with its line, all reasons, and as it came; every row is counted."""
    broken = ("it has 1 value, and the header has 3", '"a, b"\nc')
    lake.environment["MAX_REJECTS"] = "60%"
    lake.ingest(orders(GOOD, BAD, broken, ["2", None, "2"], [None, "2200-01-01", '1,5 "x"']))
    done = lake.transform()
    assert [row["id"] for row in lake.rows(done, "staged")] == [1, 2]
    [account] = done.files
    assert lake.errors(account.errors) == [
        ["3", ("id is not a whole number: 'x'; day is not a date (yyyy-mm-dd): 'today'; "
         "price has more than 2 digits after the point: '1.505'"), "x,today,1.505"],
        ["4", "it has 1 value, and the header has 3", '"a, b"\nc'],
        ["6", "has no id; price is not a number: '1,5 \"x\"'", ',2200-01-01,"1,5 ""x"""'],
    ]  # fmt: skip
    assert (account.rows, account.out, account.refused) == (5, 2, 3)
    assert done.balance["orders"] == Balance(taken=5, released=0, out=2, quarantined=3)
    assert done.refusals == [account]


def test_a_refused_row_is_in_the_form_of_its_file(lake: FilesLake) -> None:
    """The feed's delimiter, quote and NULL are used, and the columns are in the file's order."""
    lake.environment["MAX_REJECTS"] = "off"
    rows = [["x", "a;b", None], ["9", None, "r\r"]]
    lake.ingest(
        Dropped(review, "reviews.csv", rows, header=["more", "words", "review"]),
        Dropped(target, "a/b.json", [["1", None, "1.00"]], json=True),
    )
    done = lake.transform()
    csv, json = done.files
    assert csv.errors == "errors/reviews/reviews.csv"
    assert lake.errors(csv.errors) == [
        ["2", "has no review", 'x;"a;b";-'],
        ["3", "review is not a whole number: 'r\r'", '9;-;"r\r"'],
    ]
    assert json.errors == "errors/targets/a/b.json.csv"
    assert lake.errors(json.errors)[0][2].startswith("{'staff': '1'")


def test_errors_of_any_size_are_written_whole(lake: FilesLake) -> None:
    """They go to S3 in parts while the file is read, and no line of them is left out."""
    rows = [["x", f"{number} {'long ' * 1000}"] for number in range(3_000)]
    lake.ingest(Dropped(review, "reviews.csv", rows))
    [account] = lake.transform().files
    lines = lake.errors(account.errors)
    assert [line for line, _, _ in lines] == [str(number) for number in range(2, 3_002)]
    assert lines[-1][2] == f"x;2999 {'long ' * 1000}"
    assert sum(len(row) for _, _, row in lines) > PART_BYTES


@pytest.mark.parametrize(
    ("limit", "refused", "is_whole"),
    [("5%", 5, False), ("5%", 6, True), ("0", 0, False), ("0", 1, True), ("off", 100, False),
     ("29%", 29, False), (None, 5, False), (None, 6, True)],
)  # fmt: skip
def test_a_file_with_too_many_such_rows_is_refused_whole(
    lake: FilesLake, limit: str | None, refused: int, is_whole: bool
) -> None:
    """More than the share MAX_REJECTS, 5% unless it is set: then nothing of it is loaded."""
    if limit:
        lake.environment["MAX_REJECTS"] = limit
    lake.ingest(orders(*[BAD] * refused, *[GOOD] * (100 - refused)))
    done = lake.transform()
    [account] = done.files
    assert (account.reason is not None) == is_whole
    assert account.refused == (100 if is_whole else refused)
    assert account.out == done.balance["orders"].out == 100 - account.refused
    assert len(lake.rows(done, "staged")) == account.out
    assert done.tables["staged"].snapshot is not is_whole


def test_the_reason_of_a_file_says_how_many(lake: FilesLake) -> None:
    """The reason shows how far from the limit the file is, and what to do."""
    lake.ingest(orders(BAD, *[GOOD] * 9))
    [account] = lake.transform().files
    assert account.reason == (
        "1 of its 10 rows are refused (10.0%), and at most 5% may be: correct it and drop it again"
    )


def test_a_feed_may_have_its_own_limit(lake: FilesLake) -> None:
    """The limit of a feed takes precedence over the setting."""
    lake.pipeline = declared(staged, feeds=(Feed(order, "orders.csv", max_rejects=1),))
    lake.ingest(orders(BAD, BAD))
    assert lake.transform().files[0].reason is None


def test_a_limit_that_is_no_share_is_named(lake: FilesLake) -> None:
    """Nothing is refused by a rule that nobody wrote."""
    lake.environment["MAX_REJECTS"] = "5"
    lake.ingest(orders(GOOD))
    with pytest.raises(SettingsError, match="MAX_REJECTS of this function is not a share"):
        lake.transform()


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(lake: FilesLake) -> None:
    """Its errors name the first line, and a table that is replaced stays as it was."""
    lake.ingest(orders(error="its header has no column price"))
    done = lake.transform()
    [account] = done.files
    assert (account.rows, account.refused) == (0, 0)
    assert lake.errors(account.errors) == [["1", "its header has no column price", ""]]
    assert (done.refusals, done.tables["staged"].snapshot) == ([account], False)


def test_files_that_belong_together_are_refused_together(lake: FilesLake) -> None:
    """One that is refused whole keeps all others of the batch out, and is named."""
    lake.pipeline = declared(staged, reviews, feeds=FEEDS[:2], together=True)
    lake.ingest(orders(GOOD), Dropped(review, "reviews.csv", error="it is empty"))
    done = lake.transform()
    assert [table.rows for table in done.tables.values()] == [0, 0]
    assert [account.reason for account in done.files] == [
        "it belongs together with reviews.csv, which is refused", "it is empty",
    ]  # fmt: skip
    assert done.balance["orders"] == Balance(1, 0, 0, 1)
    lake.ingest(orders(GOOD), Dropped(review, "reviews.csv", [["5", None]]))
    done = lake.transform()
    assert [table.snapshot for table in done.tables.values()] == [True, True]
    assert done.refusals == []


def test_versions_of_a_file_are_a_sequence(lake: FilesLake) -> None:
    """Rows of latest and history are in the order of the files; a replaced table has the last."""
    lake.pipeline = declared(staged, latest(order), fact_order, feeds=FEEDS[:1])
    lake.ingest(orders(GOOD, ["1", None, "2"]), orders(["2", None, "3"], key="orders-2.csv"))
    done = lake.transform()
    for name in ("orders", "fact_order"):
        assert [(row["id"], row["price"]) for row in lake.rows(done, name)] == [
            (1, pytest.approx(1.5)), (1, 2), (2, 3),
        ]  # fmt: skip
        assert (done.tables[name].sequence, done.tables[name].snapshot) == (True, False)
    assert [row["id"] for row in lake.rows(done, "staged")] == [2]
    assert done.tables["staged"].sequence is False
    assert [account.out for account in done.files] == [2, 1]


def test_a_row_is_fit_for_all_target_tables_or_for_none(lake: FilesLake) -> None:
    """A day that the history's calendar cannot have keeps the row out of the copy as well."""
    lake.environment["MAX_REJECTS"] = "off"
    lake.pipeline = declared(staged, fact_order, feeds=FEEDS[:1])
    lake.ingest(orders(GOOD, ["2", "2200-01-01", "1"]))
    done = lake.transform()
    assert [done.tables[name].rows for name in ("staged", "fact_order")] == [1, 1]
    assert lake.errors(done.files[0].errors)[0][1] == (
        "day is outside the calendar, 1900-01-01 to 2100-12-31"
    )


def test_a_function_leaves_rows_of_one_key_in_order(lake: FilesLake) -> None:
    """Which of them is the newest would be a matter of chance."""
    turned = latest(key="id", name="turned")(lambda orders: orders[::-1])
    lake.pipeline = declared(turned, feeds=FEEDS[:1])
    lake.ingest(orders(GOOD, ["1", None, "1"], ["2", None, "2"]))
    with pytest.raises(
        PipelineCodeError, match="turned: its function returned the rows in another o"
    ):
        lake.transform()


def test_a_function_of_lines_makes_as_many_lines(lake: FilesLake) -> None:
    """Without a key there is nothing else by which rows that were lost could be noticed."""
    more = replace(name="more")(lambda reviews: reviews.loc[reviews.index.repeat(2)])
    lake.pipeline = declared(more, feeds=FEEDS[1:2])
    lake.ingest(Dropped(review, "reviews.csv", [["5", None]]))
    with pytest.raises(
        PipelineCodeError, match="more: its function returned 2 rows for 1: each row"
    ):
        lake.transform()


def test_refusals_are_open_until_a_newer_version_comes(lake: FilesLake) -> None:
    """The newest are named first; a good version, or a newer file of a replaced table, closes."""
    bad = Dropped(target, "a.json", error="it is empty")
    lake.ingest(orders(error="it is empty"), bad, with_key(bad, "b.json"))
    assert open_files(lake.transform()) == ["b.json", "a.json", "orders.csv"]
    lake.ingest(Dropped(target, "a.json", [["1", "May", "x"]]), orders(GOOD, key="orders-2.csv"))
    done = lake.transform()
    assert open_files(done) == ["a.json", "b.json"]
    lake.ingest(Dropped(target, "a.json", [["1", "May", "1"]]))
    assert open_files(lake.transform()) == ["b.json"]


def with_key(file: Dropped, key: str) -> Dropped:
    return Dropped(file.table, key, file.rows, error=file.error)


def open_files(done: ProcessedManifest) -> list[str]:
    return [account.file.key for account in done.refusals]


def test_a_table_without_target_tables_is_accounted_for_too(lake: FilesLake) -> None:
    """Its files are checked, because others may belong together with them."""
    lake.pipeline = declared(reviews)
    lake.ingest(orders(GOOD, *[BAD] * 2))
    done = lake.transform()
    assert done.files[0].refused == 3
    assert done.balance == {
        "orders": Balance(3, 0, 0, 3), "reviews": Balance(0, 0, 0, 0),
        "targets": Balance(0, 0, 0, 0),
    }  # fmt: skip


def test_the_log_names_refused_files_and_no_value(
    lake: FilesLake,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Files are counted for the alarm; what was in a row is in the errors alone."""
    lake.ingest(orders(*[GOOD] * 99, ["1", None, "secret"]), Dropped(target, "a.json", error="-"))
    monkeypatch.setenv("INGESTION_BUCKET", lake.logs.ingested.bucket.name)
    monkeypatch.setenv("PROCESSED_BUCKET", lake.logs.processed.bucket.name)
    monkeypatch.setattr(telemetry.metrics, "namespace", "shop-etl-dev")
    monkeypatch.setattr(transform, "_pipeline", lambda: lake.pipeline)
    monkeypatch.setattr(transform, "_logs", lambda: [lake.logs])
    context: Any = SimpleNamespace(
        function_name="transform",
        memory_limit_in_mb=1769,
        invoked_function_arn="arn:aws:lambda:eu-west-2:123456789012:function:transform",
        aws_request_id="e6b1f1b0-0000-0000-0000-000000000000",
        get_remaining_time_in_millis=lambda: 600_000,
    )
    assert transform.handler({}, context)["quarantined"] == {"orders": 1}
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [metrics] = [line for line in printed if "_aws" in line]
    assert metrics["FilesRefused"] == [2.0]
    assert "RowsQuarantined" not in metrics
    logged = [vars(record) for record in caplog.records]
    assert [(each["message"], each["file"]) for each in logged if "file" in each] == [
        ("rows of a file refused", "s3://drop/orders.csv"),
        ("file refused", "s3://drop/a.json"),
    ]
    assert "secret" not in str(logged)
