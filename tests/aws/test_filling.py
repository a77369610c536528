"""A new target table is filled from the log with what all batches would have led to."""

import random
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl import (
    Column,
    Integer,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    Table,
    TargetTable,
    Text,
    latest,
)
from functions.common.batchlog import BatchLog
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.transform import filling, lasting
from functions.transform.table import TableOfBatch
from tests.aws.declared_lake import Lake, declared, dim_staff, everyone, staff
from tests.unit.fake_bucket import FakeBucket

AGAIN = latest(staff, name="again")
NO_MAPPING: Any = None


def new_lake() -> Lake:
    return Lake(
        Logs(
            BatchLog(FakeBucket(), "shop", IngestionManifest),
            BatchLog(FakeBucket(), "shop", ProcessedManifest),
        ),
        declared(everyone),
    )


def people(key: str | tuple[str, ...], kind: Column) -> Table:
    return Table("staff", key=key, columns={"id": kind, "name": Text()})


def copied(table: Table, name: str) -> Pipeline:
    return Pipeline(
        sources=[Postgres("shop", (table,))],
        targets=[PostgresWarehouse("warehouse", (latest(table, name=name),))],
    )


def random_batch(draw: random.Random) -> dict[str, list[dict[str, object]]]:
    keys = draw.sample(range(12), draw.randrange(5))
    return {
        "staff": [
            {"id": key, "name": draw.choice([None, f"{key} {draw.random()}"])} for key in keys
        ],
        "deleted": [{"id": key} for key in range(12) if key not in keys and draw.random() < 0.1],
    }


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize("at_once", [1, 7, 1000])
@pytest.mark.parametrize("filled", [AGAIN, dim_staff], ids=["copied", "joined"])
def test_a_table_that_is_filled_has_what_it_would_have_had(
    filled: TargetTable, at_once: int, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The same rows in the same order, the same open rows, and the keys that did not come back."""
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(filling, "ROWS_PER_GROUP", at_once)
    monkeypatch.setattr(lasting, "SETTLED_AT", at_once)
    draw, lake = random.Random(seed), new_lake()
    rows: list[tuple[object, object]] = []
    gone: set[object] = set()
    for _ in range(25):
        batch = random_batch(draw)
        lake.ingest(staff=batch["staff"], deleted={staff: batch["deleted"]})
        done = lake.transform()
        rows += [(row["id"], row["name"]) for part in lake.rows(done, everyone) for row in part]
        gone |= {row["id"] for row in batch["deleted"]}
        gone -= {row["id"] for row in batch["staff"]}
    held = [(key, batch, reason) for key, batch, _, reason in lake.held(done, staff)]

    lake.pipeline = declared(everyone, filled)
    lake.ingest()
    done = lake.transform()

    entry = done.tables[filled.id]
    found = [(row["id"], row["name"]) for part in lake.rows(done, filled) for row in part]
    assert found == rows
    assert {row["id"] for file in entry.tombstones for row in lake.stored(file.key)} == gone
    mine = [each for each in lake.held(done, staff) if each[2] == filled.id]
    assert sorted((key, batch, reason) for key, batch, _, reason in mine) == sorted(held)


@pytest.mark.parametrize(
    ("today", "gone"),
    [
        (people("name", Integer()), set()),
        (people(("id", "name"), Integer()), set()),
        (people("id", Text()), {"1"}),
    ],
    ids=["another key", "a longer key", "another type"],
)
def test_a_log_from_before_the_key_changed_fills_a_table(today: Table, gone: set[object]) -> None:
    """Which rows keys of another key were cannot be said any more; those of another type can."""
    lake, before = new_lake(), people("id", Integer())
    lake.pipeline = copied(before, "everyone")
    lake.ingest(tables=(before,), staff=[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
    lake.ingest(tables=(before,), deleted={before: [{"id": 1}]})
    lake.transform()

    lake.pipeline = copied(today, "again")
    lake.ingest(tables=(today,))
    done = lake.transform()

    [target] = lake.pipeline.mappings("shop")
    found = [row["name"] for part in lake.rows(done, target.target) for row in part]
    assert found == ["a", "b"]
    tombstones = done.tables["again"].tombstones
    assert {row["id"] for file in tombstones for row in lake.stored(file.key)} == gone


def test_deletions_of_a_batch_from_before_the_key_changed_stop_nothing() -> None:
    """Transform may come to it after the deployment, with rows in quarantine besides."""
    lake, before = new_lake(), people("id", Integer())
    lake.pipeline = copied(before, "everyone")
    lake.ingest(tables=(before,), staff=[{"id": 1, "name": None}])
    lake.transform()
    lake.ingest(tables=(before,), deleted={before: [{"id": 1}]})
    lake.pipeline = copied(people("name", Integer()), "everyone")

    assert lake.transform().tables["everyone"].tombstones == []


def test_a_long_log_makes_few_objects_and_is_read_many_at_a_time() -> None:
    """What is written does not grow with the number of batches; each object is read once."""
    lake = new_lake()
    for number in range(200):
        lake.ingest(staff=[{"id": number, "name": "a name"}])
    lake.transform()
    lake.pipeline = declared(everyone, AGAIN)
    lake.ingest()
    for bucket in (lake.logs.ingested.bucket, lake.logs.processed.bucket):
        assert isinstance(bucket, FakeBucket)
        bucket.requests.clear()
    lake.transform()

    ingestion, processed = lake.logs.ingested.bucket, lake.logs.processed.bucket
    assert isinstance(ingestion, FakeBucket)
    assert isinstance(processed, FakeBucket)
    assert ingestion.requests["get"] <= 2 * 200 + 10  # a manifest and an object of each batch
    assert processed.requests["put"] == 1 + 1  # the rows, and the manifest


@pytest.mark.parametrize(
    ("ids", "size", "together"),
    [
        ([0, 1, 2] * 4, 1 << 20, [[0, 1, 2]] * 4),
        (list(range(6)), 500, [[0, 1], [2, 3], [4, 5]]),
    ],
    ids=["keys that come again", "wide rows"],
)
def test_rows_of_several_batches_are_remodelled_together(
    ids: list[int], size: int, together: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function sees no more than a slice of rows at once, and no key twice."""
    monkeypatch.setattr(filling, "BYTES_PER_SLICE", size)
    lake, seen = new_lake(), list[list[int]]()
    for number in ids:
        lake.ingest(staff=[{"id": number, "name": "a name of some length" * 8}])
    lake.transform()
    remodel = TableOfBatch.remodel

    def noted(table: TableOfBatch, rows: pa.Table, *others: Any) -> Any:
        seen.append(rows["id"].to_pylist())
        return remodel(table, rows, *others)

    monkeypatch.setattr(TableOfBatch, "remodel", noted)
    lake.pipeline = declared(everyone, AGAIN)
    lake.ingest()
    lake.transform()

    assert [each for each in seen if each] == together


def test_manifests_of_small_batches_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their objects are read together: some batches at a time, and few rows."""
    monkeypatch.setattr(filling, "AHEAD", 3)
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(filling, "_objects", lambda rows, _: [SimpleNamespace(rows=rows)])
    batches: Any = [1, 2, 3, 4, 6, 1, 11, 11, 5, 5]

    groups = list(filling._groups(iter(batches), NO_MAPPING))

    expected: Any = [[1, 2, 3], [4, 6], [1], [11], [11], [5, 5]]
    assert groups == expected
