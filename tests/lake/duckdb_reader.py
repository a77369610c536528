"""Read Iceberg tables with DuckDB: a program to itself, since queries use another version of it.

It is called with a folder that has the objects of a bucket. It reads from standard input where the
metadata of each table is, as JSON, and writes the rows of each into `<table>.arrow` there.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
from fsspec.implementations.memory import MemoryFileSystem

from tests.lake import installed

sys.path.insert(0, str(installed("lake-readers.txt")))

import duckdb  # of that folder


class Bucket(MemoryFileSystem):  # type: ignore[misc]
    """Objects by their locations in S3."""

    protocol = "s3"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("s3://").strip("/")


def main(folder: Path) -> None:
    """Read all tables."""
    bucket = Bucket()
    for path in (each for each in folder.rglob("*") if each.is_file()):
        bucket.pipe_file(f"s3://{path.relative_to(folder)}", path.read_bytes())
    connection: Any = duckdb.connect()
    connection.register_filesystem(bucket)
    for name in ("avro", "iceberg"):
        [extension] = installed("lake-readers.txt").rglob(f"{name}.duckdb_extension")
        connection.execute(f"LOAD '{extension}'")
    for table, location in json.load(sys.stdin).items():
        rows = connection.execute(f"SELECT * FROM iceberg_scan('{location}')").to_arrow_table()
        with pa.ipc.new_file(str(folder / f"{table}.arrow"), rows.schema) as writer:
            writer.write_table(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
