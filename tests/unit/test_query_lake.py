"""The lake as of a moment: several sources, logs that grow, and what is read of them again."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployer.errors import OperationError, SettingsError
from deployer.query.cache import Cache
from deployer.query.lake import Lake
from deployer.query.tables import refusals
from tests.unit.client_of import ClientOf
from tests.unit.fake_bucket import FakeBucket

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def load_batch(bucket: FakeBucket, source: str, batch: int, minute: int, **entry: Any) -> None:
    """Put a batch of the table of a source into the bucket, and the marker of its load."""
    table = f"t_{source}"
    file = {"key": f"{table}/{batch}.parquet", "rows": 1, "sha256": f"{batch:064d}"}
    manifest = {"batch": batch, "tables": {table: {"rows": 1, "files": [file], **entry}}}
    bucket.put(f"batches/{source}/{batch:010d}.json", json.dumps(manifest).encode())
    at = NOON + timedelta(minutes=minute)
    marker = {"batch": batch, "written_at": at.isoformat(), "has": {table: batch}}
    bucket.put(f"loaded/{source}/{batch:010d}.json", json.dumps(marker).encode())


@pytest.fixture
def bucket() -> FakeBucket:
    """A bucket with three batches of each of two sources, loaded in turn."""
    made = FakeBucket()
    for batch in (1, 2, 3):
        load_batch(made, "a", batch, 10 * batch)
        load_batch(made, "b", batch, 10 * batch + 5)
    return made


@pytest.fixture
def lake_of(tmp_path: Path) -> Callable[[FakeBucket], Lake]:
    """Return what makes the lake of a pipeline with two sources."""

    def make(bucket: FakeBucket) -> Lake:
        client: Any = ClientOf(bucket)
        pipeline: Any = SimpleNamespace(
            mappings=lambda source: [SimpleNamespace(target=SimpleNamespace(id=f"t_{source}"))]
        )
        return Lake(client, "lake", pipeline, ["a", "b"], Cache(tmp_path))

    return make


def batches(lake: Lake, *of: Any) -> dict[str, list[int]]:
    """Return the batches that each table consists of."""
    moment = lake.at(*of)
    return {
        table: [entry.batch for entry in moment.contents(table).entries]
        for table in ("t_a", "t_b", "t_left_out")
    }


def test_the_other_sources_are_as_they_were_then(
    bucket: FakeBucket, lake_of: Callable[[FakeBucket], Lake]
) -> None:
    """A batch of one source is a moment of all; a table of no source in use is empty."""
    lake = lake_of(bucket)

    assert batches(lake, None) == {"t_a": [1, 2, 3], "t_b": [1, 2, 3], "t_left_out": []}
    assert batches(lake, 2, "a") == {"t_a": [1, 2], "t_b": [1], "t_left_out": []}
    assert batches(lake, 2, "b") == {"t_a": [1, 2], "t_b": [1, 2], "t_left_out": []}
    assert batches(lake, NOON + timedelta(minutes=12)) == {
        "t_a": [1], "t_b": [], "t_left_out": [],
    }  # fmt: skip


def test_a_batch_needs_its_source_where_there_are_several(
    bucket: FakeBucket, lake_of: Callable[[FakeBucket], Lake]
) -> None:
    """One that feeds all tables that are asked for is meant; else the message names them."""
    lake = lake_of(bucket)
    for tables in ([], ["t_a", "t_b"], ["t_left_out"]):
        with pytest.raises(SettingsError, match="--source must be one of a, b"):
            lake.at(2, None, tables)

    assert batches(lake, 2, None, ["t_b"]) == batches(lake, 2, "b", ["t_a"])


def test_only_new_documents_are_read_again(
    bucket: FakeBucket, lake_of: Callable[[FakeBucket], Lake]
) -> None:
    """Each document is read once; one that was exchanged is read again."""
    lake = lake_of(bucket)
    lake.at(None)
    before = bucket.requests["get"]
    lake.at(None)
    assert bucket.requests["get"] == before

    load_batch(bucket, "a", 4, 50)
    lake.at(None)
    assert bucket.requests["get"] == before + 2

    load_batch(bucket, "a", 1, 10, snapshot=True)
    assert batches(lake_of(bucket), None)["t_a"] == [1, 2, 3, 4]
    load_batch(bucket, "a", 3, 30, snapshot=True)
    assert batches(lake_of(bucket), None)["t_a"] == [3, 4]


def test_a_damaged_file_of_the_cache_is_read_again(
    bucket: FakeBucket, lake_of: Callable[[FakeBucket], Lake], tmp_path: Path
) -> None:
    """A machine that stopped leaves part of a file, or zeros: the documents are still in S3."""
    there = batches(lake_of(bucket), None)
    for left in (b"", bytes(50), b'{"1": ['):
        for path in tmp_path.iterdir():
            path.write_bytes(left)
        assert batches(lake_of(bucket), None) == there


def test_a_log_of_thousands_is_listed_by_the_thousand(
    lake_of: Callable[[FakeBucket], Lake],
) -> None:
    """The second question about it takes some listings, and reads nothing."""
    bucket = FakeBucket()
    for batch in range(1, 2502):
        load_batch(bucket, "a", batch, batch)
    load_batch(bucket, "b", 1, 0)
    lake_of(bucket).at(None)
    bucket.requests.clear()

    assert len(batches(lake_of(bucket), None)["t_a"]) == 2501
    assert bucket.requests["get"] == 0
    assert bucket.requests["list"] < 30


def test_a_gap_in_the_log_is_no_state(
    bucket: FakeBucket, lake_of: Callable[[FakeBucket], Lake]
) -> None:
    """A manifest that is gone is named by its log; a newer form asks for a newer version."""
    kept = FakeBucket(bucket.objects)
    del kept.objects["batches/a/0000000002.json"]
    gone = FakeBucket(kept.objects)
    with pytest.raises(OperationError, match="batches/a/ lacks a batch before 3"):
        lake_of(gone).at(None)

    bucket.put("batches/a/0000000002.json", b'{"batch": 2, "tables": {}, "form": 99}')
    with pytest.raises(OperationError, match="batch 2 was written in form 99"):
        lake_of(bucket).at(None)


def refused(
    batch: int, minute: int, *names: str, retry: bool = False, has: dict[str, int] | None = None
) -> Any:
    """Return a marker after which the rows in some objects are refused."""
    at = (NOON + timedelta(minutes=minute)).isoformat()
    objects = [{"file": {"key": name, "rows": 1, "sha256": name}} for name in names]
    tried = {"tried_at": at} if retry else {}
    document = {"batch": batch, "written_at": at, "has": has or {"t": batch}, **tried}
    return {**document, "refused": {"t": objects}}


def found(markers: dict[int, Any], last: int) -> tuple[list[str], list[list[list[str]]]]:
    """Return the objects of rows that are refused, and of those that were until a batch came."""
    of = refusals(markers, last, "t")
    pairs = [
        [[file.key for file in files] for files in (each.before, each.after)]
        for each in of.superseded
    ]
    return [file.key for file in of.open_now], pairs


def test_refused_rows_are_accepted_by_a_retry_and_superseded_by_a_batch() -> None:
    """And a batch that is applied again, to a warehouse that lost it, begins where it began."""
    markers = {
        1: refused(1, 1, "x", retry=True),
        2: refused(2, 2, "x", "y"),
        3: refused(3, 3, "y"),  # x was superseded
        4: refused(3, 4, retry=True),  # y was accepted
        5: refused(1, 5, "x"),  # restored to batch 1
        6: refused(2, 6, "x", "y"),
    }
    superseded = [[["x", "y"], ["y"]]]

    assert found(markers, 1) == (["x"], [])
    assert found(markers, 2) == (["x", "y"], [])
    assert found(markers, 3) == (["y"], superseded)
    assert found(markers, 4) == ([], superseded)
    assert found(markers, 5) == (["x"], [])
    assert found(markers, 6) == (["x", "y"], [])


@pytest.mark.parametrize(
    "again",
    [refused(2, 3), refused(1, 3, has={"t": 2, "other": 1}), refused(1, 3, has={"other": 1})],
    ids=["a restarted server", "another table filled again", "a table that is not there"],
)
def test_a_superseded_row_stays_so_while_its_table_keeps_its_batches(again: Any) -> None:
    """A marker without a batch that the table lacked is none of a batch that is applied again."""
    markers = {1: refused(1, 1, "x", retry=True), 2: refused(2, 2), 3: again}

    assert found(markers, 3) == ([], [[["x"], []]])
