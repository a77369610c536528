"""Peers that load one CSV file into a table of PostgreSQL.

`pyarrow_adbc` reads it from the disk into the table that is there; dlt reads it from a bucket into
a table that it makes for itself. All of them have the types that the file is declared with; `drop`
is the environment in which boto3 reaches the bucket.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.peers.postgres import dlt_into

Work = Callable[[], int]

BLOCK_BYTES = 8 << 20


def pyarrow_adbc(
    warehouse: str, table: str, file: str, drop: Mapping[str, str], scratch: str
) -> Work:
    """pyarrow's streaming reader, and ADBC's bulk ingestion, which is binary COPY on the wire."""
    import pyarrow as pa
    from adbc_driver_postgresql import dbapi

    def work() -> int:
        rows = 0

        def counted() -> Iterator[Any]:
            nonlocal rows
            for batch in reader:
                rows += batch.num_rows
                yield batch

        with _reader(file) as reader, dbapi.connect(warehouse) as connection:
            batches = pa.RecordBatchReader.from_batches(reader.schema, counted())
            with connection.cursor() as cursor:
                cursor.adbc_ingest(table, batches, mode="append")
            connection.commit()
        return rows

    return work


def dlt_arrow_csv(
    warehouse: str, table: str, file: str, drop: Mapping[str, str], scratch: str
) -> Work:
    """dlt's filesystem source, read by pyarrow, loaded with COPY of CSV files through psycopg2."""
    return dlt_into(warehouse, table, _arrow(drop), "csv", scratch, schema="dlt_own")


def dlt_arrow_parquet(
    warehouse: str, table: str, file: str, drop: Mapping[str, str], scratch: str
) -> Work:
    """The same, loaded as Parquet through ADBC."""
    rows = _arrow(drop)
    return dlt_into(warehouse, table, rows, "parquet", scratch, schema="dlt_own")


def dlt_read_csv(
    warehouse: str, table: str, file: str, drop: Mapping[str, str], scratch: str
) -> Work:
    """dlt's filesystem source as its documentation shows it: read_csv, in pandas' chunks."""
    from dlt.sources.filesystem import read_csv

    rows = _files(drop) | read_csv()
    return dlt_into(warehouse, table, rows, "csv", scratch, schema="dlt_own")


def _files(drop: Mapping[str, str]) -> Any:
    """Return the files of the bucket."""
    from dlt.sources.credentials import AwsCredentials
    from dlt.sources.filesystem import filesystem

    os.environ.update(drop)
    credentials = AwsCredentials(
        aws_access_key_id=drop["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=drop["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=drop["AWS_ENDPOINT_URL"],
        region_name=drop["AWS_REGION"],
    )
    return filesystem(f"s3://{drop['BUCKET']}", credentials=credentials, file_glob="*.csv")


def _arrow(drop: Mapping[str, str]) -> Any:
    import dlt

    return _files(drop) | dlt.transformer(_tables)


def _tables(items: Any) -> Iterator[Any]:
    import pyarrow as pa

    for item in items:
        with item.open() as file, _reader(file) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])


def _reader(file: Any) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    types = {
        "order_id": pa.int64(),
        "customer_id": pa.int32(),
        "product_id": pa.int32(),
        "ordered_on": pa.date32(),
        "delivered_on": pa.date32(),
        "quantity": pa.int16(),
        "unit_price": pa.decimal128(10, 2),
        "total": pa.decimal128(12, 2),
        "status": pa.string(),
        "note": pa.string(),
    }
    return csv.open_csv(
        file,
        csv.ReadOptions(block_size=BLOCK_BYTES),
        convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=True),
    )
