"""Stream tables as CSV for people to `exports/<schema>/<table>/<yyyy-mm-dd>.csv`.

The pipeline never reads them; a newer one of the same day replaces the older one.
"""

from collections.abc import Iterable

from pg8000.native import identifier

from functions.common.copy import send_csv
from functions.common.storage import Bucket
from functions.common.uploads import Upload, whatever_is_there
from functions.targets import Moment
from functions.targets.derived import export_key
from functions.targets.postgres.stage import Stage
from functions.targets.postgres.tables import PostgresTable


def export_table(stage: Stage, bucket: Bucket, moment: Moment) -> str:
    """Write all rows of a stage's table, in the order of its key if it has one; return the key."""
    table = stage.table
    order = [*table.keys, *([table.record_id] if table.record_id else [])]
    rows = f"{_columns(table, table.types)} FROM {table.target} AS r{_sorted(order)}"
    return _write(stage, bucket, rows, moment)


def export_rows(stage: Stage, bucket: Bucket, moment: Moment) -> str:
    """Write the staged rows, in the order of the key if there is one; return the key."""
    columns = _columns(stage.table, stage.columns)
    rows = f"{columns} FROM {stage.source} AS r{_sorted(stage.table.keys)}"
    return _write(stage, bucket, rows, moment)


def _write(stage: Stage, bucket: Bucket, rows: str, moment: Moment) -> str:
    key = export_key(stage.table, moment)
    with Upload(bucket, key, condition=whatever_is_there) as upload:
        send_csv(stage.connection, f"SELECT {rows}", upload.write, ", HEADER")
    return key


def _columns(table: PostgresTable, columns: Iterable[str]) -> str:
    """Return the SQL of columns, booleans as `true` or `false` rather than `t` or `f`."""
    return ", ".join(
        f"r.{identifier(column)}::text AS {identifier(column)}"
        if table.types[column] == "boolean"
        else f"r.{identifier(column)}"
        for column in columns
    )


def _sorted(columns: list[str]) -> str:
    return f" ORDER BY {', '.join(f'r.{identifier(name)}' for name in columns)}" if columns else ""
