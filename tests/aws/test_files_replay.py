"""Batches of files that are replayed after a fix in the code."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from etl import Feed, Files, Integer, Pipeline, PostgresWarehouse, Table, Text, latest
from functions.common.errors import OutdatedBatchError
from functions.common.manifests import IngestionManifest
from functions.extract.replay import replay
from tests.aws.drop import REVIEWS, VERSIONED_OR_NOT, Drop, keys


def again(drop: Drop, batch: int) -> IngestionManifest:
    """Replay a batch, some days later."""
    return replay(
        drop.log,
        drop.source,
        drop.pipeline,
        batch,
        run="replay",
        now=lambda: datetime.now(UTC) + timedelta(days=2),
    )


def test_rows_that_a_later_file_has_do_not_come_again(drop: Drop) -> None:
    """Their keys are compared as the target has them, and each file has its own objects."""
    drop.put("orders-1.csv", "id,note\n1,a\n2,b\nx,wrong\n")
    drop.put("orders-2.csv", "id,note\n3,c\n")
    drop.put("orders-3.csv", "id,note\n4,d\n")
    drop.batch()
    drop.put("orders-4.csv", "id,note\n 02,B\n+3,C\n")
    drop.batch()

    replayed = again(drop, 1)

    assert replayed.replay_of == 1
    assert {read.file.key: read.rows for read in replayed.files} == {
        "orders-1.csv": 2,
        "orders-3.csv": 1,
    }
    assert drop.rows(replayed) == [("1", "a"), ("x", "wrong"), ("4", "d")]
    assert replayed.tables["orders"].changed == 3
    assert replace(drop.log.read(3), previous_sha256=None) == replayed


def test_the_newest_batch_comes_again_as_it_is(drop: Drop) -> None:
    """With the objects that it has, which nothing has superseded."""
    drop.put("orders.csv", "id,note\n1,a\n")
    drop.put("reviews/1.csv", "stars\n5\n5\n")
    first = drop.batch()

    replayed = again(drop, 1)

    assert replayed.files == first.files
    assert replayed.tables == first.tables
    assert drop.run().manifest is None


def test_a_file_of_lines_without_a_key_comes_again_until_there_is_a_later_one(drop: Drop) -> None:
    """A part of it would not be what any file says."""
    drop.put("reviews/1.csv", "stars\n5\n")
    drop.put("orders-1.csv", "id,note\n1,a\n")
    drop.batch()
    drop.put("reviews/2.csv", "stars\n1\n")
    drop.put("orders-2.csv", "id\nno note\n")
    drop.batch()

    replayed = again(drop, 1)

    assert keys(replayed) == ["orders-1.csv"]  # no later one that could be used
    assert drop.rows(replayed, REVIEWS) == []
    assert drop.rows(again(drop, 2), REVIEWS) == [("1",)]


@VERSIONED_OR_NOT
def test_a_replay_does_not_change_what_is_known(drop: Drop) -> None:
    """Files of a replay are older than those that were read last."""
    drop.put("orders.csv", "id,note\n1,a\n")
    drop.batch()
    drop.put("orders.csv", "id,note\n2,b\n")
    drop.batch()
    again(drop, 1)

    assert drop.run().manifest is None
    drop.put("orders.csv", "id,note\n1,a\n")
    assert drop.rows(drop.batch()) == [("1", "a")]


def test_a_file_whose_rows_are_all_current_comes_again_as_it_is(drop: Drop) -> None:
    """Its objects are named again, and none is written."""
    drop.put("orders-1.csv", "id,note\n1,a\n")
    first = drop.batch()
    drop.put("orders-2.csv", "id,note\n2,b\n")
    drop.batch()

    assert again(drop, 1).files == first.files


def test_a_later_file_without_rows_supersedes_none(drop: Drop) -> None:
    """Each row of the file comes again, the first one too."""
    drop.put("orders-1.csv", "id,note\n1,a\n2,b\n")
    first = drop.batch()
    drop.put("orders-2.csv", "id,note\n")
    drop.batch()

    assert again(drop, 1).files == first.files


def test_files_without_the_key_of_today_cannot_come_again(drop: Drop) -> None:
    """Which of their rows later files have is not known; the newest batch has no later ones."""
    drop.put("orders-1.csv", "id,note\n1,a\n")
    drop.batch()
    drop.put("orders-2.csv", "id,note\n2,b\n")
    drop.batch()
    orders = Table("orders", key="code", columns={"id": Integer(), "code": Text()})
    drop.source = Files("shop", (Feed(orders, "orders*.csv"),))
    drop.pipeline = Pipeline(
        sources=[drop.source], targets=[PostgresWarehouse("warehouse", (latest(orders),))]
    )

    with pytest.raises(OutdatedBatchError, match="some have no column code, which is declared"):
        again(drop, 1)
    assert drop.log.newest() == 2
