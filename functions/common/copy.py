"""COPY streams between PostgreSQL and Arrow, both ways, in bounded memory and with exact types.

In CSV, where only an unquoted empty field is NULL, NULL differs from '' and decimals stay exact.
COPY takes no bind parameters, so values reach a query as settings of the transaction.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from io import BufferedReader
from queue import Queue

import pyarrow as pa
import pyarrow.compute as pc
from pg8000.native import identifier
from pyarrow import csv

from functions.common.errors import DatabaseStatementError
from functions.common.pgconnection import PostgresConnection
from functions.common.slices import sliced

BLOCK_BYTES = 4 << 20  # parsed at a time
CSV_BYTES = 16 << 20  # of rows in memory, formatted at a time
BLOCKS_AHEAD = 2


def set_values(connection: PostgresConnection, values: Mapping[str, str]) -> None:
    """Set values that queries read by `value(name)` until the transaction ends."""
    for name, text in values.items():
        connection.run("SELECT set_config(:name, :text, true)", name=f"etl.{name}", text=text)


def value(name: str, cast: str) -> str:
    """Return the SQL of a value that `set_values` has set, evaluated once per statement."""
    return f"(SELECT current_setting('etl.{name}')::{cast})"


def array(numbers: Iterable[int]) -> str:
    """Return PostgreSQL's text form of an array of integers."""
    return "{" + ",".join(map(str, numbers)) + "}"


def text_array(values: pa.ChunkedArray) -> str:
    """Return PostgreSQL's text form of an array of values of any type; none is NULL."""
    texts = pc.replace_substring_regex(values.cast(pa.string()), r'(["\\])', r"\\\1")
    return "{" + ",".join(f'"{text}"' for text in texts.to_pylist()) + "}"


def read_csv(block: bytes, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Parse whole rows of PostgreSQL's CSV; raise pa.ArrowInvalid for a value of another type."""
    rows: pa.Table = csv.read_csv(
        pa.BufferReader(block),
        csv.ReadOptions(column_names=schema.names, block_size=len(block) + 1, use_threads=False),
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        _exact(schema),
    )
    return list(rows.to_batches())


def _exact(schema: pa.Schema) -> csv.ConvertOptions:
    """Return the options that read PostgreSQL's CSV as `schema`, with NULL distinct from ''."""
    return csv.ConvertOptions(
        column_types=schema,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )


def copy_out(
    connection: PostgresConnection,
    query: str,
    schema: pa.Schema,
    parse: Callable[[bytes, pa.Schema], list[pa.RecordBatch]] = read_csv,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query as they arrive, with the types of `schema`.

    A thread receives a few blocks ahead, which bounds memory, and another parses the next block.
    Raises what the driver raises, and DatabaseStatementError for a value that is not of its
    column's type.
    """
    blocks: Queue[bytes] = Queue(BLOCKS_AHEAD)
    block = None
    with ThreadPoolExecutor(1) as receiver, ThreadPoolExecutor(1) as parser:
        receiving = receiver.submit(_receive, connection, query, blocks)
        parsing: Future[list[pa.RecordBatch]] | None = None
        try:
            while block := blocks.get():
                last, parsing = parsing, parser.submit(parse, block, schema)
                if last is not None:
                    yield from last.result()
            if parsing is not None:
                yield from parsing.result()
        except BaseException as error:
            # During COPY a connection can do nothing else, not even roll back.
            while block != b"":
                block = blocks.get()
            if not isinstance(error, pa.ArrowInvalid):
                raise
            receiving.result()  # an error of the server takes precedence
            raise DatabaseStatementError(_in_our_words(str(error), schema)) from None
        receiving.result()


def _in_our_words(error: str, schema: pa.Schema) -> str:
    """Return Arrow's message without the value that it quotes, which must not be logged."""
    if column := re.match(r"In CSV column #(\d+)", error):
        field = schema.field(int(column[1]))
        return f"a value does not fit its column's type: {field.name} is read as {field.type}"
    return "a value does not fit its column's type"


def _receive(connection: PostgresConnection, query: str, blocks: Queue[bytes]) -> None:
    """Put the rows of a query into `blocks` as CSV, followed by an empty block."""
    try:
        send_csv(connection, query, blocks.put)
    finally:
        blocks.put(b"")


def send_csv(
    connection: PostgresConnection,
    query: str,
    send: Callable[[bytes], None],
    options: str = "",
) -> None:
    """Pass the rows of a query to `send` as CSV, in blocks of whole rows, as they arrive.

    `options` is SQL of further options of COPY, such as `, HEADER`.
    """
    rows = _Rows(connection.received, send)
    options += _encoding(connection)
    connection.run(f"COPY ({query}) TO STDOUT (FORMAT csv{options})", stream=rows)
    rows.flush()


def _encoding(connection: PostgresConnection) -> str:
    """Return the option for raw bytes, where the server does not know their encoding.

    A SQL_ASCII database holds any bytes, and fails the whole COPY for a row that is not UTF-8.
    https://www.postgresql.org/docs/current/multibyte.html#MULTIBYTE-CHARSET-SUPPORTED
    """
    is_unknown = connection.parameter_statuses.get("server_encoding") == "SQL_ASCII"
    return ", ENCODING 'SQL_ASCII'" if is_unknown else ""


class _Rows:
    """A stream that the driver writes rows to: it makes blocks of just over `BLOCK_BYTES`.

    The server sends a message per row: `d`, four bytes of length, a line of CSV. The driver handles
    one message at a time; taking all that are in its read buffer at once needs a quarter of the
    CPU. https://www.postgresql.org/docs/current/protocol-message-formats.html
    """

    # The head of a message of less than 64 kB. Text in UTF-8 has no NUL, and every other message
    # has one: split by this head, the buffer is whole rows if no NUL is left.
    _HEAD = re.compile(rb"d\0\0..", re.DOTALL)

    def __init__(self, received: BufferedReader, send: Callable[[bytes], None]) -> None:
        self._received = received
        self._send = send
        self._rows: list[bytes] = []
        self._bytes = 0

    def write(self, row: bytes) -> None:
        """Add a row, and those of all complete messages in the driver's buffer."""
        self._add(row)
        received = self._received.peek()[: 1 << 16]  # the head below is of shorter messages
        if not self._HEAD.match(received):
            return
        _, *rows, last = self._HEAD.split(received)
        taken = len(received) - len(last)
        length = int.from_bytes(received[taken - 2 : taken], "big") - 4
        if length <= len(last):
            rows.append(last[:length])
            taken += length
        else:
            taken -= 5  # leave its head in the buffer
        whole = b"".join(rows)
        if b"\0" not in whole:
            self._received.read(taken)
            self._add(whole)

    def _add(self, rows: bytes) -> None:
        self._rows.append(rows)
        self._bytes += len(rows)
        if self._bytes >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send the rows of an incomplete block."""
        if self._bytes:
            self._send(b"".join(self._rows))
            self._rows, self._bytes = [], 0


def copy_in(
    connection: PostgresConnection,
    target: str,
    columns: list[str],
    batches: Iterable[pa.RecordBatch],
) -> None:
    """Append rows to `columns`, in this order, of `target`, a quoted table name."""
    names = ", ".join(identifier(column) for column in columns)
    connection.run(
        f"COPY {target} ({names}) FROM STDIN (FORMAT csv)",
        stream=_csv_blocks(batches),
    )


def _csv_blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[memoryview]:
    options = csv.WriteOptions(include_header=False, quoting_style="needed")  # by every text
    for batch in batches:
        for rows in sliced(batch, batch.num_rows, CSV_BYTES):
            sink = pa.BufferOutputStream()
            csv.write_csv(rows, sink, options)
            yield memoryview(sink.getvalue())
