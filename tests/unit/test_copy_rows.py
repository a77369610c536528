"""Rows on their way out of the driver: taken by the bufferful, and none lost or made up."""

import io
import random
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.copy import _csv_blocks, _Rows, send_csv

# Rows as COPY sends them in CSV: no NUL, a line feed at the end; some look like heads of messages.
SHORT = st.text(st.sampled_from(["d", "\n", ",", "é", "x"]), max_size=300)
LONG = st.integers(65_000, 66_000).map("d".__mul__)
ROWS = st.lists(SHORT | SHORT | SHORT | LONG, max_size=60)
# Other messages that a server may send in between or after; they hold what looks like a row.
OTHERS = st.sampled_from([(b"N", b"Sd\0\0"), (b"S", b"name\0word\0"), (b"E", b"Rfound\0\0")])


class Trickle(io.RawIOBase):
    """A socket from which bytes come in pieces of any size."""

    def __init__(self, data: bytes, seed: int) -> None:
        self._data = data
        self._random = random.Random(seed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = min(len(buffer), self._random.choice([1, 3, 50, 5000, 100_000]))
        piece, self._data = self._data[:size], self._data[size:]
        buffer[: len(piece)] = piece
        return len(piece)


def message(code: bytes, body: bytes) -> bytes:
    return code + (len(body) + 4).to_bytes(4, "big") + body


@given(ROWS, st.dictionaries(st.integers(0, 60), OTHERS, max_size=3), st.integers())
def test_every_row_comes_out_once_and_nothing_else_is_touched(
    texts: list[str], others: dict[int, tuple[bytes, bytes]], seed: int
) -> None:
    """However the rows lie in the driver's buffer, they come out whole and in order."""
    rows = [f"{text}\n".encode() for text in texts]
    sent = b""
    for position, row in enumerate(rows):
        sent += message(b"d", row)
        if position in others:
            sent += message(*others[position])
    received: io.BufferedReader[Any] = io.BufferedReader(
        Trickle(sent + message(b"c", b""), seed), 8192
    )
    blocks: Queue[bytes] = Queue()
    rest = []

    taken = _Rows(received, blocks.put)
    while (code := received.read(1)) != b"c":  # as the driver does it
        body = received.read(int.from_bytes(received.read(4), "big") - 4)
        if code == b"d":
            taken.write(body)
        else:
            rest.append((code, body))

    taken.flush()
    out = [blocks.get() for _ in range(blocks.qsize())]

    assert b"".join(out) == b"".join(rows)
    assert all(block.endswith(b"\n") for block in out)
    assert len(out) == (sum(map(len, rows)) > 0)
    assert rest == [other for position, other in sorted(others.items()) if position < len(rows)]


def test_all_rows_that_have_arrived_are_taken_at_once() -> None:
    """The driver handles one message at a time, which takes four times the CPU."""
    rows = [b"1,a\n", b"2,b\n", b"3,c\n"]
    sent = b"".join(message(b"d", row) for row in rows[1:]) + message(b"c", b"")
    received: io.BufferedReader[Any] = io.BufferedReader(io.BytesIO(sent))
    blocks: list[bytes] = []

    taken = _Rows(received, blocks.append)
    taken.write(rows[0])
    taken.flush()

    assert blocks == [b"".join(rows)]
    assert received.read() == message(b"c", b"")


@pytest.mark.parametrize(
    ("encoding", "options"), [("UTF8", ""), ("SQL_ASCII", ", ENCODING 'SQL_ASCII'")]
)
def test_bytes_of_no_known_encoding_come_as_they_are(encoding: str, options: str) -> None:
    """One row that is not UTF-8 would fail all of them."""
    asked: list[str] = []
    connection: Any = SimpleNamespace(
        received=None,
        parameter_statuses={"server_encoding": encoding},
        run=lambda sql, stream: asked.append(sql),
    )

    send_csv(connection, "TABLE a", Queue[bytes]().put)

    assert asked == [f"COPY (TABLE a) TO STDOUT (FORMAT csv{options})"]


def test_every_text_is_quoted_on_its_way_in() -> None:
    """Older servers end the rows at a line of nothing but \\., and NULL is not the empty text."""
    rows = pa.record_batch({"key": pa.array(["\\.", "", None])})

    assert [bytes(block) for block in _csv_blocks([rows])] == [b'"\\."\n""\n\n']


def test_large_rows_are_formatted_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their CSV is never in memory as a whole."""
    monkeypatch.setattr("functions.common.copy.CSV_BYTES", 50_000)
    rows = pa.record_batch({"text": [str(place) * 10_000 for place in range(10)]})
    blocks = [bytes(block) for block in _csv_blocks([rows])]

    assert max(map(len, blocks)) < 60_000
    assert b"".join(blocks).split() == [f'"{str(place) * 10_000}"'.encode() for place in range(10)]


def test_no_rows_are_no_csv() -> None:
    """A comparison begins with a slice that has columns and no rows."""
    assert list(_csv_blocks([pa.record_batch({"text": pa.array([], pa.string())})])) == []
