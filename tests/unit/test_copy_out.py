"""Rows that PostgreSQL sends as CSV, as Arrow's values, or one error that names the column."""

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from functions.common import copy
from functions.common.copy import copy_out
from functions.common.errors import DatabaseStatementError

SCHEMA = pa.schema([("id", pa.int32()), ("name", pa.string()), ("paid", pa.bool_())])


def rows_of(
    *rows: bytes, schema: pa.Schema = SCHEMA, error: Exception | None = None
) -> Iterator[pa.RecordBatch]:
    """Copy the rows of a server, which fails at their end if there is an error."""

    def run(sql: str, stream: Any) -> None:
        for row in rows:
            stream.write(row)
        if error is not None:
            raise error

    connection: Any = SimpleNamespace(
        received=io.BufferedReader(io.BytesIO()), parameter_statuses={}, run=run
    )
    return copy_out(connection, "TABLE a", schema)


def test_each_value_is_what_the_server_has() -> None:
    """NULL is not the empty text, and a text may be what a NULL or a boolean looks like."""
    found = rows_of(b'1,,t\n', b'2,"",f\n', b',t,\n', b'3,"NULL\n",f\n')  # fmt: skip

    assert pa.Table.from_batches(found, SCHEMA).to_pydict() == {
        "id": [1, 2, None, 3],
        "name": [None, "", "t", "NULL\n"],
        "paid": [True, False, None, False],
    }


def test_a_row_without_a_value_is_a_row() -> None:
    """The NULL of a single column is an empty line."""
    schema = pa.schema([("id", pa.int32())])

    found = rows_of(b"1\n", b"\n", b"2\n", schema=schema)

    assert pa.Table.from_batches(found, schema).to_pydict() == {"id": [1, None, 2]}


def test_rows_are_parsed_as_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks of whole rows, of just over the bytes that are parsed at a time."""
    monkeypatch.setattr(copy, "BLOCK_BYTES", 10)

    found = rows_of(*(b"%d,a,t\n" % number for number in range(5)))

    assert [rows["id"].to_pylist() for rows in found] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"1,a,s3cret\n", "a value does not fit its column's type: paid is read as bool"),
        (b"s3cret,a,t\n", "a value does not fit its column's type: id is read as int32"),
        (b"1,s3cret\n", "a value does not fit its column's type"),
    ],
)
def test_a_value_of_another_type_is_named_by_its_column(
    monkeypatch: pytest.MonkeyPatch, row: bytes, said: str
) -> None:
    """Without the value, after all that the server still sends: the connection stays usable."""
    monkeypatch.setattr(copy, "BLOCK_BYTES", 1)

    with pytest.raises(DatabaseStatementError) as failure:
        list(rows_of(row, *[b"2,b,f\n"] * 20))

    assert str(failure.value) == said
    assert failure.value.__suppress_context__


@pytest.mark.parametrize("row", [b"1,a,t\n", b"1,a,no\n"], ids=["fits", "fits not"])
def test_an_error_of_the_server_is_the_one_that_is_raised(row: bytes) -> None:
    """A row that was cut is no value of another type."""
    with pytest.raises(ConnectionError, match="cut"):
        list(rows_of(row, error=ConnectionError("cut")))


def test_who_stops_early_lets_the_server_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    """During COPY a connection can do nothing else, not even roll back."""
    monkeypatch.setattr(copy, "BLOCK_BYTES", 1)
    sent = [b"%d,a,t\n" % number for number in range(20)]
    found = rows_of(*sent, error=ConnectionError("not awaited"))

    assert next(found)["id"].to_pylist() == [0]
    found.close()  # type: ignore[attr-defined]

    assert list(found) == []
