"""Record in the warehouse, in `loaded_batches`, which batches were applied to it, and when.

The table is created where the warehouse is ours to shape, and kept once it is there. It is a
history like those of the pipeline: its newest record proves what the tables have that keep none.
Without it they would get older batches again after a restart of the server, and without any
history all of them.
"""

from pg8000.native import identifier, literal

from functions.common.errors import WarehouseSetupError
from functions.common.pgconnection import PostgresConnection
from functions.common.telemetry import logger
from functions.targets.layout import LEDGER, is_ledger
from functions.targets.postgres.catalogue import check_may_create, tables_of
from functions.targets.postgres.tables import PostgresTable

_COLUMNS = (
    "record_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " source text NOT NULL, batch bigint NOT NULL, loaded_at timestamptz NOT NULL"
)
_MEANING = (
    "The batches that load applied, in this order; one that came again, for a table that lacked it"
    " or rows that had been refused, is here again."
)


def create_ledger(connection: PostgresConnection, schema: str) -> None:
    """Create the table if it is missing.

    Raises WarehouseSetupError when this role may not create it, or the name is taken.
    """
    there = tables_of(connection, schema)
    if LEDGER not in there:
        check_may_create(connection, schema, f"table {LEDGER}")
        target = f"{identifier(schema)}.{identifier(LEDGER)}"
        connection.run("BEGIN")
        connection.run(f"CREATE TABLE {target} ({_COLUMNS})")
        connection.run(f"COMMENT ON TABLE {target} IS {literal(_MEANING)}")
        connection.run("COMMIT")
        logger.info("table of loaded batches created", extra={"schema": schema})
    elif not is_ledger(there[LEDGER]):
        raise WarehouseSetupError(
            f"table {LEDGER} in schema {schema} of the warehouse is another one than load keeps "
            "there: rename it, or set WAREHOUSE_MANAGED=false"
        )


def record_batch(
    connection: PostgresConnection, ledger: PostgresTable, source: str, batch: int
) -> None:
    """Record a batch, as part of the caller's transaction."""
    connection.run(
        f"INSERT INTO {ledger.target} (source, batch, loaded_at)"
        " VALUES (:source, :batch, statement_timestamp())",
        source=source,
        batch=batch,
    )
