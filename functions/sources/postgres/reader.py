"""PostgreSQL as a kind of source, for extract."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import boto3

from etl import Pipeline, Postgres
from functions.common.batchlog import BatchLog
from functions.common.database import stored_database
from functions.common.errors import DatabaseAccessError
from functions.common.manifests import IngestionManifest
from functions.common.pgconnection import PostgresConnection
from functions.common.postgres import connection
from functions.common.selfcheck import SECONDS
from functions.common.storage import CLIENT_CONFIG
from functions.sources import Captured, Read, Repair
from functions.sources.postgres.activity import Memory
from functions.sources.postgres.capture import capture
from functions.sources.postgres.columns import read_columns, unreadable
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.snapshot import SESSION_PARAMETERS

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@cache
def _secrets() -> "SecretsManagerClient":
    return boto3.client("secretsmanager", config=CLIENT_CONFIG)


@cache
def _memory(bucket: str, prefix: str) -> Memory:
    """Return what a warm function remembers of the source of a log."""
    return Memory()


def is_configured(source: Postgres) -> bool:
    """Return whether the environment names the secret of a source."""
    return bool(os.environ.get(source.secret_setting))


def look(source: Postgres) -> str:
    """Return what can be read; raise DatabaseAccessError for tables that cannot."""
    with connected(source, SECONDS) as session:
        if problems := unreadable(read_columns(session, source.tables)):
            raise DatabaseAccessError("; ".join(problems))
        return f"{session.where}, {session.encryption}: {len(source.tables)} tables can be read"


@contextmanager
def connected(source: Postgres, seconds: float) -> Iterator[PostgresConnection]:
    """Open a session in a source, for no longer than some seconds."""
    database = stored_database(_secrets(), os.environ, source)
    with connection(database, seconds, **SESSION_PARAMETERS) as session:
        yield session


@contextmanager
def opened(
    source: Postgres,
    pipeline: Pipeline,
    log: BatchLog[IngestionManifest],
    seconds: float,
    *,
    now: bool = False,
    scheduled: bool = False,
) -> Iterator[Read]:
    """Connect to a source; yield the function that captures a batch. One is always due.

    A `scheduled` run leaves tables that show no activity.
    """
    declared = Declared(source, pipeline)
    goes_on = False
    with connected(source, seconds) as session:

        def read(run: str, repair: Repair) -> Captured:
            nonlocal goes_on
            captured = capture(
                session,
                log,
                declared,
                run,
                lambda: datetime.now(UTC),
                repair=repair,
                memory=_memory(log.bucket.name, log.prefix),
                # A batch after the first one is for what was too much for that.
                sparing=scheduled or goes_on,
            )
            goes_on = captured.more
            return captured

        yield read
