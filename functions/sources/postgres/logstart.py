"""Which ids the transactions may have whose commits are in a source's log before a snapshot.

A snapshot ends after the last id that has ended, and not after the last one that was given out. So
the newest transactions are in none, though their commits may be in the log already. But each has a
lock on its id until its rows are visible, and every role may see that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from etl import Postgres
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres import slot
from functions.sources.postgres.history import WINDOW, XIDS
from functions.sources.postgres.published import Published, published

_OPEN = """SELECT txid_snapshot_xmax(txid_current_snapshot()), ARRAY(
    SELECT transactionid::text::bigint FROM pg_locks
    WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock')"""


@dataclass(frozen=True)
class Start:
    """The log just before a snapshot: every commit below `reached` has an id below `end`.

    `published` is how the tables were published by then.
    """

    reached: int
    end: int
    published: Mapping[str, Published]


def start(connection: PostgresConnection, source: Postgres, reached: int) -> Start:
    """Return the log at a position; to be called outside a transaction. Raises SlotError."""
    with slot.reasons():
        shown = published(connection, source.publication, source.tables)
        [[after_ended, xids]] = connection.run(_OPEN)
    ahead = ((xid - after_ended) % XIDS + 1 for xid in xids)
    return Start(reached, after_ended + max((n for n in ahead if n <= WINDOW), default=0), shown)
