"""PostgreSQL as a source for reconcile: its current rows, and its keys after a batch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from etl import Pipeline, Postgres, Table
from functions.common.copy import copy_out
from functions.common.keys import is_among
from functions.common.manifests import IngestionManifest
from functions.common.pgconnection import PostgresConnection
from functions.common.storage import Bucket
from functions.sources.postgres import tablekeys
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.keysets import KeySet
from functions.sources.postgres.plan import TableKeys, TablePlan, plan_tables
from functions.sources.postgres.reader import connected
from functions.sources.postgres.snapshot import snapshot_of
from functions.sources.postgres.uniqueness import stop_at_missing_keys

# PostgreSQL has no names of over 63 bytes, so no column of a source has this name.
_CHANGED = "whether the row has changed since the newest batch that is in the warehouse"


@contextmanager
def current(
    source: Postgres, pipeline: Pipeline, since: IngestionManifest | None, seconds: float
) -> Iterator["CurrentRows"]:
    """Connect to a source, and hold one snapshot of it."""
    with connected(source, seconds) as session, snapshot_of(session, source) as snapshot:
        plans = plan_tables(session, snapshot, since, Declared(source, pipeline))
        yield CurrentRows(session, stop_at_missing_keys(session, plans))


class CurrentRows:
    """The rows of a snapshot, and which of them have changed since a batch."""

    def __init__(self, connection: PostgresConnection, plans: Mapping[str, TablePlan]) -> None:
        self._connection = connection
        self._plans = plans

    def error(self, table: Table) -> str | None:
        """Return why a table cannot be read; None when it can."""
        return self._plans[table.id].error

    def is_known(self, table: Table) -> bool:
        """Return whether changed rows can be distinguished from unchanged ones."""
        return not self._plans[table.id].is_whole

    def rows(self, table: Table) -> Iterator[tuple[pa.Table, pa.Array]]:
        """Yield the rows of a table as extract writes them, and which of them have changed."""
        plan = self._plans[table.id]
        schema = plan.columns.schema.append(pa.field(_CHANGED, pa.bool_()))
        yield plan.columns.schema.empty_table(), pa.array([], pa.bool_())
        query = plan.select("true", plan.changed)
        for rows in copy_out(self._connection, query, schema, plan.parse):
            every = pa.Table.from_batches([rows])
            yield every.drop_columns([_CHANGED]), rows[_CHANGED]


def keys_after(bucket: Bucket, manifest: IngestionManifest) -> "RecordedKeys":
    """Return the keys that a batch has recorded."""
    return RecordedKeys(tablekeys.fetch(bucket, manifest))


class RecordedKeys:
    """The keys that tables had after a batch."""

    def __init__(self, sets: Mapping[str, TableKeys]) -> None:
        self._sets = sets

    def had(self, table: Table, keys: pa.Array) -> pa.Array:
        """Return which keys a table had; no text is a key of integers in runs."""
        known = self._sets.get(table.id)
        is_integer = pa.types.is_integer(keys.type)
        if known is None or (isinstance(known, KeySet) and not is_integer):
            return pa.repeat(pa.scalar(False), len(keys))
        return pc.and_not(keys.is_valid(), is_among(keys, known.not_in(keys)))
