"""Files that belong together, and sources that are not read more often than they are to be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from etl import at_most
from functions.common.accounts import FileAccount
from functions.common.errors import SettingsError
from functions.common.manifests import Balance, IngestionManifest, ProcessedManifest
from tests.aws.drop import APART, ORDERS, REVIEWS, TOGETHER, Drop, keys

DAILY = replace(TOGETHER, at_most=at_most("SHOP_AT_MOST", "1 day"))


def put_all(drop: Drop, note: str = "a") -> None:
    drop.put("orders.csv", f"id,note\n1,{note}\n")
    drop.put("reviews/1.csv", "stars\n5\n")


@pytest.fixture
def together(aws: None) -> Drop:
    """Orders and reviews belong together; notes may come with them."""
    return Drop(TOGETHER)


def test_files_that_belong_together_are_read_when_all_are_there(together: Drop) -> None:
    """Until then it is said for how long the others are waited for, and then that they lack."""
    together.put("orders.csv", "id,note\n1,a\n")
    together.later = timedelta(seconds=5)
    waiting = together.run()
    together.later = timedelta(minutes=5)
    lacking = together.run()
    together.put("reviews/1.csv", "stars\n5\n")
    together.later = timedelta(seconds=5)
    batch = together.batch()

    assert waiting.manifest is None
    assert waiting.postponed is not None
    assert "reviews/*.csv may follow within 30 seconds" in waiting.postponed
    assert (lacking.manifest, lacking.postponed) == (None, None)
    assert lacking.waiting == "waits for reviews/*.csv"
    assert keys(batch) == ["orders.csv", "reviews/1.csv"]
    assert together.run().manifest is None


def test_what_is_new_comes_with_the_newest_of_the_others(together: Drop) -> None:
    """When nothing more has come for a while; a batch always has all of them."""
    put_all(together)
    together.put("notes.json", '{"id": 1}')
    together.batch()
    together.put("reviews/2.csv", "stars\n1\n")
    together.later = timedelta(seconds=5)
    postponed = together.run()
    together.later = timedelta(minutes=5)
    batch = together.batch()

    assert postponed.manifest is None
    assert postponed.postponed
    assert set(keys(batch)) == {"orders.csv", "reviews/2.csv", "notes.json"}
    assert together.rows(batch, REVIEWS) == [("1",)]
    assert together.run().manifest is None


def test_nothing_settles_for_who_asks_for_it_now(together: Drop) -> None:
    """The files that are there are read, if all that belong together are."""
    put_all(together)
    together.batch()
    together.put("orders.csv", "id,note\n1,b\n")
    together.later = timedelta(0)

    assert together.rows(together.batch(lifted=True)) == [("1", "b")]


def test_a_file_that_changes_while_others_are_read_begins_the_batch_again(aws: None) -> None:
    """All of a batch was in the bucket at one time."""
    drop = Drop(TOGETHER, versioned=False)
    put_all(drop)
    changes = iter(["b"])

    def overwrite(**_: object) -> None:
        if note := next(changes, None):
            put_all(drop, note)

    drop.client.meta.events.register("before-call.s3.GetObject", overwrite)
    batch = drop.batch()

    assert drop.rows(batch) == [("1", "b")]
    assert set(keys(batch)) == {"orders.csv", "reviews/1.csv"}


def test_files_that_never_stop_changing_postpone_the_batch(aws: None) -> None:
    """The next run tries again, and says why."""
    drop = Drop(TOGETHER, versioned=False)
    put_all(drop)
    numbers = iter(range(100))

    def overwrite(**_: object) -> None:
        put_all(drop, str(next(numbers)))

    drop.client.meta.events.register("before-call.s3.GetObject", overwrite)

    assert drop.run().postponed == "files of shop change while being read"
    assert drop.log.newest() == 0


@pytest.fixture
def daily(aws: None) -> Drop:
    """Read at most once a day."""
    return Drop(DAILY)


def after(drop: Drop, days: int) -> None:
    """Let the time be noon, some days from now."""
    noon = datetime.now(UTC).replace(hour=12) + timedelta(days=days)
    drop.later = noon - datetime.now(UTC)


def test_a_source_is_read_at_most_once_a_day(daily: Drop) -> None:
    """A run on the same day says when it is due; on the next day it is read."""
    after(daily, 1)
    put_all(daily)
    daily.batch()
    put_all(daily, "b")
    same_day = daily.run()
    daily.later += timedelta(hours=12)
    batch = daily.batch()

    assert same_day.manifest is None
    assert same_day.waiting is not None
    assert same_day.waiting.startswith("is read at most once in 1 day (SHOP_AT_MOST): next at ")
    assert daily.rows(batch) == [("1", "b")]


def test_nothing_new_is_nothing_to_wait_for(daily: Drop) -> None:
    """A day without a file is no day with a waiting one."""
    put_all(daily)
    daily.batch()

    assert daily.run().waiting is None


def test_who_asks_for_it_now_gets_the_newest_files_once_more(daily: Drop) -> None:
    """On the same day, with nothing new: the same rows as another batch."""
    put_all(daily)
    first = daily.batch()
    again = daily.batch(lifted=True)

    assert (again.batch, keys(again)) == (2, keys(first))
    assert daily.rows(again) == daily.rows(first)


def test_asking_now_for_a_source_without_a_limit_reads_what_is_new(aws: None) -> None:
    """And nothing where nothing is."""
    drop = Drop(APART)
    drop.put("orders.csv", "id,note\n1,a\n")
    drop.batch(lifted=True)

    assert drop.run(lifted=True).manifest is None


@pytest.mark.parametrize(
    ("text", "wait", "is_due"),
    [
        ("2 days", timedelta(days=1), False),
        ("2 days", timedelta(days=2), True),
        ("12 hours", timedelta(hours=11), False),
        ("12 hours", timedelta(hours=12, minutes=1), True),
        ("30 minutes", timedelta(minutes=31), True),
    ],
)
def test_how_often_is_a_setting(
    daily: Drop, monkeypatch: pytest.MonkeyPatch, text: str, wait: timedelta, is_due: bool
) -> None:
    """Days end at midnight (UTC); hours and minutes count from the last batch."""
    monkeypatch.setenv("SHOP_AT_MOST", text)
    after(daily, 1)
    put_all(daily)
    daily.batch()
    put_all(daily, "b")
    daily.later += wait

    assert (daily.run().manifest is not None) is is_due


def test_a_setting_that_is_no_time_is_named(daily: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was checked when it was deployed, and somebody has changed it since."""
    monkeypatch.setenv("SHOP_AT_MOST", "daily")
    put_all(daily)

    with pytest.raises(SettingsError, match="SHOP_AT_MOST of this function is no time"):
        daily.run()


@pytest.mark.parametrize("refused", [True, False])
def test_a_drop_that_was_refused_may_come_again_the_same_day(daily: Drop, refused: bool) -> None:
    """Only if nothing of it was accepted."""
    after(daily, 1)
    put_all(daily)
    first = daily.batch()
    daily.processed.claim(processed(first, "too many rows" if refused else None))
    put_all(daily, "b")

    assert (daily.run().manifest is not None) is refused


def processed(batch: IngestionManifest, reason: str | None) -> ProcessedManifest:
    """Return what transform says of a batch of which each file was refused, or none."""
    return ProcessedManifest(
        batch=batch.batch,
        written_at=batch.written_at,
        run="run",
        source=batch.source,
        tables={},
        balance={ORDERS.id: Balance(0, 0, 0, 0)},
        quarantine={},
        absent={},
        files=[
            FileAccount(each.table, each.file, each.rows, 0, each.rows, reason=reason)
            for each in batch.files
        ],
    )
