"""The text of INSERT statements: every value is read there as it is, and nothing else is."""

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.errors import OversizedRowError
from functions.targets.mysql.literals import insert_statements

HEAD = "INSERT INTO t VALUES "
MOMENT = datetime(2024, 11, 16, 12, 30, 15, 5)


def statements(rows: pa.Table, *kinds: str, packet: int = 1 << 20) -> list[str]:
    return [each.decode() for each in insert_statements(HEAD, rows, kinds, packet)]


def only(values: list[Any], kind: pa.DataType, target: str) -> str:
    """Return what the values of one column are."""
    [statement] = statements(pa.table({"v": pa.array(values, kind)}), target)
    return statement.removeprefix(HEAD)


@pytest.mark.parametrize(
    ("values", "kind", "target", "sql"),
    [
        ([1, None, -(2**63)], pa.int64(), "bigint", "(1),(NULL),(-9223372036854775808)"),
        ([True, False, None], pa.bool_(), "tinyint(1)", "(1),(0),(NULL)"),
        ([Decimal("-0.01"), None], pa.decimal128(10, 2), "decimal(10,2)", "(-0.01),(NULL)"),
        ([Decimal("0.0000001")], pa.decimal128(10, 7), "decimal(10,7)", "('1E-7')"),
        ([0.1, float("nan"), -0.0], pa.float64(), "double", "('0.1'),('nan'),('-0')"),
        (["it's", "\\", "", None], pa.string(), "longtext", "('it''s'),('\\'),(''),(NULL)"),
        ([date(1, 1, 1), None], pa.date32(), "date", "('0001-01-01'),(NULL)"),
        ([-719_163, 0], pa.date32(), "date", "('before year 1'),('1970-01-01')"),
        ([MOMENT], pa.timestamp("us"), "datetime(6)", "('2024-11-16 12:30:15.000005')"),
        (
            [MOMENT.replace(tzinfo=UTC)],
            pa.timestamp("us", "UTC"),
            "datetime(6)",
            "('2024-11-16 12:30:15.000005')",
        ),
        ([time(23, 59, 59, 9)], pa.time64("us"), "time(6)", "('23:59:59.000009')"),
        (["\\x00ff", "\\x", "x'", None], pa.string(), "longblob", "(x'00ff'),(x''),('x'''),(NULL)"),
        (["\\x00ff"], pa.string(), "longtext", "('\\x00ff')"),
        (["(1.5,-2e3)", "(1,2);--"], pa.string(), "point", "(POINT(1.5,-2e3)),('(1,2);--')"),
        (["(1,2)"], pa.string(), "varchar(9)", "('(1,2)')"),
    ],
)  # fmt: skip
def test_each_type_has_its_literals(
    values: list[Any], kind: pa.DataType, target: str, sql: str
) -> None:
    """NULL is bare in every type; what the server has to refuse is a text."""
    assert only(values, kind, target) == sql


texts = st.lists(st.none() | st.text("'\\a,()\0\n%é€𝄞"), min_size=1, max_size=20)


@given(texts, texts)
def test_no_text_ends_its_literal(one: list[str | None], other: list[str | None]) -> None:
    """Whatever is in a text, its quotes are doubled and read back as they were."""
    size = min(len(one), len(other))
    rows = pa.table([pa.array(each[:size], pa.string()) for each in (one, other)], ["a", "b"])
    [statement] = statements(rows, "longtext", "varchar(5)")

    found = re.findall(r"\((NULL|'(?:[^']|'')*'),(NULL|'(?:[^']|'')*')\)", statement)
    read = [
        tuple(None if v == "NULL" else v[1:-1].replace("''", "'") for v in row) for row in found
    ]
    assert read == list(zip(one[:size], other[:size], strict=True))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), st.integers(90, 300))
def test_no_statement_is_longer_than_a_packet(sizes: list[int], packet: int) -> None:
    """Together the statements have all rows, in their order."""
    rows = pa.table({"n": range(len(sizes)), "v": ["x" * size for size in sizes]})
    found = statements(rows, "int", "longtext", packet=packet)

    assert max(map(len, found)) < packet
    tuples = ",".join(statement.removeprefix(HEAD) for statement in found)
    assert tuples == ",".join(f"({n},'{'x' * size}')" for n, size in enumerate(sizes))


def test_a_row_that_no_statement_can_hold_is_named() -> None:
    """The error has the position of the row, so that only that row is refused."""
    rows = pa.table({"v": ["a", "b" * 100, "c"]})
    with pytest.raises(OversizedRowError) as refused:
        statements(rows, "longtext", packet=90)
    assert refused.value.place == 1
