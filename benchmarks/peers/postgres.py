"""Peers that copy a table out of PostgreSQL, into it, or from one PostgreSQL into another.

Each function takes URLs, a table and folders, imports what it needs, and returns the work that is
measured; that returns the rows. `scratch` is a folder for the peer alone. All that load append:
none of them looks at what is there.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

CHUNK = 100_000  # rows; dlt's own 50,000 was a little slower
COLUMNS = (
    *("sales_order_id", "created_at", "last_updated", "design_id", "staff_id", "counterparty_id"),
    *("units_sold", "unit_price", "currency_id", "agreed_delivery_date", "agreed_payment_date"),
    "agreed_delivery_location_id",
)
# pg8000 counts a statement's parameters in a signed 16-bit number, and a row has 14.
LARGEST, DEFAULT = 32_767 // 14, 200
STREAM = {
    "backend": "connectorx",
    "backend_kwargs": {"return_type": "arrow_stream", "batch_size": CHUNK},
}

Work = Callable[[], int]


def extract_connectorx(url: str, table: str, scratch: str) -> Work:
    """Arrow record batches as a stream, which its documentation names for tables beyond memory.

    Binary protocol is its default. Partitions would want the whole result in memory.
    """
    import connectorx as cx

    def work() -> int:
        query = f"SELECT * FROM {table}"
        stream = cx.read_sql(url, query, return_type="arrow_stream", batch_size=CHUNK)
        return _write(stream, scratch)

    return work


def extract_connectorx_partitioned(url: str, table: str, scratch: str) -> Work:
    """Two partitions read side by side, its documented way to speed, all of it in memory."""
    import connectorx as cx

    def work() -> int:
        query = f"SELECT * FROM {table}"
        key = f"{table}_id"
        rows = cx.read_sql(url, query, return_type="arrow", partition_on=key, partition_num=2)
        return _write(rows.to_batches(), scratch)

    return work


def extract_adbc(url: str, table: str, scratch: str) -> Work:
    """ADBC's own way: binary COPY on the wire, Arrow batches as they come."""
    from adbc_driver_postgresql import dbapi

    def work() -> int:
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            return _write(cursor.fetch_record_batch(), scratch)

    return work


def extract_pg8000(url: str, table: str, scratch: str) -> Work:
    """Rows fetched as Python objects through a cursor, so that memory holds a part of them."""
    import pyarrow as pa

    def work() -> int:
        cursor = _pg8000(url).cursor()
        cursor.execute(f"DECLARE rows NO SCROLL CURSOR FOR SELECT * FROM {table}")

        def batches() -> Iterable[pa.RecordBatch]:
            while True:
                cursor.execute(f"FETCH FORWARD {CHUNK} FROM rows")
                rows = cursor.fetchall()
                if not rows:
                    return
                columns = [pa.array(values) for values in zip(*rows, strict=True)]
                price = COLUMNS.index("unit_price")
                columns[price] = columns[price].cast(pa.decimal128(10, 2))
                yield pa.record_batch(columns, names=list(COLUMNS))

        return _write(batches(), scratch)

    return work


def extract_dlt_pyarrow(url: str, table: str, scratch: str) -> Work:
    """Read with the pyarrow backend, which makes Arrow tables of SQLAlchemy's rows."""
    return _dlt_out(url, table, scratch, backend="pyarrow", chunk_size=CHUNK)


def extract_dlt_connectorx(url: str, table: str, scratch: str) -> Work:
    """Read with the connectorx backend, as a stream: "typically the fastest", says dlt."""
    return _dlt_out(url, table, scratch, **STREAM)


def extract_dlt_newer(url: str, table: str, since: str, scratch: str) -> Work:
    """Read rows with a newer `last_updated` than a time: dlt's incremental loading."""
    from datetime import datetime

    from dlt.sources import incremental

    newer = incremental("last_updated", initial_value=datetime.fromisoformat(since))
    return _dlt_out(url, table, scratch, incremental=newer, **STREAM)


def load_adbc(warehouse: str, table: str, folder: str, scratch: str) -> Work:
    """ADBC's bulk ingestion, which is binary COPY on the wire."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    from adbc_driver_postgresql import dbapi

    def work() -> int:
        files = ds.dataset(folder, format="parquet")
        rows = pa.RecordBatchReader.from_batches(files.schema, files.to_batches(batch_size=CHUNK))
        with dbapi.connect(warehouse) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append")
            connection.commit()
        return int(files.count_rows())

    return work


def load_dlt_parquet(warehouse: str, table: str, folder: str, scratch: str) -> Work:
    """dlt's fast loading with Parquet, through ADBC: its documentation's advice for Arrow data."""
    return dlt_into(warehouse, table, arrow_tables(folder), "parquet", scratch)


def load_dlt_csv(warehouse: str, table: str, folder: str, scratch: str) -> Work:
    """dlt's loading with COPY of CSV files, through psycopg2."""
    return dlt_into(warehouse, table, arrow_tables(folder), "csv", scratch)


def load_awswrangler(
    warehouse: str, table: str, folder: str, scratch: str, size: int = LARGEST
) -> Work:
    """wr.postgresql.to_sql with the largest statements that the protocol has parameters for."""
    import awswrangler as wr
    import pandas as pd

    def work() -> int:
        rows = pd.read_parquet(folder, dtype_backend="pyarrow")
        _write_frame(wr, rows, _pg8000(warehouse), table, size)
        return len(rows)

    return work


def load_awswrangler_default(warehouse: str, table: str, folder: str, scratch: str) -> Work:
    """wr.postgresql.to_sql as it comes, with 200 rows in a statement."""
    return load_awswrangler(warehouse, table, folder, scratch, DEFAULT)


def copy_dlt_connectorx_csv(source: str, warehouse: str, table: str, scratch: str) -> Work:
    """Read by connectorx as a stream, loaded with COPY of CSV files through psycopg2.

    dlt reads 64-bit integers; from Parquet the table's 32-bit columns would refuse them.
    """
    return dlt_into(warehouse, table, _sql_table(source, table, **STREAM), "csv", scratch)


def copy_dlt_pyarrow_csv(source: str, warehouse: str, table: str, scratch: str) -> Work:
    """Read by dlt's pyarrow backend, loaded in the same way."""
    rows = _sql_table(source, table, backend="pyarrow", chunk_size=CHUNK)
    return dlt_into(warehouse, table, rows, "csv", scratch)


def copy_dlt_connectorx_parquet(source: str, warehouse: str, table: str, scratch: str) -> Work:
    """Read by connectorx, loaded as Parquet through ADBC into a table that dlt makes for itself.

    Without keys and without a prepared type in its way: dlt as fast as it can be.
    """
    rows = _sql_table(source, table, **STREAM)
    return dlt_into(warehouse, table, rows, "parquet", scratch, schema="dlt_own")


def copy_awswrangler(
    source: str, warehouse: str, table: str, scratch: str, size: int = LARGEST
) -> Work:
    """wr.postgresql.read_sql_query in chunks, each written with the largest statements."""
    import awswrangler as wr

    def work() -> int:
        moved = 0
        reader, writer = _pg8000(source), _pg8000(warehouse)
        query = f"SELECT * FROM {table}"
        for rows in wr.postgresql.read_sql_query(query, reader, chunksize=CHUNK):
            _write_frame(wr, rows, writer, table, size)
            moved += len(rows)
        return moved

    return work


def copy_awswrangler_default(source: str, warehouse: str, table: str, scratch: str) -> Work:
    """The same as it comes, with 200 rows in a statement."""
    return copy_awswrangler(source, warehouse, table, scratch, DEFAULT)


def dlt_into(
    to: Any, table: str, rows: Any, file_format: Any, scratch: str, *, schema: str = "public"
) -> Work:
    """Append Arrow tables, or a dlt resource, to a table that is there already, or is made.

    `to` is the URL of a PostgreSQL, or a destination of dlt's.
    """
    import dlt

    destination = dlt.destinations.postgres(to) if isinstance(to, str) else to
    options = {"table_name": table, "write_disposition": "append"}
    return _dlt(
        table, rows, file_format, scratch, destination=destination, dataset=schema, **options
    )


def arrow_tables(folder: str) -> Iterator[Any]:
    """Yield the rows of the Parquet files in a folder, some at a time."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    for batch in ds.dataset(folder, format="parquet").to_batches(batch_size=CHUNK):
        yield pa.Table.from_batches([batch])


def _dlt_out(url: str, table: str, scratch: str, **options: Any) -> Work:
    import dlt

    destination = dlt.destinations.filesystem(f"file://{scratch}/files")
    rows = _sql_table(url, table, **options)
    return _dlt(table, rows, "parquet", scratch, destination=destination, dataset="lake")


def _dlt(
    table: str,
    rows: Any,
    file_format: Any,
    scratch: str,
    *,
    destination: Any,
    dataset: str,
    **options: Any,
) -> Work:
    import dlt

    def work() -> int:
        pipeline = dlt.pipeline(
            "benchmark",
            pipelines_dir=str(Path(scratch) / "state"),
            destination=destination,
            dataset_name=dataset,
        )
        pipeline.run(rows, loader_file_format=file_format, **options).raise_on_failed_jobs()
        return int(pipeline.last_trace.last_normalize_info.row_counts.get(table, 0))

    return work


def _sql_table(url: str, table: str, **options: Any) -> Any:
    """Return a dlt resource that yields the rows of a table, with the types that it has."""
    from dlt.sources.sql_database import sql_table

    # The driver that comes with dlt; SQLAlchemy's default is another. With precision, numbers keep
    # their types instead of being inferred from the rows.
    address = url.replace("postgresql://", "postgresql+psycopg2://", 1)
    return sql_table(address, table=table, reflection_level="full_with_precision", **options)


def _pg8000(url: str) -> Any:
    """Open a DB-API connection of pg8000, of the kind that awswrangler insists on."""
    import pg8000

    parts = urlsplit(url)
    return pg8000.connect(
        unquote(parts.username or ""),
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 5432,
        password=unquote(parts.password or ""),
        database=unquote(parts.path.removeprefix("/")),
    )


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


def _write_frame(wr: Any, rows: Any, connection: Any, table: str, size: int) -> None:
    """Append a data frame to a table, with so many rows in a statement."""
    wr.postgresql.to_sql(
        rows, connection, table, "public", mode="append", use_column_names=True, chunksize=size
    )
