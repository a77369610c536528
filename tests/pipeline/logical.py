"""A source whose owner lets its changes be looked up in its write-ahead log."""

from collections.abc import Iterator
from contextlib import contextmanager

from pg8000.native import identifier

from local.databases import READER
from local.postgres import PostgresServer
from tests.pipeline.ground import own_server, restart, run_sql, shop_on
from tests.postgres_fixtures import Source
from tests.totesys import SOURCE

PUBLICATION = SOURCE.publication


@contextmanager
def logical_server() -> Iterator[PostgresServer]:
    """Run a server that also knows prepared transactions."""
    with own_server() as server:
        run_sql(server.superuser_url(), "ALTER SYSTEM SET max_prepared_transactions = 5")
        restart(server)
        yield server


def published_shop(server: PostgresServer, database: str = "totesys") -> Source:
    """Return the shop's database on a server, published to a reader that may use slots."""
    source = shop_on(server, database)
    publish(source)
    run_sql(source.superuser_url, f"ALTER ROLE {identifier(READER)} REPLICATION")
    return source


def publish(source: Source) -> None:
    """Create the publication of all tables."""
    names = ", ".join(identifier(table.name) for table in SOURCE.tables)
    run_sql(source.superuser_url, f"CREATE PUBLICATION {PUBLICATION} FOR TABLE {names}")


def slot_of(bucket: str) -> str:
    """Return the name of the slot of the pipeline that writes into a bucket."""
    return SOURCE.slot(bucket)


def confirmed(source: Source, bucket: str) -> list[object]:
    """Return the position up to which the slot was advanced; nothing if there is no slot."""
    rows = run_sql(
        source.superuser_url,
        "SELECT confirmed_flush_lsn::text FROM pg_replication_slots"
        f" WHERE slot_name = '{slot_of(bucket)}'",
    )
    return [position for [position] in rows]
