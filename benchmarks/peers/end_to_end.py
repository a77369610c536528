"""Peers that carry the rows of a view in one PostgreSQL into an existing table of another.

The view has the rows of the star table, so that none of them has anything to remodel.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers.load import CHUNK, LARGEST, dlt_into, write_frame

Work = Callable[[], int]


CONNECTORX = {
    "backend": "connectorx",
    "backend_kwargs": {"return_type": "arrow_stream", "batch_size": CHUNK},
}


def dlt_connectorx_csv(source: str, warehouse: str, table: str, folder: str) -> Work:
    """Read by connectorx as a stream, loaded with COPY of CSV files through psycopg2.

    dlt reads 64-bit integers; from Parquet the table's 32-bit columns would refuse them.
    """
    return dlt_into(warehouse, table, _view(source, table, **CONNECTORX), "csv", Path(folder))


def dlt_pyarrow_csv(source: str, warehouse: str, table: str, folder: str) -> Work:
    """Read by dlt's pyarrow backend, loaded in the same way."""
    rows = _view(source, table, backend="pyarrow", chunk_size=CHUNK)
    return dlt_into(warehouse, table, rows, "csv", Path(folder))


def dlt_connectorx_parquet(source: str, warehouse: str, table: str, folder: str) -> Work:
    """Read by connectorx, loaded as Parquet through ADBC into a table that dlt makes for itself.

    Without keys and without a prepared type in its way: dlt as fast as it can be.
    """
    rows = _view(source, table, **CONNECTORX)
    return dlt_into(warehouse, table, rows, "parquet", Path(folder), schema="dlt_own")


def awswrangler(source: str, warehouse: str, table: str, folder: str) -> Work:
    """wr.postgresql.read_sql_query in chunks, each written with the largest statements."""
    return _awswrangler(source, warehouse, table, LARGEST)


def awswrangler_default(source: str, warehouse: str, table: str, folder: str) -> Work:
    """The same as it comes, with 200 rows in a statement."""
    return _awswrangler(source, warehouse, table, 200)


def _awswrangler(source: str, warehouse: str, table: str, size: int) -> Work:
    import awswrangler as wr

    from benchmarks.peers.connections import pg8000_connection

    def work() -> int:
        moved = 0
        reader, writer = pg8000_connection(source), pg8000_connection(warehouse)
        query = f"SELECT * FROM {table}"
        for rows in wr.postgresql.read_sql_query(query, reader, chunksize=CHUNK):
            write_frame(wr, rows, writer, table, size)
            moved += len(rows)
        return moved

    return work


def _view(url: str, table: str, **options: Any) -> Any:
    """Return a dlt resource that yields the rows of a view, with the types that it has."""
    from dlt.sources.sql_database import sql_table

    from benchmarks.peers.connections import sqlalchemy_url

    return sql_table(
        sqlalchemy_url(url), table=table, reflection_level="full_with_precision", **options
    )
