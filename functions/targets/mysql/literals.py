r"""Rows as INSERT statements, formatted by Arrow a column at a time.

The driver's escaping, a value at a time, takes 4 to 5 times as long. This is safe because the
session has NO_BACKSLASH_ESCAPES, which `MysqlConnection.store` checks: within quotes only a quote
is special, and it is doubled. Numbers are not quoted; what the server has to refuse (NaN, a year 0,
a text that is no point) is sent as a text that is not valid for its type.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.errors import OversizedRowError
from functions.common.slices import rows_within

ROWS_AT_A_TIME = 16_384
BYTES_AT_A_TIME = 8 << 20  # of rows in Arrow, before formatting
STATEMENT_BYTES = 2 << 20  # larger ones are not faster

_PLAIN_SCALE = 6  # Arrow writes decimals with more digits after the point as 1E-7, a DOUBLE
_YEAR_1 = {"date": -719_162, "timestamp": -62_135_596_800_000_000}  # days, microseconds from 1970
_BEFORE_YEAR_1 = "before year 1"  # the server would store it as year 0
_HEX = r"^\\x([0-9a-fA-F]{2})*$"
_NUMBER = r"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?"
_POINT = rf"^\({_NUMBER},{_NUMBER}\)$"
_BINARY = re.compile(r"(var)?binary|(tiny|medium|long)?blob")
_GEOMETRY = ("point", "geometry")


def insert_statements(
    head: str, rows: pa.Table, kinds: Sequence[str], packet: int
) -> Iterator[bytes]:
    """Yield INSERT statements of at most `packet` bytes: `head`, up to VALUES, and then rows.

    `kinds` are the SQL types of the columns that the rows' go into. Raises OversizedRowError.
    """
    start, prefix = 0, head.encode()
    most = packet - len(prefix) - 1
    at_a_time = rows_within(rows.num_rows, rows.nbytes, ROWS_AT_A_TIME, BYTES_AT_A_TIME)
    for batch in rows.to_batches(at_a_time):
        texts = _tuples(batch, kinds)
        ends = memoryview(texts.buffers()[1]).cast("i")[: len(texts) + 1]
        data, first = memoryview(texts.buffers()[2]), 0
        while first < len(texts):
            last = bisect_right(ends, ends[first] + min(STATEMENT_BYTES, most)) - 1
            last = max(last, first + 1)
            if ends[last] - ends[first] > most:
                raise OversizedRowError(start + first)
            yield prefix + data[ends[first] : ends[last] - 1]  # without the last comma
            first = last
        start += len(texts)


def _tuples(rows: pa.RecordBatch, kinds: Sequence[str]) -> pa.Array:
    """Return each row as `(1,'a',NULL),`."""
    pieces: list[pa.Array | str] = ["("]
    for column, kind in zip(rows.columns, kinds, strict=True):
        before, texts, after = _literals(column, kind)
        if texts.null_count:
            whole = pc.binary_join_element_wise(before, texts, after, "") if before else texts
            before, texts, after = "", pc.fill_null(whole, "NULL"), ""
        pieces[-1] = f"{pieces[-1]}{before}"
        pieces += [texts, f"{after},"]
    pieces[-1] = f"{str(pieces[-1])[:-1]}),"
    return pc.binary_join_element_wise(*pieces, "")


def _literals(values: pa.Array, kind: str) -> tuple[str, pa.Array, str]:
    """Return values as SQL: a common prefix, the texts, a common suffix."""
    mine = values.type
    if pa.types.is_boolean(mine):
        return "", pc.if_else(values, "1", "0"), ""
    if pa.types.is_integer(mine) or (pa.types.is_decimal(mine) and mine.scale <= _PLAIN_SCALE):
        return "", values.cast(pa.string()), ""
    if pa.types.is_date(mine) or pa.types.is_timestamp(mine):
        return "'", _moments(values), "'"
    if pa.types.is_string(mine):
        return _texts(values, kind.partition("(")[0])
    return "'", values.cast(pa.string()), "'"  # times, long decimals, and floats, which may be NaN


def _texts(values: pa.Array, family: str) -> tuple[str, pa.Array, str]:
    """Return texts as SQL of a family of types; points and bytes are in PostgreSQL's form."""
    if family in _GEOMETRY:
        return "", _either(values, _POINT, pc.binary_join_element_wise("POINT", values, "")), ""
    if _BINARY.fullmatch(family):
        digits = pc.utf8_slice_codeunits(values, 2)
        return "", _either(values, _HEX, pc.binary_join_element_wise("x'", digits, "'", "")), ""
    return "'", _doubled(values), "'"


def _moments(values: pa.Array) -> pa.Array:
    """Return dates or timestamps as texts; timestamps with a zone are in UTC."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us"))
        numbers, first = values.cast(pa.int64()), _YEAR_1["timestamp"]
    else:
        numbers, first = values.cast(pa.int32()), _YEAR_1["date"]
    texts = values.cast(pa.string())
    if pc.any(pc.less(numbers, first)).as_py():
        return pc.if_else(pc.less(numbers, first), _BEFORE_YEAR_1, texts)
    return texts


def _either(values: pa.Array, pattern: str, sql: pa.Array) -> pa.Array:
    """Return SQL for texts that match a pattern, and literals of the others."""
    fits = pc.match_substring_regex(values, pattern)
    if pc.all(fits, min_count=0).as_py():
        return sql
    return pc.if_else(fits, sql, pc.binary_join_element_wise("'", _doubled(values), "'", ""))


def _doubled(texts: pa.Array) -> pa.Array:
    """Return texts with each quote doubled."""
    if not pc.any(pc.match_substring(texts, "'")).as_py():
        return texts
    return pc.replace_substring(texts, "'", "''")
