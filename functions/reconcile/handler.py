"""The Lambda function `reconcile`: woken once a day, and by hand, to compare source and warehouse.

It looks at one snapshot of the source and one of the warehouse. What changed in the source within
the last minutes may still be on its way, and then shows as missing or different.
"""

import os
import time
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pg8000.native
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.common.database import connection, database_from_secret
from functions.common.notices import give_notice
from functions.common.parquet import read_object
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.common.totesys import TABLES
from functions.extract.columns import Columns, read_columns
from functions.extract.snapshot import SESSION_PARAMETERS as SOURCE_PARAMETERS
from functions.extract.snapshot import snapshot_of
from functions.load.stage import SESSION_PARAMETERS as WAREHOUSE_PARAMETERS
from functions.load.stage import stage_of
from functions.load.star import Star, inspect_star
from functions.reconcile.compare import Comparison, compare
from functions.reconcile.expect import Expected
from functions.reconcile.notices import notice
from functions.transform.star import STAR, StarMapping

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True)
class Sides:
    """Where the two databases are, and where the deletions are kept."""

    secrets: "SecretsManagerClient"
    source_secret_id: str
    warehouse_secret_id: str
    schema: str
    processed: Bucket


@cache
def _sides() -> Sides:
    return Sides(
        boto3.client("secretsmanager", config=CLIENT_CONFIG),
        required(os.environ, "SOURCE_SECRET_ID"),
        required(os.environ, "WAREHOUSE_SECRET_ID"),
        required(os.environ, "WAREHOUSE_SCHEMA"),
        Bucket(boto3.client("s3", config=CLIENT_CONFIG), required(os.environ, "PROCESSED_BUCKET")),
    )


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Compare every star table with the source; `agrees` says whether all do.

    Returns `tables`: for each its counts of source, warehouse, missing, different, extra, deleted
    and quarantined rows, and keys of each kind as examples.
    """
    started = time.monotonic()
    tables = _compare_all(_sides(), context.get_remaining_time_in_millis() / 1000)
    apart = {name: table for name, table in tables.items() if not table.agrees}
    metrics.add_metric("TablesApart", MetricUnit.Count, len(apart))
    for name, table in apart.items():
        logger.error(f"{name} disagrees with the source", extra=asdict(table))
    subject = "Source and warehouse disagree" if apart else "Source and warehouse agree"
    give_notice("daily", subject, notice(tables))
    return {
        "agrees": not apart,
        "tables": {name: asdict(table) for name, table in tables.items()},
        "seconds": round(time.monotonic() - started, 3),
    }


def _compare_all(sides: Sides, seconds: float) -> dict[str, Comparison]:
    source = database_from_secret(sides.secrets, sides.source_secret_id)
    warehouse = database_from_secret(sides.secrets, sides.warehouse_secret_id)
    with (
        connection(source, seconds, **SOURCE_PARAMETERS) as there,
        connection(warehouse, seconds, **WAREHOUSE_PARAMETERS) as here,
        snapshot_of(there),
    ):
        columns = read_columns(there, TABLES)
        star = inspect_star(here, sides.schema)
        here.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        compared = {
            mapping.table: _compare_one((there, columns), (here, star), mapping, sides.processed)
            for mapping in STAR
        }
        here.run("ROLLBACK")
    return compared


def _compare_one(
    source: tuple[pg8000.native.Connection, dict[str, Columns]],
    warehouse: tuple[pg8000.native.Connection, Star],
    mapping: StarMapping,
    processed: Bucket,
) -> Comparison:
    (there, columns), (here, star) = source, warehouse
    needed = [mapping.source, *([mapping.partner] if mapping.partner else [])]
    if drift := next((why for name in needed if (why := columns[name].drift())), None):
        return Comparison(error=drift)
    expected = Expected(there, columns, mapping)
    stage = stage_of(star, mapping.table)
    stage.fill(here, expected.slices())
    deleted = _deleted_keys(processed, mapping)
    return compare(here, stage, expected.rows, expected.unfit, deleted)


def _deleted_keys(processed: Bucket, mapping: StarMapping) -> list[int]:
    """Return the keys that the source was seen to have deleted, at any time."""
    prefix = f"tombstones/{mapping.table}/"
    keys, deleted = processed.keys_after(prefix, prefix, 1000), []
    while keys:
        for key in keys:
            for rows in read_object(processed, key):
                deleted += rows[mapping.key].to_pylist()
        keys = processed.keys_after(prefix, keys[-1], 1000)
    return deleted
