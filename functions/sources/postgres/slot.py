"""The logical replication slot of a source: the place in its write-ahead log from which we read.

The server keeps its log from the slot on, so a slot that nobody advances fills the server's disk.
All of this is plain SQL, and writes nothing into the database.
https://www.postgresql.org/docs/current/logicaldecoding.html
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pg8000.native
import pyarrow as pa
from pg8000.native import identifier, literal

from functions.common.copy import copy_out
from functions.common.errors import SlotError
from functions.common.pgconnection import PostgresConnection
from functions.common.sqlstate import described

PLUGIN = "pgoutput"
CREATE_TIMEOUT = "2s"  # for transactions that were open to end
# A commit that waits for no disk is on disk after three times `wal_writer_delay`, 200 ms.
FLUSH_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.2, 0.2, 0.2)  # seconds

# A row may have a value of 1 GB. Of a longer message only the head is read, which names the table.
MESSAGE_BYTES = 1 << 20
HEAD_BYTES = 5

PAGE_BYTES = 8192
PAGE_HEADER, SEGMENT_HEADER = 24, 40

_STATE = """SELECT plugin::text, database::text = current_database(), active,
        to_jsonb(s) ->> 'wal_status', (restart_lsn - '0/0')::bigint,
        (confirmed_flush_lsn - '0/0')::bigint
    FROM pg_replication_slots s WHERE slot_name = :name"""
_ABILITY = "SELECT current_setting('wal_level'), pg_is_in_recovery()"
_FLUSHED = """SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint,
        pg_size_bytes(current_setting('wal_segment_size')),
        current_setting('server_version_num')::integer >= 170000
        AND has_function_privilege('pg_logical_emit_message(boolean,text,text,boolean)',
            'EXECUTE')"""

_DATA = pa.schema([("data", pa.string())])
SESSION_OVER = ("57P", "08")
_REASONS = {
    "42501": "this role may not use replication slots: ALTER ROLE … REPLICATION, in Amazon RDS "
    "GRANT rds_replication TO …",
    "55P03": "open transactions, or locks on published tables, are in the way",
    "53400": "no slot is free: increase max_replication_slots",
    "55006": "another session uses it",
}


@dataclass(frozen=True)
class Slot:
    """A slot that can be read: commits at or above `confirmed` are in it; positions in bytes.

    The log is kept, and has to be decoded, from `restart` on.
    """

    name: str
    restart: int
    confirmed: int


def ready(connection: PostgresConnection, name: str) -> Slot:
    """Return the slot, made if it is missing or lost; raise SlotError if it cannot be used.

    To be called outside a transaction.
    """
    with reasons():
        [[level, is_replica]] = connection.run(_ABILITY)
    if is_replica:
        raise SlotError("the source is a replica: give the address of the primary")
    if level != "logical":
        raise SlotError(
            f"wal_level is {level}: set it to logical and restart the server, in Amazon RDS by the "
            "parameter rds.logical_replication"
        )
    state = _state(connection, name)
    if state is not None and state[3] == "lost":
        drop(connection, name)
        state = None
    if state is None:
        _create(connection, name)
        state = _state(connection, name)
    if state is None:
        raise SlotError("another session has dropped it")
    plugin, is_here, is_active, _, restart, confirmed = state
    if plugin != PLUGIN or not is_here:
        raise SlotError("a slot of others has its name: drop that")
    if is_active:
        raise SlotError(_REASONS["55006"])
    return Slot(name, restart, confirmed)


def _state(connection: PostgresConnection, name: str) -> list[Any] | None:
    with reasons():
        return next(iter(connection.run(_STATE, name=name)), None)


def _create(connection: PostgresConnection, name: str) -> None:
    """Make the slot; without any lock of ours, waiting for transactions can be no deadlock."""
    [[before]] = connection.run("SELECT current_setting('lock_timeout')")
    _set_lock_timeout(connection, CREATE_TIMEOUT)
    try:
        with reasons():
            connection.run(
                "SELECT FROM pg_create_logical_replication_slot(:name, :plugin)",
                name=name,
                plugin=PLUGIN,
            )
    finally:
        _set_lock_timeout(connection, before)


def _set_lock_timeout(connection: PostgresConnection, limit: str) -> None:
    connection.run("SELECT set_config('lock_timeout', :limit, false)", limit=limit)


@contextmanager
def reasons() -> Iterator[None]:
    """Turn an error of the server into a SlotError, unless the session is over."""
    try:
        yield
    except pg8000.native.DatabaseError as error:
        fields = dict(error.args[0])
        code = fields.get("C", "")
        if code.startswith(SESSION_OVER):
            raise
        raise SlotError(_REASONS.get(code) or described(fields)) from error


def is_flushed(
    connection: PostgresConnection, position: int, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Wait until the log is on disk up to a position; return False if that takes too long.

    Only then it can be decoded. A commit that waits for no disk is shown before, and what a query
    writes that removes dead rows waits for the next commit: from PostgreSQL 17 on, a message can be
    added to the log that waits for neither.
    """
    for pause in (0.0, *FLUSH_PAUSES):
        sleep(pause)
        [[flushed, segment, can_flush]] = connection.run(_FLUSHED)
        if flushed >= _end_of_record(position, segment):
            return True
        if can_flush:
            connection.run("SELECT pg_logical_emit_message(false, 'etl', '', true)")
    return False


def _end_of_record(position: int, segment: int) -> int:
    """Return the end of the last record: the start of a page of which there is only the header."""
    header = PAGE_HEADER if position % segment >= PAGE_BYTES else SEGMENT_HEADER
    return position - header if position % PAGE_BYTES == header else position


def peek(
    connection: PostgresConnection, slot: Slot, publication: str, position: int
) -> Generator[bytes, None, None]:
    """Yield the messages of the transactions that were committed below a position, in order.

    They stay in the slot. Raises SlotError; the transaction then goes on as if nothing was read.
    """
    # The names are parsed as identifiers, and COPY takes no parameters.
    names = literal(identifier(publication))
    query = (
        f"SELECT CASE WHEN length(data) > {MESSAGE_BYTES} THEN substr(data, 1, {HEAD_BYTES}) ELSE"
        f" data END FROM pg_logical_slot_peek_binary_changes({literal(slot.name)},"
        f" '{lsn(position)}', NULL, 'proto_version', '1', 'publication_names', {names})"
    )
    with apart(connection):
        for rows in copy_out(connection, query, _DATA):
            for data in rows["data"].to_pylist():
                yield bytes.fromhex(data[2:])


@contextmanager
def apart(connection: PostgresConnection) -> Iterator[None]:
    """Turn errors into SlotErrors, after which the transaction goes on as if nothing was asked."""
    connection.run("SAVEPOINT apart")
    try:
        with reasons():
            yield
    except SlotError:
        connection.run("ROLLBACK TO SAVEPOINT apart")
        raise
    connection.run("RELEASE SAVEPOINT apart")


def advance(connection: PostgresConnection, slot: Slot, position: int) -> None:
    """Let the server forget the log below a position; raise SlotError if it does not.

    It may be killed at any time: then the next run reads some changes again.
    """
    with reasons():
        connection.run(
            "SELECT FROM pg_replication_slot_advance(:name, CAST(:position AS pg_lsn))",
            name=slot.name,
            position=lsn(position),
        )


def drop(connection: PostgresConnection, name: str) -> bool:
    """Drop the slot; return whether there was one. Raises SlotError if it cannot be dropped."""
    with reasons():
        return bool(
            connection.run(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                " WHERE slot_name = :name AND database = current_database()",
                name=name,
            )
        )


def lsn(position: int) -> str:
    """Return a position in bytes as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
