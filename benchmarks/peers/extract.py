"""Peers that copy a table out of PostgreSQL into Parquet files.

Each function takes the database's URL, a table and a folder, imports what it needs, and returns the
work that is measured; that returns the rows.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

CHUNK = 100_000  # rows; dlt's own 50,000 was a little slower
COLUMNS = (
    *("sales_order_id", "created_at", "last_updated", "design_id", "staff_id", "counterparty_id"),
    *("units_sold", "unit_price", "currency_id", "agreed_delivery_date", "agreed_payment_date"),
    "agreed_delivery_location_id",
)

Work = Callable[[], int]


def connectorx(url: str, table: str, folder: str) -> Work:
    """Arrow record batches as a stream, which its documentation names for tables beyond memory.

    Binary protocol is its default. Partitions would want the whole result in memory.
    """
    import connectorx as cx

    def work() -> int:
        query = f"SELECT * FROM {table}"
        stream = cx.read_sql(url, query, return_type="arrow_stream", batch_size=CHUNK)
        return _write(stream, folder)

    return work


def connectorx_partitioned(url: str, table: str, folder: str) -> Work:
    """Two partitions read side by side, its documented way to speed, all of it in memory."""
    import connectorx as cx

    def work() -> int:
        query = f"SELECT * FROM {table}"
        key = f"{table}_id"
        rows = cx.read_sql(url, query, return_type="arrow", partition_on=key, partition_num=2)
        return _write(rows.to_batches(), folder)

    return work


def adbc(url: str, table: str, folder: str) -> Work:
    """ADBC's own way: binary COPY on the wire, Arrow batches as they come."""
    from adbc_driver_postgresql import dbapi

    def work() -> int:
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            return _write(cursor.fetch_record_batch(), folder)

    return work


def pg8000(url: str, table: str, folder: str) -> Work:
    """Rows fetched as Python objects through a cursor, so that memory holds a part of them."""
    import pyarrow as pa

    from benchmarks.peers.connections import pg8000_connection

    def work() -> int:
        connection = pg8000_connection(url)
        cursor = connection.cursor()
        cursor.execute(f"DECLARE rows NO SCROLL CURSOR FOR SELECT * FROM {table}")

        def batches() -> Iterable[pa.RecordBatch]:
            while True:
                cursor.execute(f"FETCH FORWARD {CHUNK} FROM rows")
                rows = cursor.fetchall()
                if not rows:
                    return
                columns = [pa.array(values) for values in zip(*rows, strict=True)]
                columns[COLUMNS.index("unit_price")] = columns[7].cast(pa.decimal128(10, 2))
                yield pa.record_batch(columns, names=list(COLUMNS))

        return _write(batches(), folder)

    return work


def dlt_pyarrow(url: str, table: str, folder: str) -> Work:
    """Read with the pyarrow backend, which makes Arrow tables of SQLAlchemy's rows."""
    return _dlt(url, table, folder, backend="pyarrow", chunk_size=CHUNK)


def dlt_connectorx(url: str, table: str, folder: str) -> Work:
    """Read with the connectorx backend, as a stream: "typically the fastest", says dlt."""
    options = {"return_type": "arrow_stream", "batch_size": CHUNK}
    return _dlt(url, table, folder, backend="connectorx", backend_kwargs=options)


def _dlt(url: str, table: str, folder: str, **options: Any) -> Work:
    import dlt
    from dlt.sources.sql_database import sql_table

    from benchmarks.peers.connections import sqlalchemy_url

    def work() -> int:
        pipeline = dlt.pipeline(
            "extract",
            pipelines_dir=f"{folder}/state",
            destination=dlt.destinations.filesystem(f"file://{folder}/files"),
            dataset_name="lake",
        )
        # With precision, numbers keep their types instead of being inferred from the rows.
        rows = sql_table(
            sqlalchemy_url(url), table=table, reflection_level="full_with_precision", **options
        )
        pipeline.run(rows, loader_file_format="parquet").raise_on_failed_jobs()
        return int(pipeline.last_trace.last_normalize_info.row_counts[table])

    return work


def _write(batches: Iterable[Any], folder: str) -> int:
    """Write record batches to one Parquet file, compressed as ours are; return the rows."""
    import pyarrow.parquet as pq

    path = Path(folder) / "table.parquet"
    rows, writer = 0, None
    for batch in batches:
        writer = writer or pq.ParquetWriter(path, batch.schema, compression="zstd")
        writer.write_batch(batch)
        rows += batch.num_rows
    if writer:
        writer.close()
    return rows
