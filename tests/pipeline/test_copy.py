"""COPY both ways against a real PostgreSQL: exact, in bounded memory, whole or not at all."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pg8000.native
import pyarrow as pa
import pytest
from pg8000.native import literal

from functions.common import copy
from functions.common.copy import array, copy_in, copy_out, set_values, value
from functions.common.database import Database
from functions.common.errors import DatabaseStatementError, DatabaseUnavailableError
from functions.common.postgres import SESSION, connection
from local.postgres import SUPERUSER, PostgresServer

TEXTS = [
    None,
    "",
    " ",
    "NULL",
    "\\N",
    "\\.",
    "it's",
    'say "hello"',
    '""',
    "a,b;c\td",
    "one\ntwo\r\nthree\rfour\n",
    "日本語, naïve, 😀",
    "t",
    "08841",
]
TEXT = pa.schema([("t", pa.string())])
NUMBERED = pa.schema([("n", pa.int64()), ("t", pa.string())])
MANY = 300_000


@pytest.fixture(scope="module")
def superuser(postgres: PostgresServer) -> Database:
    password = postgres.password(SUPERUSER)
    return Database(postgres.host, postgres.port, SUPERUSER, password, "postgres", "disable")


@pytest.fixture(scope="module")
def opened(superuser: Database) -> Iterator[pg8000.native.Connection]:
    """One connection for the whole module, so that what a test leaves behind harms the next."""
    with connection(superuser, **SESSION) as opened:
        yield opened


def rows(connection: pg8000.native.Connection, query: str, schema: pa.Schema) -> list[list[Any]]:
    return [
        list(row.values())
        for batch in copy_out(connection, query, schema)
        for row in batch.to_pylist()
    ]


@pytest.mark.parametrize("schema", [TEXT, pa.schema([("t", pa.string()), ("u", pa.string())])])
def test_text_comes_out_as_it_is(opened: pg8000.native.Connection, schema: pa.Schema) -> None:
    """NULL, '' and text of any kind stay apart, also as the only column."""
    set_values(opened, {"unused": "1"})
    opened.run("CREATE TEMPORARY TABLE texts (n serial, t text)")
    for text in TEXTS:
        opened.run("INSERT INTO texts (t) VALUES (:text)", text=text)
    columns = ", ".join(["t"] * len(schema))

    found = rows(opened, f"SELECT {columns} FROM texts ORDER BY n", schema)
    opened.run("DROP TABLE texts")

    assert found == [[text] * len(schema) for text in TEXTS]


def test_values_come_out_with_their_exact_types(opened: pg8000.native.Connection) -> None:
    """Amounts stay decimal, big integers stay whole, and no digit of a time is lost."""
    schema = pa.schema(
        [
            ("small", pa.int32()),
            ("big", pa.int64()),
            ("amount", pa.decimal128(10, 2)),
            ("long", pa.decimal128(38, 10)),
            ("flag", pa.bool_()),
            ("at", pa.timestamp("us")),
            ("ms", pa.timestamp("ms")),
        ]
    )
    query = """
        VALUES (-2147483648, 9223372036854775807, 99999999.99,
                1234567890123456789012345678.0123456789::numeric(38,10), true,
                '2024-02-29 23:59:59.999999'::timestamp, '2024-02-29 23:59:59.999'::timestamp(3)),
               (0, -9223372036854775808, -0.01, 0::numeric(38,10), false,
                '0001-01-01 00:00:00', '9999-12-31 23:59:59.9'),
               (NULL, NULL, NULL, NULL, NULL, NULL, NULL)"""

    assert rows(opened, query, schema) == [
        [
            -(2**31),
            2**63 - 1,
            Decimal("99999999.99"),
            Decimal("1234567890123456789012345678.0123456789"),
            True,
            datetime(2024, 2, 29, 23, 59, 59, 999999),
            datetime(2024, 2, 29, 23, 59, 59, 999000),
        ],
        [
            0,
            -(2**63),
            Decimal("-0.01"),
            Decimal(0),
            False,
            datetime(1, 1, 1),
            datetime(9999, 12, 31, 23, 59, 59, 900000),
        ],
        [None] * 7,
    ]


@pytest.mark.parametrize("digits", [1, 2, 3, 4, 5, 6])
def test_fractions_of_a_second_come_out_whole(
    opened: pg8000.native.Connection, digits: int
) -> None:
    """PostgreSQL writes as many digits as there are, and each number of them is read."""
    stamp = f"2024-11-16 09:00:00.{'123456'[:digits]}"
    schema = pa.schema([("at", pa.timestamp("us"))])

    assert rows(opened, f"SELECT '{stamp}'::timestamp", schema) == [[datetime.fromisoformat(stamp)]]


def test_no_rows_come_out_as_no_batch(opened: pg8000.native.Connection) -> None:
    """An empty result is neither an error nor an empty row."""
    assert list(copy_out(opened, "SELECT 1, 'a' WHERE false", NUMBERED)) == []


def test_rows_come_while_they_are_read(opened: pg8000.native.Connection) -> None:
    """A big result comes in several batches, and nothing of it is missing."""
    query = f"SELECT n, repeat('x', 60) FROM generate_series(1, {MANY}) AS n"
    batches = list(copy_out(opened, query, NUMBERED))

    assert len(batches) > 1
    assert sum(batch.num_rows for batch in batches) == MANY
    assert sum(sum(batch["n"].to_pylist()) for batch in batches) == MANY * (MANY + 1) // 2


def test_line_ends_in_text_may_lie_anywhere(
    opened: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one block of the stream ends and the next begins makes no difference."""
    monkeypatch.setattr(copy, "BLOCK_BYTES", 200)
    text = 'one\n\ntwo\r\n,"three"\n'
    query = f"SELECT n, {literal(text)} FROM generate_series(1, 500) AS n"

    assert rows(opened, query, NUMBERED) == [[n, text] for n in range(1, 501)]


def test_five_megabytes_of_text_come_out(opened: pg8000.native.Connection) -> None:
    """A single value may be large, also between small ones."""
    query = "VALUES (1, 'x'), (2, repeat('ab,', 1750000)), (3, 'x')"

    assert rows(opened, query, NUMBERED) == [[1, "x"], [2, "ab," * 1_750_000], [3, "x"]]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1, 'x' FROM no_such_table",
        "SELECT 1/0, 'x'",
        # The table is sent up to here, so rows have been read before the error comes.
        f"SELECT 1/(100000 - n), repeat('x', 60) FROM generate_series(1, {MANY}) AS n",
    ],
    ids=["at once", "in the first row", "in row 100,000"],
)
def test_a_query_that_fails_is_never_a_partial_result(
    opened: pg8000.native.Connection, query: str
) -> None:
    """Whenever the server gives up, its own error is raised; the connection can go on."""
    with pytest.raises(pg8000.native.DatabaseError) as failure:
        list(copy_out(opened, query, NUMBERED))

    assert failure.value.args[0]["C"] in ("42P01", "22012")
    assert opened.run("SELECT 1") == [[1]]


def test_a_value_of_another_type_is_an_error(opened: pg8000.native.Connection) -> None:
    """A value that is not what its column says is an error of ours, not a guess."""
    query = f"SELECT n, 'x' FROM generate_series(1, {MANY}) AS n UNION ALL SELECT 1e30, 'x'"

    with pytest.raises(DatabaseStatementError) as failure:
        list(copy_out(opened, query, NUMBERED))
    assert str(failure.value) == "a value does not fit its column's type: n is read as int64"
    assert opened.run("SELECT 1") == [[1]]


def test_a_value_that_does_not_fit_is_not_shown(opened: pg8000.native.Connection) -> None:
    """Arrow quotes amounts that are too long for their column; our message does not."""
    schema = pa.schema([("amount", pa.decimal128(5, 2))])

    with pytest.raises(DatabaseStatementError) as failure:
        list(copy_out(opened, "SELECT 123456789.25", schema))
    message = "a value does not fit its column's type: amount is read as decimal128(5, 2)"
    assert str(failure.value) == message


def test_a_row_may_be_longer_than_a_block(opened: pg8000.native.Connection) -> None:
    """There is no length that a row must not have, but for the server's own."""
    [[number, text]] = rows(opened, "SELECT 1, repeat('x', 17 << 20)", NUMBERED)

    assert (number, len(text), set(text)) == (1, 17 << 20, {"x"})


def test_a_consumer_that_stops_early_leaves_nothing_behind(
    opened: pg8000.native.Connection,
) -> None:
    """A caller that fails over the first rows can roll back, and no thread waits for ever."""
    before = set(threading.enumerate())
    opened.run("BEGIN")
    query = f"SELECT n, repeat('x', 1000) FROM generate_series(1, {MANY}) AS n"
    with closing(copy_out(opened, query, NUMBERED)) as batches:  # type: ignore[type-var]
        first = next(batches)

    assert first["n"][0].as_py() == 1
    assert set(threading.enumerate()) <= before
    opened.run("ROLLBACK")
    assert opened.run("SELECT 1") == [[1]]


def test_a_connection_that_is_cut_is_not_a_short_result(superuser: Database) -> None:
    """Rows that were cut off by a lost server are never taken for all there are."""
    query = f"SELECT n, repeat('x', 1000) FROM generate_series(1, {MANY}) AS n"

    def read_on_after_the_end() -> None:
        with connection(superuser) as killer, connection(superuser, **SESSION) as victim:
            [[process]] = victim.run("SELECT pg_backend_pid()")
            batches = copy_out(victim, query, NUMBERED)
            next(batches)
            killer.run("SELECT pg_terminate_backend(:process, 5000)", process=process)
            list(batches)

    with pytest.raises(DatabaseUnavailableError):
        read_on_after_the_end()


def test_values_reach_a_query_as_settings(opened: pg8000.native.Connection) -> None:
    """The values that a query compares with are never part of its text."""
    opened.run("BEGIN")
    set_values(opened, {"keys": array([3, 5]), "name": "it's; DROP TABLE x --"})
    query = (
        f"SELECT n, {value('name', 'text')} FROM generate_series(1, 9) AS n"
        f" WHERE n IN (SELECT unnest({value('keys', 'bigint[]')}))"
    )

    assert rows(opened, query, NUMBERED) == [
        [3, "it's; DROP TABLE x --"],
        [5, "it's; DROP TABLE x --"],
    ]
    opened.run("ROLLBACK")


def test_rows_go_in_as_they_are(opened: pg8000.native.Connection) -> None:
    """Text of any kind, amounts, dates and times are in the table as they were in Arrow."""
    opened.run(
        'CREATE TEMPORARY TABLE "Odd "" table" (n integer, "a b" text, amount numeric(10,2),'
        " day date, at time, flag boolean)"
    )
    columns = {
        "n": pa.array(range(len(TEXTS)), pa.int32()),
        "text": pa.array(TEXTS, pa.string()),
        "amount": pa.array([Decimal("-12345678.90")] * len(TEXTS), pa.decimal128(10, 2)),
        "day": pa.array([date(1, 1, 1)] * len(TEXTS), pa.date32()),
        "at": pa.array([time(23, 59, 59, 999000)] * len(TEXTS), pa.time64("us")),
        "flag": pa.array([None, True] * (len(TEXTS) // 2), pa.bool_()),
    }
    whole = pa.record_batch(columns)
    names = ["n", "a b", "amount", "day", "at", "flag"]

    copy_in(opened, '"Odd "" table"', names, [whole.slice(0, 5), whole.slice(5)])
    found = opened.run('SELECT * FROM "Odd "" table" ORDER BY n')
    opened.run('DROP TABLE "Odd "" table"')

    assert found == [list(row.values()) for row in whole.to_pylist()]


def test_a_value_that_does_not_go_in_leaves_nothing(opened: pg8000.native.Connection) -> None:
    """A COPY that the server refuses adds no row, and the connection can go on."""
    opened.run("CREATE TEMPORARY TABLE small (n smallint)")
    batches = [pa.record_batch({"n": pa.array([1, 2])}), pa.record_batch({"n": pa.array([40_000])})]

    with pytest.raises(pg8000.native.DatabaseError) as failure:
        copy_in(opened, "small", ["n"], batches)

    assert failure.value.args[0]["C"] == "22003"
    assert opened.run("SELECT count(*) FROM small") == [[0]]
    opened.run("DROP TABLE small")
