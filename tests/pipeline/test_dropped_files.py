"""Files that are dropped and overwritten at random, while functions are killed and disturbed."""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

import pipelines
from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.dropping import Dropper, by_day, expected
from tests.pipeline.invocation import MORE_PIPELINES
from tests.pipeline.reconciling import reconcile
from tests.pipeline.storm import PLACES, Storm
from tests.pipeline.strangers import FOLDER
from tests.postgres_fixtures import NOWHERE, Source, Warehouse

KILLS = 10
OF_FILES = [("ListObjectVersions", ""), ("GetObject", "-drop/"), ("PutObject", "/errors/")]
SHAPED = FOLDER / "pipelines"


@pytest.fixture
def functions(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> Functions:
    """The functions between a bucket and an empty warehouse that is theirs to shape."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(SHAPED)])
    monkeypatch.setenv(MORE_PIPELINES, str(SHAPED))
    monkeypatch.setenv("PIPELINE", "dropped")
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    monkeypatch.setenv("MAX_REJECTS", "5%")
    functions = functions_on(NOWHERE, new_managed_warehouse())
    drop = functions.ingestion.replace("ingestion", "drop")
    functions.s3.create_bucket(
        Bucket=drop, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    functions.s3.put_bucket_versioning(Bucket=drop, VersioningConfiguration={"Status": "Enabled"})
    monkeypatch.setenv("DROP_BUCKET", drop)
    return functions


def test_files_survive_a_storm(functions: Functions, seed: int, tmp_path: Path) -> None:
    """Whatever is killed, each good row is in, each bad one in errors/, and nothing twice."""
    drop = os.environ["DROP_BUCKET"]
    dropper = Dropper(functions.s3, drop, Random(seed))
    log = tmp_path / "functions.log"
    storm = Storm(dict(os.environ), seed, log, places=[*PLACES, *OF_FILES])
    with storm.raging(3):
        while storm.kills < KILLS and not storm.defects:
            dropper.drop()
            storm.wait(0.1)
    storm.settle()

    assert storm.wrong + storm.stuck == []
    assert _differences(functions, drop) == []
    assert reconcile()["agrees"]


def _differences(functions: Functions, drop: str) -> list[str]:
    """Return in what the tables and the errors are not what the files say."""
    wanted, found = expected(functions.s3, drop), _tables(functions)
    pairs: dict[str, tuple[Any, Any]] = {
        "visits": (wanted.visits, {row[0]: row for row in found["visits"]}),
        "number of visits": (len(wanted.visits), len(found["visits"])),
        "prices": (wanted.prices, _states(found["prices"])),
        "stock": (wanted.stock, Counter(found["stock"])),
        "visits by day": (by_day(wanted.visits), {d: (n, a) for d, n, a in found["visits_by_day"]}),
    }
    for key, lines in wanted.wrong.items():
        if lines:
            pairs[f"errors of {key}"] = (lines, _lines_with_errors(functions, key))
    return [f"{what}: {a} is wanted, {b} is there" for what, (a, b) in pairs.items() if a != b]


def _tables(functions: Functions) -> dict[str, list[Any]]:
    queries = {
        "visits": "visit_id::text, day::text, amount::text, note",
        "prices": "shop::text, sku, price::text",
        "stock": "sku, pieces::text",
        "visits_by_day": "day, visits, amount",
    }
    order = {"prices": "ORDER BY prices_record_id"}
    with connect(functions.warehouse.superuser_url) as connection:
        return {
            name: [
                tuple(row)
                for row in connection.run(
                    f'SELECT {columns} FROM "{functions.warehouse.schema}".{name} '
                    + order.get(name, "")
                )
            ]
            for name, columns in queries.items()
        }


def _states(rows: list[Any]) -> dict[Any, list[Any]]:
    states: dict[Any, list[Any]] = {}
    for row in rows:
        states.setdefault(row[:2], []).append(row)
    return states


def _lines_with_errors(functions: Functions, key: str) -> list[int]:
    table = key.split("/", maxsplit=1)[0].removesuffix(".csv")
    name = key if key.endswith(".csv") else f"{key}.csv"
    text = functions.body(functions.processed, f"errors/{table}/{name}").decode()
    return [int(row["line"]) for row in csv.DictReader(io.StringIO(text, newline=""))]
