"""The Lambda function `reconcile`: woken once a day, and by hand, to compare source and warehouse.

It compares as of the newest batch that the warehouse has: what the source changed after it is
pending, and no disagreement.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pg8000.native
from aws_lambda_powertools.utilities.typing import LambdaContext

from etl import Pipeline
from etl.loading import load
from functions.common.database import connection, database_from_secret
from functions.common.notices import give_notice
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.load.markers import MarkerLog
from functions.reconcile.as_of import AsOf, Lake
from functions.reconcile.compare import Comparison
from functions.reconcile.notices import notice
from functions.reconcile.table import Run, compare_table
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.plan import plan_tables
from functions.sources.postgres.snapshot import SESSION_PARAMETERS as SOURCE_PARAMETERS
from functions.sources.postgres.snapshot import snapshot_of
from functions.targets.postgres.stage import SESSION_PARAMETERS as WAREHOUSE_PARAMETERS
from functions.targets.postgres.standing import loaded_batch, newest_marked
from functions.targets.postgres.tables import Layout, inspect

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True)
class Sides:
    """Where the two databases are, and the buckets between them, with the logs of `source`."""

    pipeline: Pipeline
    source: str
    secrets: "SecretsManagerClient"
    source_secret_id: str
    warehouse_secret_id: str
    schema: str
    ingestion: Bucket
    processed: Bucket


@dataclass(frozen=True)
class Found:
    """What a comparison found: the batch that the warehouse was at, and how each table agrees.

    `made_of` is the main source table of each. `extra` are keys, by source table, that are in the
    warehouse only and that nothing explains.
    """

    batch: int
    tables: dict[str, Comparison]
    made_of: dict[str, str]
    extra: dict[str, list[int]]

    @property
    def apart(self) -> dict[str, Comparison]:
        """The tables that disagree."""
        return {name: table for name, table in self.tables.items() if not table.agrees}

    @property
    def repair(self) -> dict[str, Any]:
        """The event that has extract read again what disagrees; empty if nothing can be."""
        apart = {name for name, table in self.apart.items() if table.error is None}
        read = [self.made_of[name] for name in self.tables if name in apart]
        return {"read": list(dict.fromkeys(read)), "absent": self.extra} if read else {}


@cache
def _sides() -> Sides:
    s3 = boto3.client("s3", config=CLIENT_CONFIG)
    pipeline = load(required(os.environ, "PIPELINE"))
    [declared] = pipeline.sources
    return Sides(
        pipeline,
        declared.name,
        boto3.client("secretsmanager", config=CLIENT_CONFIG),
        required(os.environ, "SOURCE_SECRET_ID"),
        required(os.environ, "WAREHOUSE_SECRET_ID"),
        required(os.environ, "WAREHOUSE_SCHEMA"),
        Bucket(s3, required(os.environ, "INGESTION_BUCKET")),
        Bucket(s3, required(os.environ, "PROCESSED_BUCKET")),
    )


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Compare every star table with the source; `agrees` says whether all do.

    Returns `batch`, the newest one in the warehouse (None when there is none); `tables`: for each
    its counts of source, warehouse, missing, different, extra, pending, deleted and quarantined
    rows, and keys as examples; and `repair`, the event with which extract reads again what
    disagrees.
    """
    started = time.monotonic()
    found = _compare_all(_sides(), context.get_remaining_time_in_millis() / 1000)
    metrics.add_metric("TablesApart", MetricUnit.Count, len(found.apart))
    for name, table in found.apart.items():
        logger.error(f"{name} disagrees with the source", extra=asdict(table))
    subject = "Source and warehouse disagree" if found.apart else "Source and warehouse agree"
    give_notice("daily", subject, notice(found.tables))
    return {
        "agrees": not found.apart,
        "batch": found.batch or None,
        "tables": {name: asdict(table) for name, table in found.tables.items()},
        "repair": found.repair,
        "seconds": round(time.monotonic() - started, 3),
    }


def _compare_all(sides: Sides, seconds: float) -> Found:
    """Take both snapshots, the warehouse's first: what it has, the source has or had."""
    declared = Declared(sides.pipeline.source(sides.source), sides.pipeline)
    source = database_from_secret(sides.secrets, sides.source_secret_id)
    warehouse = database_from_secret(sides.secrets, sides.warehouse_secret_id)
    lake = Lake.of(sides.ingestion, sides.processed, sides.source)
    with (
        connection(source, seconds, **SOURCE_PARAMETERS) as there,
        connection(warehouse, seconds, **WAREHOUSE_PARAMETERS) as here,
    ):
        star = _layout(here, sides)
        markers = MarkerLog(sides.processed, sides.source)
        batch = loaded_batch(here, markers, star)
        with _snapshot(here):
            as_of = AsOf(lake, batch, max(batch, newest_marked(markers)))
            with snapshot_of(there, declared.source) as snapshot:
                plans = plan_tables(there, snapshot, as_of.manifest, declared)
                run = Run(sides.pipeline, there, here, star, plans, lake, as_of)
                mappings = sides.pipeline.mappings(sides.source)
                tables = {each.target.name: compare_table(run, each) for each in mappings}
    made_of = {mapping.target.name: mapping.main.id for mapping in mappings}
    return Found(batch, tables, made_of, run.extra)


def _layout(warehouse: pg8000.native.Connection, sides: Sides) -> Layout:
    [target] = sides.pipeline.targets
    declared = [mapping.target for mapping in sides.pipeline.mappings(sides.source)]
    return inspect(warehouse, sides.schema, target, declared)


@contextmanager
def _snapshot(connection: pg8000.native.Connection) -> Iterator[None]:
    """Hold one snapshot of the warehouse, with temporary tables, and leave nothing behind."""
    connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    try:
        connection.run("SELECT FROM pg_class LIMIT 0")  # the first query takes the snapshot
        yield
    finally:
        if connection._transaction_status != b"I":
            connection.run("ROLLBACK")
