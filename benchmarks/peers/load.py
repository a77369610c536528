"""Peers that load Parquet files into an existing table of PostgreSQL.

Each function takes the database's URL, a table, and the files' folder, imports what it needs, and
returns the work that is measured; that returns the rows. All of them append: none of them looks at
what is there.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CHUNK = 100_000
# pg8000 counts a statement's parameters in a signed 16-bit number, and a row has 14.
LARGEST = 32_767 // 14

Work = Callable[[], int]


def adbc(url: str, table: str, folder: str, scratch: str) -> Work:
    """ADBC's bulk ingestion, which is binary COPY on the wire."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    from adbc_driver_postgresql import dbapi

    def work() -> int:
        files = ds.dataset(folder, format="parquet")
        rows = pa.RecordBatchReader.from_batches(files.schema, files.to_batches(batch_size=CHUNK))
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append")
            connection.commit()
        return int(files.count_rows())

    return work


def dlt_parquet(url: str, table: str, folder: str, scratch: str) -> Work:
    """dlt's fast loading with Parquet, through ADBC: its documentation's advice for Arrow data."""
    return dlt_into(url, table, arrow_tables(folder), "parquet", Path(scratch))


def dlt_csv(url: str, table: str, folder: str, scratch: str) -> Work:
    """dlt's loading with COPY of CSV files, through psycopg2."""
    return dlt_into(url, table, arrow_tables(folder), "csv", Path(scratch))


def awswrangler(url: str, table: str, folder: str, scratch: str) -> Work:
    """wr.postgresql.to_sql with the largest statements that the protocol has parameters for."""
    return _awswrangler(url, table, folder, LARGEST)


def awswrangler_default(url: str, table: str, folder: str, scratch: str) -> Work:
    """wr.postgresql.to_sql as it comes, with 200 rows in a statement."""
    return _awswrangler(url, table, folder, 200)


def _awswrangler(url: str, table: str, folder: str, size: int) -> Work:
    import awswrangler as wr
    import pandas as pd

    from benchmarks.peers.connections import pg8000_connection

    def work() -> int:
        rows = pd.read_parquet(folder, dtype_backend="pyarrow")
        write_frame(wr, rows, pg8000_connection(url), table, size)
        return len(rows)

    return work


def write_frame(wr: Any, rows: Any, connection: Any, table: str, size: int = LARGEST) -> None:
    """Append a data frame to a table, with so many rows in a statement."""
    wr.postgresql.to_sql(
        rows, connection, table, "public", mode="append", use_column_names=True, chunksize=size
    )


def dlt_into(
    to: Any, table: str, rows: Any, file_format: Any, scratch: Path, *, schema: str = "public"
) -> Work:
    """Append Arrow tables, or a dlt resource, to a table that is there already, or is made.

    `to` is the URL of a PostgreSQL, or a destination of dlt's.
    """
    import dlt

    def work() -> int:
        pipeline = dlt.pipeline(
            "load",
            pipelines_dir=str(scratch / "state"),
            destination=dlt.destinations.postgres(to) if isinstance(to, str) else to,
            dataset_name=schema,
        )
        info = pipeline.run(
            rows, table_name=table, write_disposition="append", loader_file_format=file_format
        )
        info.raise_on_failed_jobs()
        return int(pipeline.last_trace.last_normalize_info.row_counts[table])

    return work


def arrow_tables(folder: str) -> Iterator[Any]:
    """Yield the rows of the Parquet files in a folder, some at a time."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    for batch in ds.dataset(folder, format="parquet").to_batches(batch_size=CHUNK):
        yield pa.Table.from_batches([batch])
