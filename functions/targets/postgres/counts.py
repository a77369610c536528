"""The numbers of rows of tables, in bounded time: those of large tables are statistics."""

from collections.abc import Mapping

from pg8000.native import identifier, literal

from functions.common.pgconnection import PostgresConnection
from functions.targets.layout import Found
from functions.targets.reading import COUNTED_UP_TO, Count


def counts(connection: PostgresConnection, tables: Mapping[str, Found]) -> dict[str, Count]:
    """Return the numbers of rows of tables, by the given names.

    The server's statistics follow a commit within about a second; after a reset, as by a crash, the
    number is that of the last ANALYZE or VACUUM.
    """
    each = [_count(name, found) for name, found in tables.items() if "SELECT" not in found.denied]
    if not each:
        return {}
    return {
        name: _known(counted, estimate)
        for name, counted, estimate in connection.run(" UNION ALL ".join(each))
    }


def _known(counted: int, estimate: int) -> Count:
    if counted <= COUNTED_UP_TO:
        return Count(counted, is_exact=True)
    return Count(max(estimate, counted), is_exact=False)


def _count(name: str, found: Found) -> str:
    table = f"{identifier(found.schema)}.{identifier(found.name)}"
    return (
        f"SELECT {literal(name)},"
        f" (SELECT count(*) FROM (SELECT FROM {table} LIMIT {COUNTED_UP_TO + 1}) AS counted),"
        " (SELECT coalesce(nullif(s.n_live_tup, 0), c.reltuples::bigint) FROM pg_class AS c"
        f" LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid WHERE c.oid = {found.oid})"
    )
