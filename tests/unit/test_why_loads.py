"""When `why` says that a batch was loaded, and what became of a row that was refused."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from msgspec import structs

from deployer.query.cache import Cache
from deployer.why import loads
from deployer.why.asking import asked
from etl import keymarks
from functions.common.loaded import LoadedMarker
from functions.common.logs import MarkerLog
from functions.load.marks import index_of
from functions.targets.refused import store
from tests.unit.client_of import ClientOf
from tests.unit.fake_bucket import FakeBucket
from tests.unit.long_log import PIPELINE, SOURCE, WAREHOUSE, LongLog


class Log:
    """Markers of the table thing, one a minute, in which rows with the key 7 are refused."""

    def __init__(self, cache: Path) -> None:
        self._bucket = FakeBucket()
        self._markers = MarkerLog(self._bucket, "source")
        self._objects = LongLog(0, Random(0), keys=0).objects(Cache(cache), lambda _: self._client)
        self._number = 0

    @property
    def _client(self) -> Any:
        return ClientOf(self._bucket)

    def mark(self, has: int, *refused: int, batch: int = 0, is_retry: bool = False) -> None:
        """Write a marker after which the rows of some batches are refused."""
        self._number += 1
        rows = pa.table({"id": pa.array([7] * len(refused), pa.int32()),
                         "_batch": pa.array(refused, pa.int64()),
                         "_reason": ["no"] * len(refused)})  # fmt: skip
        at = datetime(2026, 11, 22, 12, self._number, tzinfo=UTC)
        marker = LoadedMarker(
            batch or has, at, "run", self._number, SOURCE, WAREHOUSE, 1, {"thing": has}, {}, {},
            1.0, {"thing": store(self._bucket, "thing", has, rows)} if refused else {},
            at if is_retry else None, "",
        )  # fmt: skip
        assert self._markers.claim(structs.replace(marker, index=index_of(self._markers, marker)))

    def times(self, *batches: int) -> dict[int, list[int]]:
        """Return the markers with which batches were loaded."""
        found = loads.times(self._loads(), batches)
        return {batch: [_minute(at) for at in times] for batch, times in found.items()}

    def refusals(self) -> list[tuple[int, int, str | None, Any]]:
        """Return refusals: batch, marker, outcome, and its marker."""
        question = asked(PIPELINE, ["source"], "thing", ["7"])
        found = loads.refusals(self._documents(), self._loads(), question, self._objects)
        return [
            (
                each.batch,
                _minute(each.at),
                each.outcome,
                _minute(each.until) if each.until else None,
            )
            for each in found
        ]

    def _documents(self) -> Any:
        return self._objects.log("processed", "loaded/source/")

    def _loads(self) -> list[loads.Load]:
        return loads.loads(self._documents(), "thing")


def _minute(at: str) -> int:
    return datetime.fromisoformat(at).minute


@pytest.fixture(params=[1_000, 3], ids=["no index", "an index for each three"])
def log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    """No markers yet."""
    monkeypatch.setattr(keymarks, "STRETCH", request.param)
    return Log(tmp_path)


def test_a_restore_is_recorded_before_batches_are_loaded_again(log: Log) -> None:
    """The record of what a restored warehouse has is no load of it."""
    for has in (1, 2, 3, 2, 3, 3, 4):  # restored to 2; started again with 3
        log.mark(has)

    assert log.times(1, 2, 3, 4) == {1: [1], 2: [2], 3: [3, 5], 4: [7]}


def test_batches_that_another_table_gets_again_are_not_loaded_again(log: Log) -> None:
    """And a batch of which only this table lacks rows is."""
    for has, batch in ((1, 1), (2, 2), (2, 1), (2, 2), (1, 2), (2, 2), (3, 3)):
        log.mark(has, batch=batch)

    assert log.times(1, 2, 3) == {1: [1], 2: [2, 6], 3: [7]}


def test_a_row_that_a_restored_warehouse_accepts_is_accepted(log: Log) -> None:
    """When its batch comes again: neither before, nor as superseded by it."""
    log.mark(1)
    log.mark(2, 2)
    log.mark(1)
    assert log.refusals() == [(2, 2, None, None)]
    log.mark(2)
    log.mark(3)

    assert log.refusals() == [(2, 2, "accepted", 4)]


def test_a_row_that_was_superseded_may_be_accepted_after_a_restore(log: Log) -> None:
    """Or be superseded again, if it is restored to when the row was refused."""
    log.mark(1)
    log.mark(2, 2)
    log.mark(3)
    assert log.refusals() == [(2, 2, "superseded", 3)]
    log.mark(2, 2)
    assert log.refusals() == [(2, 2, None, None)]
    log.mark(3)
    assert log.refusals() == [(2, 2, "superseded", 5)]
    log.mark(1)
    log.mark(2)
    log.mark(3)

    assert log.refusals() == [(2, 2, "accepted", 7)]


def test_a_row_that_was_accepted_may_be_refused_after_a_restore(log: Log) -> None:
    """By the batch that comes again, and accepted by a later retry."""
    log.mark(1)
    log.mark(2, 2)
    log.mark(2, is_retry=True)
    log.mark(1)
    log.mark(2, 2)
    assert log.refusals() == [(2, 2, "accepted", 3), (2, 5, None, None)]
    log.mark(2, is_retry=True)

    assert log.refusals() == [(2, 2, "accepted", 3), (2, 5, "accepted", 6)]
