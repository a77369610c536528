"""PostgreSQL as a target for readers: it implements `functions.targets.reading`.

All transactions are read-only, whatever the role may do.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from pg8000.core import PG_TYPES

from etl.columns import Text
from etl.ddl import quoted, search_path, sql_type
from functions.common.database import Database, stored_database
from functions.common.pgconnection import PostgresConnection
from functions.common.postgres import SESSION, connection, translated_errors
from functions.common.settings import required
from functions.targets import Place
from functions.targets.postgres.counts import counts
from functions.targets.postgres.declared import Declared, declared_names
from functions.targets.reading import Cell, Count, LoadedBatch, Query, Rows

PARAMETERS = {
    **SESSION,
    "default_transaction_read_only": "on",
    "jit": "off",  # compiling takes longer than a short query
}
# The visible transactions: the text changes with each commit of one that wrote. A standby does not
# list all, so there no two snapshots count as the same.
_STATE = (
    "SELECT CASE WHEN pg_is_in_recovery() THEN clock_timestamp()::text"
    " ELSE txid_current_snapshot()::text END"
)


@contextmanager
def reader(place: Place, seconds: float) -> Iterator["PostgresReader"]:
    """Connect to a warehouse with the account of the function's secret."""
    database = stored_database(place.secrets, place.settings, place.target)
    schema = required(place.settings, place.setting("SCHEMA"))
    with connection(database, seconds, **PARAMETERS) as opened:
        declared = declared_names(opened, schema, place.target)
        for oid in PG_TYPES:
            opened.register_in_adapter(oid, _CELLS.get(oid, str))
        path = search_path(place.target.schemas(schema))
        yield PostgresReader(opened, database, declared, path)


class PostgresReader:
    """A read-only connection to a warehouse."""

    def __init__(
        self,
        connection: PostgresConnection,
        database: Database,
        declared: Declared,
        path: str,
    ) -> None:
        self._connection = connection
        self._database = database
        self._declared = declared
        self._path = path

    def denied(self) -> list[str]:
        """Return the tables that exist and that this role may not read."""
        tables = self._declared.tables
        return [name for name, found in tables.items() if "SELECT" in found.denied]

    def state(self) -> str:
        """Return the transactions that are visible now."""
        with translated_errors(self._database):
            [[state]] = self._connection.run(_STATE)
        return str(state)

    @contextmanager
    def snapshot(self) -> Iterator["PostgresReader"]:
        """Hold one snapshot of the warehouse."""
        with translated_errors(self._database):
            self._connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield self
            finally:
                if self._connection.has_transaction:
                    self._connection.run("ROLLBACK")

    @property
    def records_batches(self) -> bool:
        """Whether there is a ledger that this role may read."""
        return self._declared.ledger is not None

    def loaded(self, sources: Iterable[str]) -> Mapping[str, LoadedBatch]:
        """Return the newest batch of sources in the ledger."""
        if (ledger := self._declared.ledger) is None:
            return {}
        newest = (
            f"SELECT batch, (1000000 * extract(epoch FROM loaded_at))::bigint FROM {ledger}"
            " WHERE source = :source ORDER BY record_id DESC LIMIT 1"  # the last by index
        )
        with translated_errors(self._database):
            return {
                source: LoadedBatch(batch, datetime.fromtimestamp(microseconds / 1e6, UTC))
                for source in sources
                for batch, microseconds in self._connection.run(newest, source=source)
            }

    def counts(self) -> Mapping[str, Count]:
        """Return how many rows the tables have."""
        with translated_errors(self._database):
            return counts(self._connection, self._declared.tables)

    def rows(self, query: Query) -> Rows:
        """Return the rows of a query; a failed one leaves the snapshot usable."""
        values: list[str] = []
        sql = self._sql(query, values)
        with translated_errors(self._database):
            self._connection.run(f"SAVEPOINT query; SET LOCAL search_path = {self._path}")
            try:
                found = self._connection.execute_unnamed(sql, vals=values)
            finally:
                self._connection.run("ROLLBACK TO SAVEPOINT query")
        names = tuple(str(column["name"]) for column in found.columns)
        return Rows(names, found.rows[: query.at_most], len(found.rows) > query.at_most)

    def _sql(self, query: Query, values: list[str]) -> str:
        """Return the SQL of a query, in which `$1` is the first of `values`, which are appended."""
        numbers: dict[str, int] = {}

        def value(name: str) -> str:
            if name not in numbers:
                values.append(query.values[name])
                numbers[name] = len(values)
            return f"CAST(${numbers[name]} AS {sql_type(query.types.get(name, Text()))})"

        made = query.statement.with_values(value)
        columns = (
            ["*"]
            if query.columns is None
            else [
                f"CAST(made.{quoted(name)} AS {sql_type(column)}) AS {quoted(name)}"
                for name, column in query.columns.items()
            ]
        )
        # Nothing else is done with the subquery, so its order is kept.
        return (
            f"{self._declared.named_in(made)}SELECT {', '.join(columns)} FROM (\n{made}\n) AS made"
            f" LIMIT {query.at_most + 1}"
        )


def _float(text: str) -> Cell:
    value = float(text)
    return value if math.isfinite(value) else text


def _moment(text: str) -> str:
    """Return a timestamp of a session in UTC in the form of ISO 8601."""
    return text.replace(" ", "T", 1).replace("+00", "Z")


# By type OID; all other values remain PostgreSQL's text.
_CELLS: Mapping[int, Callable[[str], Cell]] = {
    16: lambda text: text == "t",
    20: int,
    21: int,
    23: int,
    26: int,
    700: _float,
    701: _float,
    1114: _moment,
    1184: _moment,
}
