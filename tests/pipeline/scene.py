"""A pipeline at work whose ground is about to move, and how a disruption of it is written down.

A disruption is a generator: it takes a step, and yields the condition for the next one. It
ends all that it begins, so a pipeline that notices everything converges afterwards.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from pg8000.native import identifier

from local.connection import connect
from local.postgres import PostgresServer
from tests.pipeline.arena import Arena
from tests.pipeline.storm import Storm
from tests.pipeline.workload import Workload
from tests.postgres_fixtures import drop_database, end_sessions

Condition = Callable[[], bool]


@dataclass
class Scene:
    """A shop and the functions at work, and the random numbers of their disruptions.

    `refused` says that the warehouse has refused rows, which newer ones may have replaced since.
    """

    place: Arena
    shop: Workload
    storm: Storm
    random: Random
    refused: bool = False

    def after(self, **functions: int) -> Condition:
        """Return the condition that functions have reported so many more batches each."""
        goals = {name: self.storm.written[name] + more for name, more in functions.items()}
        return lambda: all(self.storm.written[name] >= goal for name, goal in goals.items())

    def failing(self, times: int) -> Condition:
        """Return the condition that functions have found a database gone so many more times."""
        goal = self._unavailable + times
        return lambda: self._unavailable >= goal

    @property
    def _unavailable(self) -> int:
        return self.storm.tally["ended with DatabaseUnavailableError"]

    @contextmanager
    def another_history(self) -> Iterator[None]:
        """Hold the shop still while its source goes back to an earlier state."""
        with self.shop.gate.closed():
            self.place.history.end()
            yield
            self.place.history.begin()
            self.shop.forget()


Disruption = Callable[[Scene], Iterator[Condition]]


@contextmanager
def closed_database(server: PostgresServer, database: str) -> Iterator[None]:
    """End all sessions in a database, and let no ordinary role open another one meanwhile."""
    with connect(server.superuser_url()) as connection:
        end_sessions(connection, database)
        yield
        if connection.run("SELECT FROM pg_database WHERE datname = :name", name=database):
            connection.run(f"ALTER DATABASE {identifier(database)} CONNECTION LIMIT -1")


def copy_database(server: PostgresServer, database: str, copy: str) -> None:
    """Make a copy of a database, as it is now, on the same server."""
    with closed_database(server, database), connect(server.superuser_url()) as connection:
        connection.run(f"CREATE DATABASE {identifier(copy)} TEMPLATE {identifier(database)}")


def replace_database(server: PostgresServer, database: str, copy: str) -> None:
    """Drop a database, and give its name to a copy of it."""
    with connect(server.superuser_url()) as connection:
        drop_database(connection, database)
        connection.run(f"ALTER DATABASE {identifier(copy)} RENAME TO {identifier(database)}")
