"""Rows that the source deletes leave the current state, stay in history, and are recorded."""

from collections.abc import Callable

import pytest

from functions.common import batchlog
from functions.common.batchlog import BatchLog
from functions.targets.postgres import deletions
from tests.pipeline.conftest import Functions
from tests.pipeline.managed_warehouse import (
    change,
    deleted,
    forget_what_was_loaded,
    move_to,
    query,
    snapshot_of,
    source_facts,
    views,
)
from tests.pipeline.oracle import history, records
from tests.pipeline.test_load import explained
from tests.postgres_fixtures import Warehouse

KEEP = "CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM payment WHERE payment_id BETWEEN 1 AND 9"
RETURN = "INSERT INTO payment SELECT * FROM kept WHERE payment_id"


@pytest.fixture(params=[deletions.FEW, 0], ids=["few keys", "many keys"])
def either_plan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have keys looked up one by one, or all together."""
    monkeypatch.setattr(deletions, "FEW", request.param)


@pytest.fixture
def shop(managed: Functions) -> Functions:
    """The functions after a first batch, before a managed warehouse; the shop keeps copies."""
    change(managed.source, KEEP)
    managed.run()
    return managed


def test_a_deleted_row_leaves_the_current_state_and_stays_in_history(shop: Functions) -> None:
    """A deleted row is in no view, in all its records, and in deleted_rows with the moment."""
    change(shop.source, "UPDATE payment SET payment_amount = 1 WHERE payment_id = 3")
    shop.run()
    change(shop.source, "DELETE FROM payment WHERE payment_id = 3",
           "INSERT INTO design SELECT 9000, created_at, 'x', '/x', 'x', last_updated FROM design"
           " WHERE design_id = 1")  # fmt: skip
    shop.run()
    change(shop.source, "DELETE FROM design WHERE design_id = 9000")
    shop.run()

    assert views(shop.warehouse) == source_facts(shop.source)
    assert len(history(shop.warehouse, "fact_payment", 3)) == 2
    assert deleted(shop.warehouse) == [
        ["dim_design", "9000", snapshot_of(shop, 4), 4, None],
        ["fact_payment", "3", snapshot_of(shop, 3), 3, None],
    ]


def test_a_row_that_comes_back_is_shown_again(shop: Functions) -> None:
    """With the values that it had there is no new record, and both moments are recorded."""
    before = records(shop.warehouse)
    change(shop.source, "DELETE FROM payment WHERE payment_id IN (3, 4)")
    shop.run()
    change(shop.source, f"{RETURN} = 3")
    shop.run()

    assert views(shop.warehouse) == source_facts(shop.source)
    assert records(shop.warehouse) == before
    assert deleted(shop.warehouse) == [
        ["fact_payment", "3", snapshot_of(shop, 2), 2, snapshot_of(shop, 3)],
        ["fact_payment", "4", snapshot_of(shop, 2), 2, None],
    ]

    change(shop.source, "DELETE FROM payment WHERE payment_id = 3")
    shop.run()

    assert views(shop.warehouse) == source_facts(shop.source)
    assert deleted(shop.warehouse)[1] == ["fact_payment", "3", snapshot_of(shop, 4), 4, None]


def test_a_row_that_comes_back_unfit_is_not_shown_before_it_is_corrected(shop: Functions) -> None:
    """In quarantine it is as good as gone: the view does not fall back to the state before."""
    change(shop.source, "DELETE FROM payment WHERE payment_id = 3")
    shop.run()
    change(shop.source, f"{RETURN} = 3", "UPDATE payment SET payment_amount = 'NaN'"
           " WHERE payment_id = 3")  # fmt: skip
    shop.run()
    assert [row[0] for row in views(shop.warehouse)["fact_payment"]][:3] == [1, 2, 4]

    change(shop.source, "UPDATE payment SET payment_amount = 5 WHERE payment_id = 3")
    shop.run()

    assert views(shop.warehouse) == source_facts(shop.source)


def eventful_days(functions: Functions) -> None:
    """Deletions of facts and of a dimension, returns with and without changes, in batches."""
    change(functions.source, "DELETE FROM payment WHERE payment_id < 8")
    functions.run()
    change(functions.source, f"{RETURN} IN (1, 2)", "DELETE FROM sales_order"
           " WHERE sales_order_id IN (1, 2)")  # fmt: skip
    functions.run()
    change(functions.source, "DELETE FROM payment WHERE payment_id IN (2, 9)", f"{RETURN} = 3",
           "UPDATE payment SET payment_amount = 3 WHERE payment_id = 3")  # fmt: skip
    functions.run()
    change(functions.source, "UPDATE payment SET payment_amount = 4 WHERE payment_id = 3",
           "DELETE FROM transaction WHERE transaction_id = 1")  # fmt: skip
    functions.run()


def test_batches_that_are_applied_again_change_nothing(shop: Functions) -> None:
    """All batches once more, or only the last, leave the recorded deletions as they are."""
    eventful_days(shop)
    deletions, shown = deleted(shop.warehouse), views(shop.warehouse)
    assert len(deletions) == 12

    shop.s3.delete_object(Bucket=shop.processed, Key="loaded/source/0000000005.json")
    assert shop.load()["batches"] == [5]
    assert (deleted(shop.warehouse), views(shop.warehouse)) == (deletions, shown)

    forget_what_was_loaded(shop)
    assert shop.load()["batches"] == [1, 2, 3, 4, 5]
    assert (deleted(shop.warehouse), views(shop.warehouse)) == (deletions, shown)
    assert shown == source_facts(shop.source)


def test_a_deletion_and_its_batch_are_one(shop: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader that dies before its marker records the deletion once, when it is back."""
    change(shop.source, "DELETE FROM payment WHERE payment_id = 3")
    shop.extract()
    shop.transform()

    def die(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(BatchLog, "claim", die)
        with pytest.raises(KeyboardInterrupt):
            shop.load()
    assert shop.load()["batches"] == [2]

    assert deleted(shop.warehouse) == [["fact_payment", "3", snapshot_of(shop, 2), 2, None]]


@pytest.mark.usefixtures("either_plan")
def test_earlier_deletions_are_recorded_when_the_setting_is_switched_on(
    functions: Functions,
    manage: Callable[[], None],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A prepared warehouse that becomes ours records what one would that always was."""
    monkeypatch.setattr(batchlog, "AHEAD", 2)
    monkeypatch.setattr("functions.targets.deletions.AT_ONCE", 2)
    change(functions.source, KEEP)
    functions.run()
    eventful_days(functions)
    query(functions.warehouse, "GRANT CREATE ON SCHEMA public TO warehouse_loader")

    manage()
    assert functions.load()["batches"] == []
    deletions = deleted(functions.warehouse)
    assert views(functions.warehouse) == source_facts(functions.source)

    always = new_managed_warehouse()
    move_to(functions, always)
    assert functions.load()["batches"] == [1, 2, 3, 4, 5]
    assert deleted(always) == deletions
    assert len(deletions) == 12
    assert views(always) == source_facts(functions.source)


def test_a_table_of_deletions_that_was_dropped_is_filled_again(shop: Functions) -> None:
    """No recorded deletion is lost with it."""
    eventful_days(shop)
    deletions = deleted(shop.warehouse)

    query(shop.warehouse, "DROP TABLE deleted_rows CASCADE")
    shop.load()

    assert deleted(shop.warehouse) == deletions
    assert views(shop.warehouse) == source_facts(shop.source)


def test_switched_off_and_on_again_leaves_no_gap(
    shop: Functions, manage: Callable[[str], None]
) -> None:
    """A table of deletions that is there is kept up to date in any case."""
    manage("false")
    eventful_days(shop)
    deletions = deleted(shop.warehouse)
    assert views(shop.warehouse) == source_facts(shop.source)

    manage("true")
    shop.run()

    assert (deleted(shop.warehouse), len(deletions)) == (deletions, 12)
    assert views(shop.warehouse) == source_facts(shop.source)


def test_many_deletions_are_never_searched_through_for_a_few_rows(
    shop: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows were deleted, those that come in a batch are looked up in the index."""
    query(
        shop.warehouse,
        "INSERT INTO deleted_rows SELECT 'fact_payment', n::text, '2020-01-01', 1, '2020-01-02'"
        " FROM generate_series(1000, 100000) AS n",
    )
    change(shop.source, "UPDATE payment SET payment_amount = 1 WHERE payment_id <= 5")
    plans = explained(monkeypatch, containing="SET seen_again_at")

    shop.run()

    assert ["Index Scan using deleted_rows_pkey" in plan for plan in plans] == [True] * len(plans)
    assert [plan for plan in plans if "Hash" in plan or "Merge" in plan] == []
    assert len(plans) == 1
