"""The databases of a benchmark: sources by size, warehouses that are copied anew for each run."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pg8000.native import identifier

from benchmarks import sample
from benchmarks.measuring import BenchmarkError
from local.connection import connect
from local.databases import LOADER
from local.postgres import SUPERUSER, PostgresServer

CONSTRAINED, UNCONSTRAINED = "constrained", "unconstrained"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 3.0


@dataclass(frozen=True)
class Database:
    """A database, and the URLs under which the pipeline and everybody else use it.

    `url` is that of the pipeline's role; `superuser_url` is given to the peers, which make tables
    of their own beside the data.
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
            # It would come in the middle of somebody's run. What it does for a live database, a
            # vacuum after the filling has done.
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
        names = ("shared_buffers", "work_mem", "max_wal_size", "fsync", "full_page_writes", "jit")
        names += ("autovacuum", "max_parallel_workers_per_gather")
        with connect(self.server.superuser_url()) as connection:
            [[version]] = connection.run("SHOW server_version")
            shown = {name: str(connection.run(f"SHOW {name}")[0][0]) for name in names}
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
        """Return the psql of the server; raises BenchmarkError where the package brings none."""
        if self.server.psql is None:
            raise BenchmarkError("the PostgreSQL package of this machine brings no psql")
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

    def cpu_seconds(self) -> float | None:
        """Return the CPU seconds of all sessions that have ended; None where /proc is not there."""
        stat = Path(f"/proc/{self._postmaster()}/stat")
        if not stat.exists():
            return None
        self.settle()
        # After the name, which may hold anything: cutime and cstime are fields 16 and 17.
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND

    def settle(self) -> None:
        """Wait until the sessions of a contender are over: their numbers come in at their end."""
        deadline = time.monotonic() + SETTLE_SECONDS
        with connect(self.server.superuser_url()) as connection:
            while time.monotonic() < deadline:
                [[others]] = connection.run(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
                if others == 0:
                    return
                time.sleep(0.02)

    def _postmaster(self) -> str:
        return (self.server.home / "data" / "postmaster.pid").read_text().split()[0]
