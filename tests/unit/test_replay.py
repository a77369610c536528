"""A batch again: its rows that are still current, and what joins in with them today."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, Text, latest
from functions.common.errors import BatchConflictError, OutdatedBatchError, UnknownBatchError
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest
from functions.common.objects import DataFile
from functions.extract.replay import replay
from tests.aws.declared_lake import Lake, declared, fact_line, line, order, product, staff
from tests.unit.fake_bucket import FakeBucket

NOW = datetime(2024, 3, 9, 8, tzinfo=UTC)
PIPELINE = declared(fact_line)
TABLES = (product, order, line, staff)
GLASS = {"maker": "a", "code": 1, "name": "glass"}
BOWL = {"maker": "b", "code": 2, "name": "bowl"}


def sold(number: int, **others: Any) -> dict[str, Any]:
    return {"order_id": "A", "number": number, "price": 1, **others}


@pytest.fixture
def lake() -> Lake:
    return Lake(Logs.of(FakeBucket(), FakeBucket(), "shop"))


def again(
    lake: Lake,
    batch: int,
    now: Callable[[], datetime] = lambda: NOW,
    pipeline: Pipeline = PIPELINE,
) -> IngestionManifest:
    [source] = pipeline.sources
    return replay(lake.logs.ingested, source, pipeline, batch, run="again", now=now)


def rows(lake: Lake, files: list[DataFile], *columns: str) -> list[Any]:
    """Return the values of some columns, row by row; of a single column just these."""
    bucket = lake.logs.ingested.bucket
    found = [
        tuple(row[name] for name in columns)
        for file in files
        for row in pq.read_table(pa.BufferReader(bucket.get(file.key))).to_pylist()
    ]
    return [row[0] for row in found] if len(columns) == 1 else found


def people(*ids: int) -> list[Mapping[str, Any]]:
    return [{"id": number, "name": f"person {number}"} for number in ids]


def test_rows_that_a_later_batch_has_or_deleted_do_not_come_again(lake: Lake) -> None:
    """History does not run backwards, and a deleted row stays deleted."""
    lake.ingest(staff=people(1, 2, 3, 4))
    lake.ingest(staff=people(2))
    lake.ingest(deleted={staff: people(3)})
    last = lake.logs.ingested.read(3)

    manifest = again(lake, 1)

    capture = manifest.tables["staff"]
    assert rows(lake, capture.files, "id") == [1, 4]
    assert (capture.changed, capture.deleted, capture.tombstones) == (2, 0, [])
    assert (manifest.batch, manifest.replay_of, manifest.run) == (4, 1, "again")
    assert (manifest.written_at, manifest.source.snapshot_at) == (NOW, NOW)
    assert (manifest.keys, manifest.keys_sha256) == (last.keys, last.keys_sha256)
    assert manifest.missing == {}
    assert replace(lake.logs.ingested.read(4), previous_sha256=None) == manifest


def test_rows_that_are_all_current_are_not_written_again(lake: Lake) -> None:
    """A replay of a batch that nothing supersedes names the very same objects."""
    lake.ingest(staff=people(1, 2))
    lake.ingest(staff=people(3))
    files = lake.logs.ingested.read(1).tables["staff"].files

    assert again(lake, 1).tables["staff"].files == files
    assert again(lake, 2).tables["staff"].changed == 1


def test_a_later_replay_supersedes_nothing(lake: Lake) -> None:
    """Its rows were current already: a batch can be replayed twice."""
    lake.ingest(staff=people(1, 2))

    first, second = again(lake, 1), again(lake, 1)

    assert first.tables["staff"].files == second.tables["staff"].files != []
    assert (first.batch, second.batch) == (2, 3)


@pytest.mark.parametrize("batch", [-1, 0, 3])
def test_a_batch_that_is_not_there_cannot_come_again(lake: Lake, batch: int) -> None:
    """The message names the newest."""
    lake.ingest()
    lake.ingest()

    with pytest.raises(UnknownBatchError, match=f"there is no batch {batch}: the newest is 2"):
        again(lake, batch)


def test_a_batch_of_another_declaration_cannot_come_again(lake: Lake) -> None:
    """Rows without a column that is declared today are refused before anything is written."""
    older = Table("staff", key="id", columns={"id": staff.columns["id"]})
    lake.ingest(tables=(older,), staff=[{"id": 1}])
    lake.ingest()

    with pytest.raises(OutdatedBatchError, match=r"batch 1 cannot be replayed: .* no column name"):
        again(lake, 1)
    assert lake.logs.ingested.newest() == 2


@pytest.mark.parametrize("key", ["name", ("id", "name")])
def test_a_batch_before_deletions_by_another_key_cannot_come_again(
    lake: Lake, key: str | tuple[str, ...]
) -> None:
    """Which of its rows were deleted cannot be said by the key of today."""
    lake.ingest(staff=people(1, 2))
    lake.ingest(deleted={staff: [{"id": 1}]})
    today = Table("staff", key=key, columns={"id": Integer(), "name": Text()})
    pipeline = Pipeline(
        sources=[Postgres("shop", (today,))],
        targets=[PostgresWarehouse("warehouse", (latest(today),))],
    )
    lake.ingest(tables=(today,), staff=people(2))

    with pytest.raises(OutdatedBatchError) as error:
        again(lake, 1, pipeline=pipeline)

    assert str(error.value) == (
        "no batch before 2 can be replayed: its deletions in staff are by another key than is "
        "declared today. Replay a later batch"
    )
    assert again(lake, 3, pipeline=pipeline).tables["staff"].files != []


def test_two_replays_do_not_write_one_batch(lake: Lake) -> None:
    """The number goes to one of them, and the other one says so."""
    lake.ingest(staff=people(1))
    log = lake.logs.ingested

    def meanwhile() -> datetime:
        log.claim(replace(log.read(1), batch=2, run="another"))
        return NOW

    with pytest.raises(BatchConflictError, match="batch 2 was claimed by another run"):
        again(lake, 1, meanwhile)


def test_what_joins_in_comes_as_it_is_now(lake: Lake) -> None:
    """A line that comes again has the newest name of its product, each product once."""
    lake.ingest(product=[GLASS, BOWL], line=[sold(1, maker="a", code=1), sold(2), sold(3)])
    lake.ingest(product=[{**GLASS, "name": "beaker"}], line=[sold(3)])

    manifest = again(lake, 1)

    assert rows(lake, manifest.tables["line"].files, "number") == [1, 2]
    assert rows(lake, manifest.tables["stock.product"].files, "name") == ["bowl"]
    assert rows(lake, manifest.tables["stock.product"].partners, "name") == ["beaker"]


def test_what_was_deleted_does_not_join_in(lake: Lake) -> None:
    """A product that is gone is not shown again with the line that was sold with it."""
    lake.ingest(product=[GLASS], line=[sold(1, maker="a", code=1)])
    lake.ingest(deleted={product: [GLASS]}, line=[sold(2)])

    manifest = again(lake, 1)

    capture = manifest.tables["stock.product"]
    assert (capture.files, capture.partners) == ([], [])
    assert rows(lake, manifest.tables["line"].files, "number") == [1]


def test_what_came_back_joins_in(lake: Lake) -> None:
    """Of a product that was deleted and is there again the row of today joins in."""
    lake.ingest(product=[GLASS], line=[sold(1, maker="a", code=1)])
    lake.ingest(deleted={product: [GLASS]})
    lake.ingest(product=[{**GLASS, "name": "again"}])

    assert rows(lake, again(lake, 1).tables["stock.product"].partners, "name") == ["again"]


def test_partners_are_looked_for_before_the_batch_only_for_a_new_declaration(lake: Lake) -> None:
    """A batch has the partners of its rows, but not those of a table that was declared later."""
    lake.ingest(product=[GLASS, BOWL])
    lake.ingest(product=[BOWL], line=[sold(1, maker="a", code=1), sold(2, maker="b", code=2)])
    log = lake.logs.ingested

    assert again(lake, 2).tables["stock.product"].partners == []

    lake.ingest()
    newest = log.read(4)
    log.claim(replace(newest, batch=5, targets=["fact_line"]))
    assert rows(lake, again(lake, 2).tables["stock.product"].partners, "name") == ["glass"]
