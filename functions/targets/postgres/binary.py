"""Rows in the binary format of COPY, at half the server's cost of parsing text.

Only where it stores exactly what text would: fixed-width values, none of them NULL, in columns of
the same type. All others are copied as text, by `common.copy`.
https://www.postgresql.org/docs/current/sql-copy.html
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pg8000.native import identifier

from functions.common.copy import copy_in
from functions.common.pgconnection import PostgresConnection
from functions.targets.postgres.stage import Stage

ROWS_AT_A_TIME = 65_536
ROWS_IN_BINARY = 8_192  # about a megabyte, which fits the processor's cache

_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)  # no flags, no extension
_TRAILER = struct.pack("!h", -1)

# Types of the warehouse with exactly the values of an Arrow type. Not time(3) or domains, which may
# change a value.
_SAME = {
    pa.int16(): re.compile(r"smallint"),
    pa.int32(): re.compile(r"integer"),
    pa.int64(): re.compile(r"bigint"),
    pa.float64(): re.compile(r"double precision"),
    pa.bool_(): re.compile(r"boolean"),
    pa.date32(): re.compile(r"date"),
    pa.time64("us"): re.compile(r"time(\(6\))? without time zone"),
    pa.timestamp("us"): re.compile(r"timestamp(\(6\))? without time zone"),
    pa.timestamp("us", "UTC"): re.compile(r"timestamp(\(6\))? with time zone"),
}
_NUMERIC = re.compile(r"numeric(\(\d+,-?\d+\))?")  # it rounds alike in either format

# The days and microseconds from 1970, where Arrow's dates begin, to 2000, where PostgreSQL's do.
_EPOCH = pa.scalar(10_957, pa.int32())
_EPOCH_MICROSECONDS = pa.scalar(10_957 * 86_400_000_000, pa.int64())
_DIGITS = 4  # decimal digits per digit of base 10,000, PostgreSQL's own


def is_exact(rows: pa.Table, types: Iterable[str]) -> bool:
    """Return whether columns of these SQL types store rows in binary form as they would store text.

    `types` are as PostgreSQL's format_type names them, in the order of the rows' columns.
    """
    return all(
        column.null_count == 0 and _fits(column.type, theirs)
        for column, theirs in zip(rows.columns, types, strict=True)
    )


def _fits(mine: pa.DataType, theirs: str) -> bool:
    if pa.types.is_decimal128(mine):
        is_short = mine.scale >= 0 and mine.precision + _padding(mine) <= 18  # it is an int64
        return is_short and _NUMERIC.fullmatch(theirs) is not None
    return mine in _SAME and _SAME[mine].fullmatch(theirs) is not None


def append_rows(stage: Stage, rows: pa.Table) -> None:
    """Copy rows into the stage's table itself, in the binary format where that is exact."""
    connection, table = stage.connection, stage.table
    columns = [table.column(name) for name in rows.column_names]
    if is_exact(rows, [table.types[column] for column in columns]):
        copy_in_binary(connection, table.target, columns, rows.to_batches(ROWS_IN_BINARY))
    else:
        copy_in(connection, table.target, columns, rows.to_batches(ROWS_AT_A_TIME))


def copy_in_binary(
    connection: PostgresConnection,
    target: str,
    columns: list[str],
    batches: Iterable[pa.RecordBatch],
) -> None:
    """Append rows, for which `is_exact`, to `columns` of `target`, a quoted table name.

    Each batch is sent as one message.
    """
    names = ", ".join(identifier(column) for column in columns)
    connection.run(f"COPY {target} ({names}) FROM STDIN (FORMAT binary)", stream=_messages(batches))


def _messages(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes | bytearray]:
    yield _HEADER
    for batch in batches:
        yield _tuples(batch)
    yield _TRAILER


def _tuples(batch: pa.RecordBatch) -> bytearray:
    """Return the rows, each as the number of its fields, and the length and bytes of each.

    All rows have the same length, so a byte of a field is at a fixed stride, and is filled in for
    all rows at once.
    """
    row, lanes = struct.pack("!h", batch.num_columns), []
    for field in map(_field, batch.columns):
        row += struct.pack("!i", len(field.template))
        lanes += [(len(row) + place, lane) for place, lane in field.lanes]
        row += field.template
    rows = bytearray(row * batch.num_rows)
    for place, lane in lanes:
        rows[place :: len(row)] = lane
    return rows


@dataclass(frozen=True)
class _Field:
    """A column's values: the bytes that they have in common, as a `template`.

    `lanes` are the bytes that differ, by their offset in it, one byte per row.
    """

    template: bytes
    lanes: list[tuple[int, bytearray]]


def _field(values: pa.Array) -> _Field:
    """Return a column in the form of PostgreSQL's receive functions."""
    if pa.types.is_decimal(values.type):
        return _numeric(values)
    if pa.types.is_boolean(values.type):
        return _integer(values.cast(pa.uint8()))
    if pa.types.is_date(values.type):
        return _integer(pc.subtract_checked(values.cast(pa.int32()), _EPOCH))
    if pa.types.is_timestamp(values.type):
        return _integer(pc.subtract_checked(values.cast(pa.int64()), _EPOCH_MICROSECONDS))
    return _integer(values)  # times are the microseconds since midnight, there as here


def _integer(values: pa.Array) -> _Field:
    lanes = _lanes(values)
    return _Field(bytes(len(lanes)), list(enumerate(lanes)))


def _lanes(values: pa.Array) -> list[bytearray]:
    """Return the first, most significant bytes of all values, then the second, and so on."""
    size = values.type.bit_width // 8
    data = bytearray(values.buffers()[1].slice(values.offset * size, len(values) * size))
    return [data[byte::size] for byte in reversed(range(size))]  # Arrow's are little-endian


def _numeric(values: pa.Array) -> _Field:
    """Return decimals in the form of numeric_recv, which strips zeros at either end.

    Words of 16 bits: the number of digits, the weight of the first, the sign, the display scale,
    and the digits. https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/numeric.c
    """
    mine, padding = values.type, _padding(values.type)
    whole = pa.Array.from_buffers(  # the same bits as an integer of the smallest unit
        pa.decimal128(mine.precision, 0), len(values), values.buffers(), offset=values.offset
    ).cast(pa.int64())
    sign = pc.if_else(pc.less(whole, 0), pa.scalar(0x4000, pa.int16()), pa.scalar(0, pa.int16()))
    count = -(-(mine.precision + padding) // _DIGITS)
    weight = count - (mine.scale + padding) // _DIGITS - 1
    digits = _digits(pc.multiply_checked(pc.abs(whole), 10**padding), count)
    words = [(2, sign), *enumerate(digits, start=4)]
    return _Field(
        struct.pack("!hhhh", count, weight, 0, mine.scale) + bytes(2 * count),
        [(2 * word + byte, lane) for word, part in words for byte, lane in enumerate(_lanes(part))],
    )


def _digits(numbers: pa.Array, count: int) -> list[pa.Array]:
    """Return the digits of base 10,000, the most significant first."""
    digits: list[pa.Array] = []
    for _ in range(count - 1):
        higher = pc.divide(numbers, 10_000)
        digits.insert(0, pc.subtract(numbers, pc.multiply(higher, 10_000)).cast(pa.int16()))
        numbers = higher
    return [numbers.cast(pa.int16()), *digits]  # a number that is too large fails to cast


def _padding(mine: pa.DataType) -> int:
    """Return how many zeros fill the scale up to whole digits of base 10,000."""
    return int(-mine.scale % _DIGITS)
