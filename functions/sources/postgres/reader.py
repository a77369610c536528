"""PostgreSQL as a kind of source, for extract."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import boto3

from etl import Pipeline, Postgres
from etl.sources import WAL
from functions.common.batchlog import BatchLog
from functions.common.database import stored_database
from functions.common.errors import DatabaseAccessError, SlotError
from functions.common.manifests import IngestionManifest
from functions.common.pgconnection import PostgresConnection
from functions.common.postgres import connection
from functions.common.selfcheck import SECONDS
from functions.common.storage import CLIENT_CONFIG
from functions.common.telemetry import logger
from functions.sources import Captured, Read, Repair
from functions.sources.postgres import slot
from functions.sources.postgres.activity import Memory
from functions.sources.postgres.capture import capture
from functions.sources.postgres.columns import read_columns, unreadable
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.logready import missing
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


def _is_logged(source: Postgres) -> bool:
    """Return whether changes are to be looked up in the source's log."""
    return os.environ.get(source.capture_setting) == WAL


def look(source: Postgres) -> str:
    """Return what can be read; raise DatabaseAccessError for tables that cannot."""
    with connected(source, SECONDS) as session:
        if problems := unreadable(read_columns(session, source.tables)):
            raise DatabaseAccessError("; ".join(problems))
        if _is_logged(source) and (problems := missing(session, source)):
            raise DatabaseAccessError(
                f"{session.where}: {'; '.join(problems)}. Until then tables are scanned"
            )
        return f"{session.where}, {session.encryption}: {len(source.tables)} tables can be read"


def release(source: Postgres, bucket: str) -> bool:
    """Drop the slot of the deployment that writes into a bucket; return whether there was one.

    Raises DatabaseAccessError if the server refuses to drop it.
    """
    with connected(source, SECONDS) as session:
        try:
            return slot.drop(session, source.slot(bucket))
        except SlotError as error:
            raise DatabaseAccessError(f"{session.where}: {error}") from error


def _drop_unused_slot(session: PostgresConnection, source: Postgres, bucket: str) -> None:
    """Drop the slot that is left from when changes were looked up in the source's log."""
    name = source.slot(bucket)
    try:
        if slot.drop(session, name):
            logger.info(f"source {source.name}: the slot {name} is not used any more and dropped")
    except SlotError as error:
        logger.warning(
            f"source {source.name}: the slot {name} is not used any more and fills the server's "
            f"disk, but cannot be dropped ({error}): run SELECT pg_drop_replication_slot('{name}')"
        )


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
    logged = _is_logged(source)
    memory = _memory(log.bucket.name, log.prefix)
    goes_on = False
    with connected(source, seconds) as session:
        if not logged and memory.looked is None:
            _drop_unused_slot(session, source, log.bucket.name)

        def read(run: str, repair: Repair) -> Captured:
            nonlocal goes_on
            captured = capture(
                session,
                log,
                declared,
                run,
                lambda: datetime.now(UTC),
                repair=repair,
                memory=memory,
                # A batch after the first one is for what was too much for that.
                sparing=scheduled or goes_on,
                logged=logged,
            )
            goes_on = captured.more
            return captured

        yield read
