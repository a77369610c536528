"""Reconcile of files: what is in the bucket now, against what is in the warehouse."""

from typing import Any

import pytest

from etl import (
    Feed,
    Files,
    Pipeline,
    PostgresWarehouse,
    Table,
    Text,
    history,
    latest,
    replace,
)
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from functions.reconcile import handler as reconcile_handler
from functions.transform import handler as transform_handler
from tests.pipeline.conftest import forget_clients
from tests.pipeline.file_shop import (
    FEEDS,
    FIRST,
    REVIEWS,
    SECOND,
    STOCK,
    TARGETS,
    Shop,
    empty_shop,
    price,
    review,
    shop,
    stock,
)
from tests.pipeline.reconciling import disagreements, fresh_clients, reconcile, repair

__all__ = ["empty_shop", "fresh_clients", "shop"]


def notes(report: dict[str, Any]) -> dict[str, str]:
    return {name: table["note"] for name, table in report["tables"].items() if table["note"]}


def test_everything_agrees_after_each_run(shop: Shop) -> None:
    """Equal lines count each, and of several files, and versions of one, the last one wins."""
    report = reconcile()
    assert (report["agrees"], disagreements(report), notes(report)) == (True, {}, {})
    sizes = {
        name: (found["source"], found["warehouse"]) for name, found in report["tables"].items()
    }
    assert sizes == {
        "review": (5, 5), "stock": (3, 3), "price": (4, 4), "price_history": (4, 4),
    }  # fmt: skip

    shop.run(
        reviews=REVIEWS + "5,good\n", stock=STOCK.replace("20", "21"),
        prices_1="item,day,amount\npen,2026-01-02,1.30\n",
    )  # fmt: skip

    report = reconcile()
    assert (report["agrees"], disagreements(report)) == (True, {})
    assert report["tables"]["price"]["source"] == 4


def test_refused_rows_are_counted_and_not_missed(shop: Shop) -> None:
    """They are no rows of the warehouse, and errors/ has them."""
    shop.run(stock=STOCK + "four,4\n", prices_2=SECOND + "cap,2026-13-01,1.00\n")

    report = reconcile()

    assert report["agrees"] is True
    assert disagreements(report) == {
        "stock": {"quarantined": 1},
        "price": {"quarantined": 1},
        "price_history": {"quarantined": 1},
    }
    assert notes(report)["stock"] == "refused: 1 (errors/ has them: correct the file)"


def test_damage_is_found_and_what_files_say_is_repaired(shop: Shop) -> None:
    """Of a table without a key the lines are counted, of any other the keys are named."""
    shop.damage(
        "DELETE FROM review WHERE ctid = (SELECT min(ctid) FROM review)",
        "INSERT INTO review VALUES (1, 'bad'), (1, 'bad')",
        "UPDATE stock SET pieces = 0 WHERE id = 2", "DELETE FROM stock WHERE id = 3",
        "INSERT INTO stock VALUES (9, 9)",
        "DELETE FROM price WHERE item = 'ink'",
        "UPDATE price SET amount = 9 WHERE item = 'nib'",
        "INSERT INTO price VALUES ('cap', '2026-01-01', 1)",
    )  # fmt: skip

    report = reconcile()

    assert report["agrees"] is False
    assert disagreements(report) == {
        "review": {"missing": 1, "extra": 2},
        "stock": {"missing": 1, "different": 1, "extra": 1},
        "price": {"missing": 1, "different": 1, "extra": 1},
    }
    assert report["tables"]["review"]["warehouse"] == 6
    assert report["tables"]["price"]["examples"] == {
        "missing": ["ink, 2026-01-01"],
        "different": ["nib, 2026-01-01"],
        "extra": ["cap, 2026-01-01"],
    }
    assert report["repair"] == {"read": ["review", "stock", "price"], "absent": {}}

    repair(shop.functions)

    report = reconcile()
    assert disagreements(report) == {"price": {"extra": 1}}
    assert notes(report) == {"price": "no repair removes extra rows: files say nothing of them"}


def test_what_newer_files_change_is_pending(shop: Shop) -> None:
    """A file that no batch of the warehouse has is on its way, and no reason for an alarm."""
    shop.drop(reviews="stars,words\n5,good\n2,\n", stock="id,pieces\n2,20\n4,40\n", prices_1=SECOND)
    shop.drop(prices_3="item,day,amount\npen,2026-01-01,7.00\nbag,2026-01-01,8.00\n")

    report = reconcile()

    assert report["agrees"] is True
    assert disagreements(report) == {
        "review": {"pending": 5},
        "stock": {"pending": 3},
        "price": {"pending": 2},
        "price_history": {"pending": 2},
    }
    assert notes(report)["review"] == "after batch 2 came reviews.csv"
    assert notes(report)["price"] == "after batch 2 came prices/1.csv, prices/3.csv"


def test_a_file_that_was_deleted_raises_no_alarm(shop: Shop) -> None:
    """The rows that it had, or had overwritten, count as deleted, and the note says why."""
    shop.delete("reviews.csv")
    shop.delete("prices/2.csv")

    report = reconcile()

    assert report["agrees"] is True
    assert disagreements(report) == {
        "review": {"deleted": 5},
        "price": {"deleted": 2},
        "price_history": {"deleted": 2},
    }
    assert notes(report)["review"] == "not in the bucket any more: reviews.csv"
    assert notes(report)["price"] == "not in the bucket any more: prices/2.csv"


def test_a_deleted_file_explains_nothing_that_a_later_one_says(shop: Shop) -> None:
    """Where old files expire, the rows of those that are left are compared as ever."""
    shop.delete("prices/1.csv")
    shop.damage("UPDATE price SET amount = 9 WHERE item = 'nib'")

    report = reconcile()

    assert disagreements(report) == {
        "price": {"different": 1, "deleted": 2},
        "price_history": {"deleted": 2},
    }


def test_a_file_that_was_refused_whole_leaves_the_one_before_it(shop: Shop) -> None:
    """The warehouse has the newest file that was accepted, which versions keep."""
    shop.run(stock="id,pieces\nx,1\n", prices_1="item,day\npen,2026-01-01\n")

    report = reconcile()

    assert (report["agrees"], disagreements(report)) == (True, {})


def test_a_file_that_cannot_be_read_any_more_is_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that cannot be compared has an error, and the others are compared."""
    coloured = Table("stock", key="id", columns={**stock.columns, "colour": Text()})
    feeds = (FEEDS[0], Feed(coloured, "stock.csv"), FEEDS[2])
    tables = (replace(review), replace(coloured, columns=stock.columns), *TARGETS[2:])
    today = Pipeline(
        sources=[Files("shop", feeds)], targets=[PostgresWarehouse("warehouse", tables)]
    )
    monkeypatch.setattr(reconcile_handler, "load", lambda name: today)

    report = reconcile()

    assert {name: table["error"] for name, table in report["tables"].items() if table["error"]} == {
        "stock": "stock.csv cannot be compared: its header has no column colour"
    }
    assert report["tables"]["review"]["source"] == 5
    assert report["repair"] == {}


def test_files_from_before_a_column_was_declared_are_compared(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no value for it, and neither have the rows that are made of them."""
    noted = Table("price", key=price.key, columns={**price.columns, "note": Text(nullable=True)})
    feeds = (Feed(noted, "prices/*.csv", max_rejects=0.4),)
    later = Pipeline(
        sources=[Files("shop", feeds)],
        targets=[PostgresWarehouse("warehouse", (latest(noted), history(noted, name="prices")))],
    )
    for handler in (extract_handler, transform_handler, load_handler, reconcile_handler):
        monkeypatch.setattr(handler, "load", lambda name: later)
    forget_clients()
    shop.run(prices_3="item,day,amount,note\nink,2026-01-03,7.00,new\n")

    report = reconcile()

    assert (report["agrees"], disagreements(report), notes(report)) == (True, {}, {})
    assert report["tables"]["price"]["source"] == 5


def test_without_versions_a_file_that_was_overwritten_is_gone(empty_shop: Shop) -> None:
    """Nothing can be compared with a file that nobody has any more."""
    empty_shop.run(stock=STOCK)
    empty_shop.run(stock="id,pieces\nx,1\n")

    report = reconcile()

    assert report["agrees"] is True
    assert disagreements(report) == {"stock": {"deleted": 3}}
    assert notes(report) == {"stock": "not in the bucket any more: stock.csv"}


def test_before_the_first_batch_everything_is_on_its_way(empty_shop: Shop) -> None:
    """A pipeline that has just been deployed has no disagreement."""
    empty_shop.functions.load()
    empty_shop.drop(reviews=REVIEWS, prices_1=FIRST)

    report = reconcile()

    assert (report["agrees"], report["batch"]) == (True, None)
    assert disagreements(report)["review"] == {"pending": 5}
    assert disagreements(report)["price"] == {"pending": 3}
