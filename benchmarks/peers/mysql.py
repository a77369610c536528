"""Peers that load rows into an existing table of MySQL.

Each function takes the database's URL, a table, a CSV file or a folder of Parquet files, and a
folder for itself, imports what it needs, and returns the work that is measured; that returns the
rows. All of them append: none of them looks at what is there.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmarks.peers.postgres import arrow_tables, dlt_into

Work = Callable[[], int]


def load_data(warehouse: str, table: str, rows: str, scratch: str) -> Work:
    """LOAD DATA LOCAL INFILE, of a CSV file whose empty cells are NULL."""
    import pymysql

    parts = urlsplit(warehouse)
    with Path(rows).open() as file:
        columns = [name.strip('"') for name in file.readline().strip().split(",")]
    cells = ", ".join(f"@{name}" for name in columns)
    values = ", ".join(f"`{name}` = NULLIF(@{name}, '')" for name in columns)

    def work() -> int:
        with pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.removeprefix("/")),
            charset="utf8mb4",
            local_infile=True,
        ) as connection:
            found = connection.cursor().execute(
                f"LOAD DATA LOCAL INFILE '{rows}' INTO TABLE `{table}` CHARACTER SET utf8mb4"
                " FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY ''"
                f" IGNORE 1 LINES ({cells}) SET {values}"
            )
            connection.commit()
        return found

    return work


def dlt_parquet(warehouse: str, table: str, rows: str, scratch: str) -> Work:
    """dlt's destination sqlalchemy, with Parquet files between."""
    return _dlt(warehouse, table, rows, scratch, "parquet")


def dlt_default(warehouse: str, table: str, rows: str, scratch: str) -> Work:
    """The same with the files that it chooses."""
    return _dlt(warehouse, table, rows, scratch, None)


def _dlt(warehouse: str, table: str, rows: str, scratch: str, file_format: Any) -> Work:
    import dlt

    address = warehouse.partition("?")[0].replace("mysql://", "mysql+pymysql://", 1)
    destination = dlt.destinations.sqlalchemy(address)
    database = unquote(urlsplit(warehouse).path.removeprefix("/"))
    return dlt_into(destination, table, arrow_tables(rows), file_format, scratch, schema=database)
