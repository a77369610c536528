"""Fuzz targets for the rows that a database copies out: any bytes, and any rows of a table."""

import io
import json
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

import pyarrow as pa
from hypothesis import strategies as st

from functions.common.carried import UNFIT
from functions.common.copy import copy_out
from functions.common.errors import PipelineError
from functions.sources.postgres import unfit
from tests.fuzz.mutations import damaged
from tests.fuzz.target import Target

SCHEMA = pa.schema(
    [
        ("id", pa.int32()),
        ("price", pa.decimal128(10, 2)),
        ("at", pa.timestamp("ms")),
        ("paid", pa.bool_()),
        ("name", pa.string()),
        (UNFIT, pa.string()),
    ]
)
SECRET = "07700 900123"


class Server:
    """A database as the driver shows it: each row is a message in the driver's buffer."""

    parameter_statuses: ClassVar = {"server_encoding": "SQL_ASCII"}  # any bytes may come

    def __init__(self, rows: list[bytes]) -> None:
        sent = b"".join(b"d" + (len(row) + 4).to_bytes(4, "big") + row for row in rows)
        self.received = io.BufferedReader(io.BytesIO(sent + b"c\0\0\0\4"))

    def run(self, _: str, stream: Any) -> None:
        while self.received.read(1) == b"d":
            stream.write(self.received.read(int.from_bytes(self.received.read(4), "big") - 4))


def _copied(rows: list[bytes]) -> list[dict[str, Any]]:
    server: Any = Server(rows)
    batches = list(copy_out(server, "SELECT", SCHEMA, unfit.parse))
    assert all(batch.schema.names == SCHEMA.names for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def copied_bytes(rows: list[bytes]) -> None:
    """Whatever bytes come as rows, they are rows, or one error of ours without a value in it."""
    try:
        _copied(rows)
    except PipelineError as error:
        assert SECRET not in str(error)
        assert len(str(error)) < 300


def copied_rows(rows: list[dict[str, Any]]) -> None:
    """Every value that a table can hold arrives exactly, also one that Arrow has no type for."""
    found = _copied([_line(row) for row in rows])

    assert len(found) == len(rows)
    for row, carried in zip(rows, found, strict=True):
        texts = json.loads(carried.pop(UNFIT) or "{}")
        assert carried.keys() == row.keys()
        for name, value in row.items():
            if isinstance(value, Unfit):
                assert (carried[name], texts.pop(name)) == (None, str(value))
            else:
                assert carried[name] == value
        assert texts == {}


def _line(row: dict[str, Any]) -> bytes:
    names = (name for name in SCHEMA.names if name != UNFIT)
    return ",".join(_cell(row[name]) for name in names).encode() + b"\n"


class Unfit(str):
    """A value as PostgreSQL writes it, for which Arrow has no type."""


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "ft"[value]
        case Unfit():
            return value
        case str():
            return '"' + value.replace('"', '""') + '"'
        case datetime():
            return value.isoformat(" ", "milliseconds")
    return str(value)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
STAMPS = ["infinity", "-infinity", "10000-01-01 00:00:00", "0044-03-15 00:00:00 BC"]
ROWS = st.fixed_dictionaries(
    {
        "id": st.none() | st.integers(-(2**31), 2**31 - 1),
        "price": st.none()
        | st.decimals("-99999999.99", "99999999.99", places=2).map(Decimal)
        | st.just("NaN").map(Unfit),
        "at": st.none()
        | st.datetimes().map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
        | st.sampled_from(["infinity", "10000-01-01 00:00:00", "0044-03-15 12:00:00 BC"]).map(
            Unfit
        ),
        "paid": st.none() | st.booleans(),
        "name": st.none() | TEXT,
    }
)
LINE = f'1,2.50,2024-11-16 08:00:00,t,"{SECRET}"\n'.encode()

TARGETS = (
    Target(copied_bytes, st.lists(damaged(st.just(LINE)) | st.binary(min_size=1), max_size=5)),
    Target(copied_rows, st.lists(ROWS, min_size=1, max_size=5)),
)
