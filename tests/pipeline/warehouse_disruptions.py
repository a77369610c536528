"""Disruptions of a warehouse and of the buckets before it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pg8000.native
from pg8000.native import identifier

from local.connection import connect
from local.databases import LOADER
from local.postgres import SUPERUSER, installed_postgres
from tests.pipeline import ground
from tests.pipeline.scene import (
    Condition,
    Disruption,
    Scene,
    closed_database,
    copy_database,
    replace_database,
)
from tests.postgres_fixtures import Warehouse

REFUSALS = [
    (
        "ALTER TABLE dim_design ALTER design_name TYPE varchar(40)",
        "ALTER TABLE dim_design ALTER design_name TYPE varchar",
    ),
    *(
        (
            f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK ({condition}) NOT VALID",
            f"ALTER TABLE {table} DROP CONSTRAINT refused",
        )
        for table, condition in (
            ("dim_staff", "first_name <> ''"),
            ("dim_location", "district IS NOT NULL"),
            ("fact_sales_order", "units_sold % 3 <> 0"),
            ("fact_purchase_order", "char_length(item_code) < 10"),
            ("fact_payment", "NOT paid"),
        )
    ),
]
"""How a warehouse comes to refuse rows that transform lets through, and how it takes them again."""


def restore_warehouse(scene: Scene) -> Iterator[Condition]:
    """Go back to an earlier copy of the data folder: the same identity, an earlier state."""
    server = scene.place.servers.postgres
    with ground.volume_snapshot(server) as snapshot:
        yield scene.after(load=2)
        ground.restore(server, snapshot)


def copy_warehouse_back(scene: Scene) -> Iterator[Condition]:
    """Drop the database, and give its name to an earlier copy of it."""
    server, database = scene.place.servers.postgres, scene.place.warehouse.database
    copy = f"{database} copy"
    copy_database(server, database, copy)
    yield scene.after(load=2)
    replace_database(server, database, copy)


def crash_warehouse(scene: Scene) -> Iterator[Condition]:
    """Lose what the server's default lets a commit leave in memory."""
    server = scene.place.servers.postgres
    ground.run_sql(server.superuser_url(), "ALTER SYSTEM SET synchronous_commit = off")
    ground.let_commits_be_lost(server)
    yield scene.after(load=1)
    ground.crash(server)


def rename_warehouse(scene: Scene) -> Iterator[Condition]:
    """Give the database or the schema another name, and the functions the new address."""
    before = scene.place.warehouse
    after = _other_name(scene, of_schema=scene.random.random() < 0.5)
    with scene.storm.gate.closed():
        if after.schema != before.schema:
            sql = f"ALTER SCHEMA {identifier(before.schema)} RENAME TO {identifier(after.schema)}"
            ground.run_sql(before.superuser_url, sql)
        else:
            _rename_database(scene, before.database, after.database)
        scene.place.move_warehouse(after)
    yield scene.after(load=1)


def _rename_database(scene: Scene, before: str, after: str) -> None:
    server = scene.place.servers.postgres
    with closed_database(server, before):
        sql = f"ALTER DATABASE {identifier(before)} RENAME TO {identifier(after)}"
        ground.run_sql(server.superuser_url(), sql)
    limit = f"ALTER DATABASE {identifier(after)} CONNECTION LIMIT -1"
    ground.run_sql(server.superuser_url(), limit)


def dump_warehouse(scene: Scene) -> Iterator[Condition]:
    """Dump the database, load on, and move to where the dump was restored."""
    place, server = scene.place, scene.place.servers.postgres
    after = _other_name(scene, of_schema=False)
    ground.run_sql(server.superuser_url(), f"CREATE DATABASE {identifier(after.database)}")
    _pipe(scene, place.warehouse.database, after.database)
    yield scene.after(load=1)
    with scene.storm.gate.closed():
        place.move_warehouse(after)
    yield scene.after(load=1)


def _pipe(scene: Scene, before: str, after: str) -> None:
    server = scene.place.servers.postgres
    programs = installed_postgres() / "bin"
    environment = os.environ | {
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": SUPERUSER,
        "PGPASSWORD": server.password(SUPERUSER),
    }
    dump = subprocess.run(
        [programs / "pg_dump", before], env=environment, check=True, capture_output=True
    )
    subprocess.run(
        [programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", after],
        env=environment,
        input=dump.stdout,
        check=True,
        capture_output=True,
    )


def _other_name(scene: Scene, *, of_schema: bool) -> Warehouse:
    """Return the warehouse with a new name of its schema, or of its database and so its URLs."""
    place, server = scene.place, scene.place.servers.postgres
    number = scene.random.randrange(10**9)
    if of_schema:
        return replace(place.warehouse, schema=f"stars {number}")
    database = f"{place.name} warehouse {number}"
    return replace(
        place.warehouse,
        database=database,
        loader_url=server.url(LOADER, server.password(LOADER), database),
        superuser_url=server.superuser_url(database),
    )


def refuse_rows(scene: Scene) -> Iterator[Condition]:
    """Let the warehouse refuse rows that were fit before, and then take them again."""
    scene.refused = True
    with ExitStack() as undo:
        for refusal, correction in scene.random.sample(REFUSALS, 3):
            if _alter(scene, refusal):
                undo.callback(_alter, scene, correction)
        yield scene.after(load=3)


def _alter(scene: Scene, statement: str) -> bool:
    """Change a table between two batches; return False if its rows do not allow it."""
    with connect(scene.place.warehouse.superuser_url) as connection:
        connection.run(f"SET search_path = {identifier(scene.place.warehouse.schema)}")
        try:
            connection.run(statement)
        except pg8000.native.DatabaseError as error:
            if error.args[0]["C"] != "22001":  # longer than the new type
                raise
            return False
    return True


def empty_buckets(scene: Scene) -> Iterator[Condition]:
    """Take both logs away, and all that they name."""
    with scene.storm.gate.closed():
        scene.place.remember_rows()
        scene.place.lake.start_over(scene.place.warehouse)
        scene.place.drop_lake()
        scene.storm.start_over()
    yield scene.after(load=1)


WAREHOUSE_DISRUPTIONS: dict[str, Disruption] = {
    "warehouse restored": restore_warehouse,
    "warehouse copied back": copy_warehouse_back,
    "warehouse crashed": crash_warehouse,
    "warehouse renamed": rename_warehouse,
    "warehouse dumped": dump_warehouse,
    "rows refused": refuse_rows,
    "buckets emptied": empty_buckets,
}
