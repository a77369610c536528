"""The SQL of `loaded_batches`: which batches were applied to the warehouse, and when.

The table is created where the warehouse is ours to shape, and kept once it is there. It is a
history like those of the pipeline: see `functions.targets.standing`.
"""

from etl.mysqlddl import create_table
from functions.common.errors import WarehouseSetupError
from functions.common.mysql import MysqlConnection, literal, quoted
from functions.common.telemetry import logger
from functions.targets.layout import LEDGER, is_ledger
from functions.targets.mysql.catalogue import tables_of
from functions.targets.mysql.create import collation, created
from functions.targets.mysql.tables import MysqlTable

_LINES = (
    "record_id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
    "source varchar(255) NOT NULL",
    "batch bigint NOT NULL",
    "loaded_at datetime(6) NOT NULL",
)
_MEANING = (
    "The batches that load applied, in this order; one that came again, for a table that lacked it"
    " or rows that had been refused, is here again."
)


def create_ledger(connection: MysqlConnection, schema: str) -> None:
    """Create the table if it is missing.

    Raises WarehouseSetupError when this account may not create it, or the name is taken.
    """
    found = tables_of(connection, schema, [LEDGER]).get(LEDGER)
    if found is None:
        target = f"{quoted(schema)}.{quoted(LEDGER)}"
        statement = create_table(target, _LINES, collation(connection)).removesuffix(";")
        created(connection, f"{statement} COMMENT {literal(_MEANING)}", schema, LEDGER)
        logger.info("table of loaded batches created", extra={"schema": schema})
    elif not is_ledger(found):
        raise WarehouseSetupError(
            f"table {LEDGER} in database {schema} of the warehouse is another one than load keeps "
            "there: rename it, or set WAREHOUSE_MANAGED=false"
        )


def record_batch(connection: MysqlConnection, ledger: MysqlTable, source: str, batch: int) -> None:
    """Record a batch, as part of the caller's transaction."""
    connection.run(
        f"INSERT INTO {ledger.target} (source, batch, loaded_at)"
        f" VALUES ({literal(source)}, {batch}, UTC_TIMESTAMP(6))"
    )
