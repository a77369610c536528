"""The files that a demonstration of retail drops have what the real ones have."""

import csv
import io
from collections import Counter
from datetime import date, datetime
from itertools import pairwise

from holidays import country_holidays

from pipelines.retail.pipeline import FEEDS, PIPELINE
from pipelines.retail.sample import bad_files, files

NOW = datetime(2026, 11, 22, 12)
SAMPLE = files("shop", NOW)


def rows(key: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(SAMPLE[key].decode(), newline="")))


def dates(key: str, column: str) -> list[date]:
    return [date.fromisoformat(row[column]) for row in rows(key) if row[column]]


def test_each_file_is_of_a_feed_with_its_columns() -> None:
    """A demonstration drops what the pipeline reads, and nothing is refused."""
    assert [key for feed in FEEDS for key in SAMPLE if feed.fits(key)] == [*SAMPLE]
    for feed in FEEDS:
        assert list(rows(feed.pattern)[0]) == list(feed.table.columns)


def test_the_sample_has_the_size_of_the_real_thing() -> None:
    """The time of a demonstration says something about a shop."""
    counts = {key: len(rows(key)) for key in SAMPLE}
    assert counts == {
        "orders.csv": 10_000,
        "reviews.csv": 7_000,
        "shipment_deliveries.csv": 10_000,
        "products.csv": 25,
    }


def test_reviews_have_equal_lines() -> None:
    """A pipeline that drops equal lines is found out."""
    assert len(set(SAMPLE["reviews.csv"].splitlines())) == 1 + 5 * 25


def test_orders_are_placed_on_holidays_of_both_kinds_up_to_yesterday() -> None:
    """Holidays on working days and on weekends, in a year that has ended just now."""
    ordered = dates("orders.csv", "order_date")
    holidays = country_holidays("NG")
    found = Counter(day.weekday() < 5 for day in ordered if day in holidays)
    assert min(found[True], found[False]) > 20
    assert max(ordered) == date(2026, 11, 21)
    assert (max(ordered) - min(ordered)).days == 612


def test_some_shipments_are_late_and_most_have_not_left() -> None:
    """Empty dates are common, and an order is on its way before it arrives."""
    ordered = {row["order_id"]: date.fromisoformat(row["order_date"]) for row in rows("orders.csv")}
    late = missing = 0
    for row in rows("shipment_deliveries.csv"):
        steps = [ordered[row["order_id"]]]
        steps += [
            date.fromisoformat(row[name])
            for name in ("shipment_date", "delivery_date")
            if row[name]
        ]
        assert steps == sorted(set(steps))
        missing += not row["shipment_date"]
        late += not row["delivery_date"] and any((b - a).days >= 6 for a, b in pairwise(steps))
    assert 6_000 < missing < 7_000
    assert 100 < late < 300


def test_the_same_day_gives_the_same_files() -> None:
    """A number that somebody reports can be checked by somebody else."""
    assert files("shop", NOW) == SAMPLE
    assert files("shop", datetime(2026, 11, 23)) != SAMPLE


def test_the_later_drop_has_all_that_belongs_together_and_few_bad_rows() -> None:
    """It goes through, as a file with more bad rows than MAX_REJECTS would be refused whole."""
    [source] = PIPELINE.files
    later = bad_files("shop", NOW)
    assert {*later} == {feed.pattern for feed in source.feeds if not feed.optional}
    for key, body in later.items():
        assert body.startswith(SAMPLE[key])
        assert 1 <= body.count(b"\n") - SAMPLE[key].count(b"\n") < 50
