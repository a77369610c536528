"""The file of the subject `files`: orders of a shop as CSV, about 100 bytes a row."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

ROWS_AT_A_TIME = 1_000_000
STATUSES = ("ordered", "shipped", "delivered", "returned")
NOTES = (None, "leave it at the door", 'says "ring twice"', "gift, with a card", "as last time")
PLACES = ("Manchester", "Leeds", "York", "São Paulo", "Kraków", "Lagos", "Abuja", "Ibadan")


def write(path: Path, rows: int) -> int:
    """Write a file of so many orders, always the same; return its bytes."""
    random = np.random.default_rng(1)
    with csv.CSVWriter(path, _orders(random, 0, 0).schema) as writer:
        for start in range(0, rows, ROWS_AT_A_TIME):
            writer.write(_orders(random, start, min(ROWS_AT_A_TIME, rows - start)))
    return path.stat().st_size


def _orders(random: np.random.Generator, start: int, rows: int) -> pa.Table:
    def numbers(low: int, high: int) -> pa.Array:
        return pa.array(random.integers(low, high, rows))

    days = numbers(18_000, 20_500)
    quantity, cents = numbers(1, 20), numbers(99, 99_999)
    delivered = pc.if_else(pc.less(numbers(0, 10), 7), pc.add(days, numbers(1, 30)), None)
    place = pa.array(PLACES).take(numbers(0, len(PLACES)))
    note = pc.binary_join_element_wise(
        pa.array(NOTES, pa.string()).take(numbers(0, len(NOTES))), place, " / "
    )
    return pa.table(
        {
            "order_id": pa.array(np.arange(start, start + rows) + 100_000_000),
            "customer_id": numbers(1, 2_000_000),
            "product_id": numbers(1, 50_000),
            "ordered_on": days.cast(pa.int32()).cast(pa.date32()),
            "delivered_on": delivered.cast(pa.int32()).cast(pa.date32()),
            "quantity": quantity,
            "unit_price": _money(cents),
            "total": _money(pc.multiply(quantity, cents)),
            "status": pa.array(STATUSES).take(numbers(0, len(STATUSES))),
            "note": note,
        }
    )


def _money(cents: pa.Array) -> pa.Array:
    whole = cents.cast(pa.decimal128(19, 0))
    return pa.Array.from_buffers(pa.decimal128(19, 2), len(whole), whole.buffers())
