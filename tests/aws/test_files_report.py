"""Refused rows in the form of a feed's report, through extract and transform."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from etl import (
    Csv,
    ErrorReport,
    Feed,
    Files,
    Integer,
    Pipeline,
    PostgresWarehouse,
    RefusedRow,
    Table,
    Text,
    latest,
)
from functions.common.accounts import FileAccount
from functions.common.errors import PipelineCodeError
from tests.aws.drop import Drop

CLERKS = Table("clerks", key="code", columns={
    "code": Text(check=str.isdecimal, normalize=lambda text: text.zfill(3)),
    "name": Text(nullable=True),
    "room": Integer(nullable=True),
})  # fmt: skip


def as_json(row: RefusedRow) -> Iterator[str]:
    yield json.dumps([row.number, list(row.values), dict(row.wrong), row.reason])


FEED = Feed(CLERKS, "*.csv", max_rejects=1.0, report=ErrorReport(".rejected", as_json))


def drop_of(feed: Feed = FEED) -> Drop:
    source = Files("desk", (feed,))
    warehouse = PostgresWarehouse("warehouse", (latest(CLERKS),))
    return Drop(source, pipeline=Pipeline(sources=[source], targets=[warehouse]))


def written(drop: Drop, body: str | bytes, key: str = "desk.csv") -> tuple[FileAccount, str]:
    """Drop a file; return its outcome, and the text of the object with the refused rows."""
    drop.put(key, body)
    drop.run()
    [account] = drop.transform().files
    assert account.errors is not None
    return account, drop.processed.bucket.get(account.errors).decode()


def refused(body: str | bytes, feed: Feed = FEED) -> list[list[object]]:
    """Return number, values, wrong values and reason of each row that is refused of a file."""
    account, text = written(drop_of(feed), body)
    rows = [json.loads(line) for line in text.splitlines()]
    assert account.refused == len(rows)
    return rows


@pytest.fixture(autouse=True)
def _moto(moto_s3: object) -> None:
    """Buckets that moto keeps."""


def test_a_report_has_the_ending_that_is_declared() -> None:
    """Instead of .csv, which the name of the file may have had."""
    account, _ = written(drop_of(), "code,name,room\nx,,\n")
    assert account.errors == "errors/clerks/desk.rejected"
    account, _ = written(drop_of(), "code,name,room\nx,,\n", "a b.csv.gz")
    assert account.errors == "errors/clerks/a b.csv.gz.rejected"


def test_a_report_has_all_values_and_all_that_is_wrong() -> None:
    """Valid values are normalized, wrong ones are as they came, in the order of the columns."""
    assert refused('room,code,name\nx,-1,"a ""b"""\ny,7,\n1,07,ok\n') == [
        [2, ["x", "-1", 'a "b"'], {"code": "-1", "room": "x"},
         "code is not valid: '-1'; room is not a whole number: 'x'"],
        [3, ["y", "007", ""], {"room": "y"}, "room is not a whole number: 'y'"],
    ]  # fmt: skip


def test_rows_are_counted_as_records() -> None:
    """The header is one, so are a blank line and a record with line breaks in it."""
    body = 'code,name,room\n1,"two\nlines",1\n\nx,,\r\n2,"three\r\nmore\nlines",2\r\r3,,\n'
    assert [(row[0], row[1]) for row in refused(body)] == [(3, []), (4, ["x", "", ""]), (6, [])]
    no_header = replace(FEED, format=Csv(header=False))
    assert [row[0] for row in refused("x,,\n1,,\ny,,\n", no_header)] == [1, 3]


def test_a_row_that_cannot_be_separated_has_its_reason() -> None:
    """Its values are those that csv.reader finds, and none of them is said to be wrong."""
    assert refused('code,name,room\nx,"a\nb"\n1,2,3,4\n 5,6,"x\n') == [
        [2, ["x", "a\nb"], {}, "it has 2 values, and the header has 3"],
        [3, ["1", "2", "3", "4"], {}, "it has 4 values, and the header has 3"],
        [4, [" 5", "6", "x"], {}, "a quote that is opened in it is never closed"],
    ]


def test_bytes_that_are_no_text_make_their_value_wrong() -> None:
    """The other values of the row are checked as well."""
    assert refused(b"code,name,room\n8,\xff,z\n9,a\0b,1\n") == [
        [2, ["008", "\\xff", "z"], {"name": "\\xff", "room": "z"},
         "name is not UTF-8; room is not a whole number: 'z'"],
        [3, ["009", "a\0b", "1"], {"name": "a\0b"}, "name has a NUL character"],
    ]  # fmt: skip


def test_columns_that_are_not_declared_are_values_as_well() -> None:
    """A reader of the report sees the whole row."""
    assert refused("more,code,name,room\n?,x,,\n") == [
        [2, ["?", "x", "", ""], {"code": "x"}, "code is not valid: 'x'"]
    ]


def test_numbers_go_on_over_many_slices() -> None:
    """A file of any size is counted from its beginning to its end."""
    rows = ["1,,"] * 150_000
    for place in (0, 70_000, 149_999):
        rows[place] = "x,,"
    assert [row[0] for row in refused("\n".join(["code,name,room", *rows]))] == [2, 70_002, 150_001]


def test_a_file_that_cannot_be_used_has_the_reason_alone() -> None:
    """Whoever reads the report sees why nothing of the file is in the table."""
    account, text = written(drop_of(), "code,name\n1,a\n")
    assert text == "The file cannot be used: its header has no column room\n"
    assert account.reason == "its header has no column room"


def test_a_report_that_fails_is_named() -> None:
    """It is a mistake of the pipeline, and no row is lost for it."""

    def fails(row: RefusedRow) -> Iterable[str]:
        raise KeyError(row.number)

    with pytest.raises(PipelineCodeError) as raised:
        written(drop_of(replace(FEED, report=ErrorReport(".err", fails))), "code,name,room\nx,,\n")
    assert str(raised.value) == (
        "table clerks: the report of its feed raised KeyError: correct it in the pipeline"
    )


def test_a_normalized_key_is_that_of_its_row() -> None:
    """Rows whose keys differ as they came, and not in the table, are states of one row."""
    drop = drop_of()
    drop.put("desk.csv", "code,name,room\n7,first,1\n007,second,2\n")
    drop.run()
    rows = drop.target_rows(drop.transform(), "clerks")
    assert [(row["code"], row["name"]) for row in rows] == [("007", "first"), ("007", "second")]
