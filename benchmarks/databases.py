"""The databases of a benchmark: sources by size, and warehouses that are copied for each run."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from pg8000.native import identifier

from benchmarks import sample
from benchmarks.measuring import BenchmarkError, Measurement
from local.connection import connect
from local.databases import LOADER
from local.postgres import SUPERUSER, PostgresServer

CONSTRAINED, UNCONSTRAINED = "constrained", "unconstrained"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 3.0
SETTINGS = (
    *("shared_buffers", "work_mem", "max_wal_size", "fsync", "full_page_writes", "jit"),
    *("autovacuum", "max_parallel_workers_per_gather"),
)
# The titles of the server's own processes; those of sessions have the address of a client.
LASTING = (b"checkpointer", b"background writer", b"walwriter", b"launcher", b"io worker")
LINUX = sys.platform == "linux"
_PROC = Path("/proc")


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
        self._templates: dict[str, str] = {}
        self._numbers = count(1)
        with connect(server.superuser_url()) as connection:
            # It would run during a measurement. The vacuum after the filling has done what it does
            # for a live database.
            connection.run("ALTER SYSTEM SET autovacuum = off")
            connection.run("SELECT pg_reload_conf()")

    def source(self, rows: int) -> Database:
        """Return the shop with so many sales orders."""
        if rows not in self._sources:
            name = f"totesys_{rows}"
            url = sample.make_source(self.server, rows, name)
            self._sources[rows] = Database(name, url, self.server.superuser_url(name))
        return self._sources[rows]

    def drop_source(self, rows: int) -> None:
        """Make room: remove the shop with so many sales orders."""
        self.drop(self._sources.pop(rows).name)

    def template(self, kind: str) -> str:
        """Return the name of a warehouse with dimensions and no facts, to be copied."""
        if kind not in self._templates:
            name = f"warehouse_{kind}"
            any_source = min(self._sources)
            sample.make_warehouse(self.server, self._sources[any_source].name, name)
            if kind == UNCONSTRAINED:
                sample.drop_foreign_keys(self.server, name)
            self._templates[kind] = name
        return self._templates[kind]

    @contextmanager
    def warehouse(self, template: str) -> Iterator[Database]:
        """Lend a copy of a warehouse; `template` is the name of a database nobody is in."""
        made = self.copy(template)
        try:
            yield made
        finally:
            self.drop(made.name)

    def into(self, template: str, rows: int, run: Callable[[Database], Measurement]) -> Measurement:
        """Run a contender on a copy of a warehouse, and see that the fact has so many rows then.

        Raises BenchmarkError when it has not: what does less is faster.
        """
        with self.warehouse(template) as warehouse:
            measurement = run(warehouse)
            with connect(warehouse.superuser_url) as connection:
                schemas = "SELECT table_schema FROM information_schema.tables WHERE table_name = :t"
                counts = [
                    connection.run(f"SELECT count(*) FROM {schema}.{sample.FACT}")[0][0]
                    for [schema] in connection.run(schemas, t=sample.FACT)
                ]
        if sum(counts) != rows:
            raise BenchmarkError(f"{sample.FACT} was to have {rows} rows and has {counts}")
        return measurement

    def copy(self, template: str) -> Database:
        """Return a copy of a warehouse, with the rights that do not come along."""
        name = f"warehouse_{next(self._numbers)}"
        new, loader = identifier(name), identifier(LOADER)
        with connect(self.server.superuser_url()) as connection:
            connection.run(f"CREATE DATABASE {new} TEMPLATE {identifier(template)}")
            connection.run(f"GRANT CONNECT, TEMPORARY ON DATABASE {new} TO {loader}")
            connection.run("CHECKPOINT")
        url = self.server.url(LOADER, self.server.password(LOADER), name)
        return Database(name, url, self.server.superuser_url(name))

    def drop(self, name: str) -> None:
        """Remove a database."""
        with connect(self.server.superuser_url()) as connection:
            connection.run(f"DROP DATABASE {identifier(name)} WITH (FORCE)")

    def settings(self) -> dict[str, str]:
        """Return the server's version and what decides about its speed."""
        with connect(self.server.superuser_url()) as connection:
            [[version]] = connection.run("SHOW server_version")
            shown = {name: str(connection.run(f"SHOW {name}")[0][0]) for name in SETTINGS}
        return {"version": str(version), **shown}

    def reading(self, database: str) -> tuple[int, int]:
        """Return how many rows and bytes of blocks were read in a database so far."""
        self.settle()
        with connect(self.server.superuser_url()) as connection:
            [[rows, blocks]] = connection.run(
                "SELECT tup_returned, (blks_hit + blks_read) * 8192 FROM pg_stat_database"
                " WHERE datname = :name",
                name=database,
            )
        return int(rows), int(blocks)

    def psql(self) -> str:
        """Return the psql of the server; raises BenchmarkError where the package has none."""
        if self.server.psql is None:
            raise BenchmarkError("the PostgreSQL package of this machine has no psql")
        return str(self.server.psql)

    def psql_environment(self, database: str) -> dict[str, str]:
        """Return the environment in which psql is connected, with no setting of the user's own."""
        return {
            "PGHOST": self.server.host,
            "PGPORT": str(self.server.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self.server.password(SUPERUSER),
            "PGDATABASE": database,
            "PGCLIENTENCODING": "UTF8",
        }

    def charged(self, run: Callable[[], Measurement]) -> Measurement:
        """Run a contender and add what the server's sessions used meanwhile."""
        before = self.cpu_seconds()
        measurement = run()
        after = self.cpu_seconds()
        if before is None or after is None:
            return measurement
        return replace(measurement, database_cpu=round(after - before, 2))

    def cpu_seconds(self) -> float | None:
        """Return the CPU seconds of all sessions that have ended; None where /proc is not there."""
        if not LINUX:
            return None
        self.settle()
        # After the name, which may hold anything: cutime and cstime are fields 16 and 17.
        fields = (_PROC / self._postmaster() / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND

    def settle(self) -> None:
        """Wait until the sessions of a contender are over: what they used is known at their end.

        Found from the server's processes, because asking the server would open another session.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        while self._sessions() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _sessions(self) -> bool:
        postmaster = self._postmaster()
        children = _PROC / postmaster / "task" / postmaster / "children"
        if not children.exists():
            return False
        for child in children.read_text().split():
            # It may end at any moment. One that has ended and is not counted yet has no title.
            with suppress(OSError):
                title = (_PROC / child / "cmdline").read_bytes()
                if not any(lasting in title for lasting in LASTING):
                    return True
        return False

    def _postmaster(self) -> str:
        return (self.server.home / "data" / "postmaster.pid").read_text().split()[0]
