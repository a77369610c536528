"""Warehouses that hold the rows already, in each of the states that statistics can be in.

Nobody but the owner of a table can ANALYZE it, so a loader meets whatever is there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.databases import CONSTRAINED, Database, Databases
from benchmarks.lake import Lake
from benchmarks.measuring import run_program
from benchmarks.sample import FACT, FACT_COLUMNS
from local.connection import connect

NEVER = "ours, none new, table never analysed"
WHEN_EMPTY = "ours, none new, table analysed when empty"
NOW = "ours, none new"
CHANGED = "ours, 1 % changed"
NAMES = (NEVER, WHEN_EMPTY, NOW, CHANGED)


def write_text(databases: Databases, source: Database, path: Path) -> None:
    """Write the fact's rows as COPY's own text."""
    command = [databases.psql(), "-X", "-q", "-c", f"COPY (SELECT * FROM {FACT}) TO STDOUT"]
    with path.open("wb") as file:
        run_program(command, databases.psql_environment(source.name), stdout=file)


@contextmanager
def full(databases: Databases, lake: Lake, text: Path) -> Iterator[dict[str, str]]:
    """Lend databases to be copied: their names, by what a load of the same rows into them shows."""
    made = {name: databases.copy(databases.template(CONSTRAINED)) for name in NAMES}
    _run(databases, made[WHEN_EMPTY], f"ANALYZE {FACT}")
    for database in made.values():
        fill(databases, database, text)
        # The few rows of the other tables come in with a load of our own.
        with lake.function("load", database) as load:
            load.call()
    _run(databases, made[NOW], "VACUUM ANALYZE")
    changed = f"UPDATE {FACT} SET units_sold = units_sold + 1 WHERE sales_order_id % 100 = 0"
    _run(databases, made[CHANGED], changed)
    _run(databases, made[CHANGED], "VACUUM ANALYZE")
    yield {name: database.name for name, database in made.items()}
    for database in made.values():
        databases.drop(database.name)


def fill(databases: Databases, database: Database, text: Path) -> None:
    """Copy the rows in without checking foreign keys, which hold: it takes a tenth of the time."""
    query = f"COPY {FACT} ({FACT_COLUMNS}) FROM STDIN"
    command = [databases.psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", query]
    unchecked = {"PGOPTIONS": "-c session_replication_role=replica"}
    with text.open("rb") as file:
        environment = databases.psql_environment(database.name)
        run_program(command, environment | unchecked, stdin=file)


def _run(databases: Databases, database: Database, statement: str) -> None:
    with connect(database.superuser_url) as connection:
        connection.run(statement)
