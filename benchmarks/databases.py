"""The PostgreSQL databases of a benchmark: sources by size, and warehouses copied for each run.

Every source is a shop with as many sales orders as wanted and little else.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from pg8000.native import identifier

from benchmarks.measuring import (
    LINUX,
    BenchmarkError,
    Measurement,
    charged,
    cpu_of_process,
    run_pipeline,
)
from local.connection import connect, transaction
from local.databases import LOADER, create_source, create_warehouse
from local.postgres import SUPERUSER, PostgresServer

CONSTRAINED, UNCONSTRAINED = "constrained", "unconstrained"
NOW = datetime(2024, 11, 16, 12)
SMALL = 0.02  # the other tables: 12 designs, 312 trades
SETTLE_SECONDS = 3.0
SETTINGS = (
    *("shared_buffers", "work_mem", "max_wal_size", "fsync", "full_page_writes", "jit"),
    *("autovacuum", "max_parallel_workers_per_gather"),
)
# The titles of the server's own processes; those of sessions have the address of a client.
LASTING = (b"checkpointer", b"background writer", b"walwriter", b"launcher", b"io worker")

# Two years of orders, in the order of their ids; every value depends on the id alone.
_ORDERS = """
INSERT INTO sales_order
SELECT n, at, at, 1 + n * 7 % designs.count, 1 + n * 11 % 20, 1 + n * 13 % 20,
    1000 + n * 7919 % 99000, (200 + n * 31 % 201) / 100.0, 1 + n % 3,
    (at + interval '1 day' * (n % 8))::date::text, (at + interval '1 day' * (n % 7))::date::text,
    1 + n * 17 % 30
FROM (SELECT count(*) FROM design) AS designs,
    generate_series((SELECT count(*) + 1 FROM sales_order), {rows}) AS n,
    LATERAL (SELECT timestamp(3) '2022-11-21 08:00' + interval '2 years' * (n / {rows}::float8))
        AS t (at)
"""

_CALENDAR = """
INSERT INTO dim_date
SELECT day::date, extract(year FROM day), extract(month FROM day), extract(day FROM day),
    extract(isodow FROM day), to_char(day, 'FMDay'), to_char(day, 'FMMonth'),
    extract(quarter FROM day)
FROM generate_series(timestamp '2021-01-01', timestamp '2026-12-31', interval '1 day') AS day
"""

FACT = "fact_sales_order"
FACT_COLUMNS = (
    "sales_order_id, created_date, created_time, last_updated_date, last_updated_time,"
    " sales_staff_id, counterparty_id, units_sold, unit_price, currency_id, design_id,"
    " agreed_payment_date, agreed_delivery_date, agreed_delivery_location_id"
)
# What raw COPY and the other tools copy from end to end: they transform nothing.
_FACT_VIEW = """
CREATE VIEW fact_sales_order AS
SELECT sales_order_id, created_at::date AS created_date, created_at::time AS created_time,
    last_updated::date AS last_updated_date, last_updated::time AS last_updated_time,
    staff_id AS sales_staff_id, counterparty_id, units_sold, unit_price, currency_id, design_id,
    agreed_payment_date::date AS agreed_payment_date,
    agreed_delivery_date::date AS agreed_delivery_date, agreed_delivery_location_id
FROM sales_order
"""

# The dimensions that fact_sales_order refers to, by table, for a warehouse that is not empty.
_DIMENSIONS = {
    "dim_location": "SELECT address_id, address_line_1, address_line_2, district, city,"
    " postal_code, country, phone FROM address",
    "dim_staff": "SELECT staff_id, first_name, last_name, department_name, location, email_address"
    " FROM staff JOIN department USING (department_id)",
    "dim_counterparty": "SELECT counterparty_id, counterparty_legal_name, address_line_1,"
    " address_line_2, district, city, postal_code, country, phone"
    " FROM counterparty JOIN address ON address_id = legal_address_id",
    "dim_currency": "SELECT currency_id, currency_code, CASE currency_code WHEN 'GBP' THEN"
    " 'Pound Sterling' WHEN 'USD' THEN 'US Dollar' ELSE 'Euro' END FROM currency",
    "dim_design": "SELECT design_id, design_name, file_location, file_name FROM design",
}


@dataclass(frozen=True)
class Database:
    """A database, and the URLs under which the pipeline and everybody else use it.

    `url` is that of the pipeline's role; `superuser_url` is given to the peers, which make
    their own tables beside the data.
    """

    name: str
    url: str
    superuser_url: str


class Databases:
    """The databases on one server; what was made once is used again."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._sources: dict[int, Database] = {}
        self._templates: set[str] = set()
        self._numbers = count(1)
        # It would run during a measurement. The vacuum after the filling has done what it does for
        # a live database.
        self.run("postgres", "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")

    def named(self, name: str, url: str) -> Database:
        """Return a database under both of its URLs."""
        return Database(name, url, self.server.superuser_url(name))

    def run(self, database: str, *statements: str) -> None:
        """Run statements in a database, as the superuser."""
        with connect(self.server.superuser_url(database)) as connection:
            for statement in statements:
                connection.run(statement)

    def source(self, rows: int) -> Database:
        """Return the shop with exactly so many sales orders."""
        if rows not in self._sources:
            name = f"totesys_{rows}"
            url = create_source(self.server, "totesys", now=NOW, scale=SMALL, database=name)
            with connect(self.server.superuser_url(name)) as connection:
                with transaction(connection):
                    # The parents are there; checking each would take most of the time.
                    connection.run("SET LOCAL session_replication_role = replica")
                    connection.run(_ORDERS.format(rows=rows))
                    connection.run(f"SELECT setval('sales_order_sales_order_id_seq', {rows})")
                    connection.run(_FACT_VIEW)
                connection.run("VACUUM (ANALYZE) sales_order")
                connection.run("CHECKPOINT")
            self._sources[rows] = self.named(name, url)
        return self._sources[rows]

    def template(self, case: str) -> str:
        """Return a warehouse with dimensions and no facts, to be copied: its database's name."""
        name = f"warehouse_{case}"
        if name not in self._templates:
            create_warehouse(self.server, "totesys", database=name)
            self._fill_dimensions(self._sources[min(self._sources)].name, name)
            if case == UNCONSTRAINED:
                self._drop_foreign_keys(name)
            self._templates.add(name)
        return name

    def _fill_dimensions(self, source: str, warehouse: str) -> None:
        with (
            connect(self.server.superuser_url(source)) as there,
            connect(self.server.superuser_url(warehouse)) as here,
        ):
            for table, query in _DIMENSIONS.items():
                for row in there.run(query):
                    values = {f"v{i}": value for i, value in enumerate(row)}
                    places = ", ".join(f":{name}" for name in values)
                    here.run(f"INSERT INTO {table} VALUES ({places})", **values)  # nosec B608
            here.run(_CALENDAR)

    def _drop_foreign_keys(self, database: str) -> None:
        with connect(self.server.superuser_url(database)) as connection:
            for table, name in connection.run(
                "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'"
            ):
                connection.run(f"ALTER TABLE {table} DROP CONSTRAINT {identifier(name)}")

    @contextmanager
    def warehouse(self, template: str) -> Iterator[Database]:
        """Yield a copy of a warehouse; `template` is the name of a database nobody is in."""
        made = self.copy(template)
        try:
            yield made
        finally:
            self.drop(made.name)

    def into(
        self, template: str, rows: int, run: Callable[[Database], Measurement], table: str = FACT
    ) -> Measurement:
        """Run a contender on a copy of a warehouse, and check that the table has so many rows then.

        Raises BenchmarkError when it has not: what does less is faster.
        """
        with self.warehouse(template) as warehouse:
            measurement = run(warehouse)
            with connect(warehouse.superuser_url) as connection:
                schemas = "SELECT table_schema FROM information_schema.tables WHERE table_name = :t"
                counts = [
                    connection.run(
                        f"SELECT count(*) FROM {identifier(schema)}.{identifier(table)}"  # nosec B608
                    )[0][0]
                    for [schema] in connection.run(schemas, t=table)
                ]
        if sum(counts) != rows:
            raise BenchmarkError(f"{table} should have {rows} rows and has {counts}")
        return measurement

    def copy(self, template: str) -> Database:
        """Return a copy of a warehouse, with the rights on a database that are not copied."""
        name = f"warehouse_{next(self._numbers)}"
        new, loader = identifier(name), identifier(LOADER)
        self.run(
            "postgres",
            f"CREATE DATABASE {new} TEMPLATE {identifier(template)}",
            f"GRANT CONNECT, TEMPORARY ON DATABASE {new} TO {loader}",
            "CHECKPOINT",
        )
        return self.named(name, self.server.url(LOADER, self.server.password(LOADER), name))

    def drop(self, name: str) -> None:
        """Remove a database."""
        self.run("postgres", f"DROP DATABASE {identifier(name)} WITH (FORCE)")

    def settings(self) -> dict[str, str]:
        """Return the server's version and what decides about its speed."""
        with connect(self.server.superuser_url()) as connection:
            [[version]] = connection.run("SHOW server_version")
            shown = {name: str(connection.run(f"SHOW {name}")[0][0]) for name in SETTINGS}
        return {"version": str(version), **shown}

    def reading(self, database: str) -> tuple[int, int]:
        """Return how many rows and bytes of blocks were read in a database so far."""
        self._settle()
        with connect(self.server.superuser_url()) as connection:
            [[rows, blocks]] = connection.run(
                "SELECT tup_returned, (blks_hit + blks_read) * 8192 FROM pg_stat_database"
                " WHERE datname = :name",
                name=database,
            )
        return int(rows), int(blocks)

    def psql(
        self, database: Database, statement: str, **settings: str
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command and the environment of psql, with no setting of the user's own.

        Raises BenchmarkError where the PostgreSQL package has no psql.
        """
        if self.server.psql is None:
            raise BenchmarkError("the PostgreSQL package of this machine has no psql")
        command = [str(self.server.psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement]
        return command, {
            "PGHOST": self.server.host,
            "PGPORT": str(self.server.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self.server.password(SUPERUSER),
            "PGDATABASE": database.name,
            "PGCLIENTENCODING": "UTF8",
            **settings,
        }

    def write_rows(self, source: Database, path: Path) -> None:
        """Write the rows of the fact as COPY's own text."""
        with path.open("wb") as file:
            statement = f"COPY (SELECT * FROM {FACT}) TO STDOUT"
            run_pipeline(self.psql(source, statement), stdout=file)

    def fill(self, warehouse: Database, path: Path) -> None:
        """Copy rows in without checking foreign keys, which hold: it takes a tenth of the time."""
        unchecked = {"PGOPTIONS": "-c session_replication_role=replica"}
        statement = f"COPY {FACT} ({FACT_COLUMNS}) FROM STDIN"
        with path.open("rb") as file:
            run_pipeline(self.psql(warehouse, statement, **unchecked), stdin=file)

    def charged(self, run: Callable[[], Measurement]) -> Measurement:
        """Run a contender and add the CPU seconds of the sessions it had."""
        return charged(run, self._cpu_seconds)

    def _cpu_seconds(self) -> float | None:
        """Return the CPU seconds of all sessions that have ended; None where /proc is not there."""
        self._settle()
        return cpu_of_process(self._postmaster(), children=True)

    def _settle(self) -> None:
        """Wait until the sessions of a contender are over: what they used is known at their end.

        Found from the server's processes, because asking the server would open another session.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        while LINUX and self._has_sessions() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _has_sessions(self) -> bool:
        postmaster = self._postmaster()
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children")
        if not children.exists():
            return False
        for child in children.read_text().split():
            # It may end at any moment. One that has ended and is not counted yet has no title.
            with suppress(OSError):
                title = Path(f"/proc/{child}/cmdline").read_bytes()
                if not any(lasting in title for lasting in LASTING):
                    return True
        return False

    def _postmaster(self) -> str:
        return (self.server.home / "data" / "postmaster.pid").read_text().split()[0]
