"""A database of a test's own tables, and extract from it into a bucket in memory, without AWS."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, cast
from uuid import uuid4

import msgspec
import pyarrow as pa
import pytest
from pg8000.native import identifier

from deployer.configuration.databases import parse_database_url
from etl import Pipeline, Postgres, Table
from functions.common.batchlog import BatchLog
from functions.common.database import Database
from functions.common.manifests import IngestionManifest
from functions.common.objects import DataFile
from functions.common.parquet import read_rows
from functions.common.postgres import connection
from functions.extract.replay import replay
from functions.sources import NO_REPAIR, Captured, Repair
from functions.sources.postgres.activity import Memory
from functions.sources.postgres.capture import capture
from functions.sources.postgres.columns import sql_name
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.snapshot import SESSION_PARAMETERS
from local.connection import connect
from local.postgres import PostgresServer
from tests.pipeline.ground import run_sql
from tests.unit.fake_bucket import FakeBucket

Part = Literal["files", "partners", "joining", "tombstones"]
Row = dict[str, Any]


@dataclass
class Lake:
    """A live database, the pipeline that is declared for it, and its batches so far."""

    url: str
    pipeline: Pipeline
    bucket: FakeBucket = field(default_factory=FakeBucket)
    memory: Memory = field(default_factory=Memory)
    logged: bool = False

    def __post_init__(self) -> None:
        self.log = BatchLog(self.bucket, self.source.name, IngestionManifest)

    @property
    def source(self) -> Postgres:
        return cast("Postgres", self.pipeline.sources[0])

    def sql(self, *statements: str) -> list[list[Any]]:
        return run_sql(self.url, *statements)

    def extract(self, repair: Repair = NO_REPAIR, *, sparing: bool = False) -> Captured:
        """Extract what has changed, as a warm function does."""
        database = msgspec.convert(parse_database_url(self.url).secret(), Database)
        declared = Declared(self.source, self.pipeline)
        with connection(database, **SESSION_PARAMETERS) as session:
            return capture(
                session,
                self.log,
                declared,
                str(uuid4()),
                _now,
                repair=repair,
                memory=self.memory,
                sparing=sparing,
                logged=self.logged,
            )

    def publish(self) -> None:
        """Let changes be looked up in the source's log from now on."""
        names = ", ".join(sql_name(table) for table in self.source.tables)
        self.sql(f"CREATE PUBLICATION {self.source.publication} FOR TABLE {names}")
        self.logged = True

    def batch(self, repair: Repair = NO_REPAIR) -> IngestionManifest:
        """Extract what has changed, as there must be something."""
        captured = self.extract(repair)
        assert (captured.stopped, captured.postponed) == ({}, None)
        assert captured.manifest is not None
        return captured.manifest

    def replay(self, batch: int) -> IngestionManifest:
        return replay(self.log, self.source, self.pipeline, batch, run=str(uuid4()), now=_now)

    def rows(self, batch: IngestionManifest, table: Table, part: Part = "files") -> list[Row]:
        files: list[DataFile] = getattr(batch.capture(table.id), part)
        return [row for rows in read_rows(self.bucket, files) for row in rows.to_pylist()]

    def schema(self, batch: IngestionManifest, table: Table) -> pa.Schema:
        """Return the form in which the rows of a table were written."""
        [schema] = {rows.schema for rows in read_rows(self.bucket, batch.capture(table.id).files)}
        return schema


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def new_lake(postgres: PostgresServer, database_numbers: Iterator[int]) -> Callable[..., Lake]:
    """Return a function of a pipeline and of statements that makes a database for it."""

    def make(pipeline: Pipeline, *statements: str) -> Lake:
        name = f"live {next(database_numbers)}"
        with connect(postgres.superuser_url()) as session:
            session.run(f"CREATE DATABASE {identifier(name)}")
        lake = Lake(postgres.superuser_url(name), pipeline)
        lake.sql(*statements)
        return lake

    return make
