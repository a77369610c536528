"""Reconcile compares as of the newest loaded batch: what is newer in the source is pending."""

import pytest

from functions.targets.postgres import comparer
from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.reconciling import (
    disagreements,
    fresh_clients,
    in_source,
    in_warehouse,
    reconcile,
)

__all__ = ["fresh_clients"]


def staff_of(functions: Functions, department: int) -> int:
    with connect(functions.source.superuser_url) as source:
        [[number]] = source.run(f"SELECT count(*) FROM staff WHERE department_id = {department}")
    return int(number)


def test_what_is_not_loaded_yet_is_pending_and_no_disagreement(functions: Functions) -> None:
    """New, changed and deleted rows of a shop that trades are counted apart, and all agrees."""
    functions.run()
    in_source(
        functions,
        "INSERT INTO currency VALUES (7, 'JPY', now(), now())",
        "UPDATE design SET file_name = 'other.json' WHERE design_id = 3",
        "UPDATE sales_order SET units_sold = units_sold + 1 WHERE sales_order_id <= 4",
        "DELETE FROM payment WHERE payment_id = 9",
        "UPDATE payment SET payment_amount = 'NaN' WHERE payment_id = 5",
    )

    report = reconcile()

    assert (report["agrees"], report["batch"], report["repair"]) == (True, 1, {})
    assert disagreements(report) == {
        "dim_currency": {"pending": 1},
        "dim_design": {"pending": 1},
        "fact_sales_order": {"pending": 4},
        "fact_payment": {"pending": 2},
    }
    in_source(functions, "UPDATE payment SET payment_amount = 1 WHERE payment_id = 5")
    functions.run()
    assert disagreements(reconcile()) == {"fact_payment": {"deleted": 1}}


def test_damage_is_found_in_the_middle_of_trading(functions: Functions) -> None:
    """Changes that are on their way hide no row that was damaged by hand."""
    functions.run()
    in_source(functions, "UPDATE design SET file_name = 'other.json' WHERE design_id = 3")
    in_warehouse(functions, "UPDATE dim_design SET file_name = 'x' WHERE design_id = 5")

    report = reconcile()

    assert report["agrees"] is False
    assert disagreements(report) == {"dim_design": {"pending": 1, "different": 1}}
    assert report["tables"]["dim_design"]["examples"] == {"different": [5]}


def test_a_transaction_that_was_open_during_the_batch_is_pending(functions: Functions) -> None:
    """Rows that were written before the batch and committed after it are on their way."""
    with connect(functions.source.superuser_url) as slow:
        slow.run("BEGIN; UPDATE design SET file_name = 'slow.json' WHERE design_id = 3")
        in_source(functions, "UPDATE design SET file_name = 'quick.json' WHERE design_id = 4")
        functions.run()
        slow.run("COMMIT")
    in_warehouse(functions, "UPDATE dim_design SET file_name = 'x' WHERE design_id = 4")

    assert disagreements(reconcile()) == {"dim_design": {"pending": 1, "different": 1}}


def test_a_partner_that_changed_or_went_makes_its_rows_pending(functions: Functions) -> None:
    """A row of the star is on its way when any of its source rows is."""
    functions.run()
    in_source(
        functions,
        "UPDATE department SET location = 'Elsewhere' WHERE department_id = 1",
        "DELETE FROM department WHERE department_id = 2",
    )

    report = reconcile()

    both = staff_of(functions, 1) + staff_of(functions, 2)
    assert both > 0
    assert disagreements(report) == {"dim_staff": {"pending": both}}


def test_an_order_that_waits_is_pending_once_its_parent_has_come(functions: Functions) -> None:
    """A fact in quarantine disagrees until what it waits for is in the source."""
    in_source(functions, "UPDATE sales_order SET design_id = 999 WHERE sales_order_id = 3")
    functions.run()

    report = reconcile()
    assert disagreements(report) == {"fact_sales_order": {"missing": 1, "quarantined": 1}}
    assert report["agrees"] is False

    in_source(
        functions, "INSERT INTO design VALUES (999, now(), 'late', '/usr', 'late.json', now())"
    )
    report = reconcile()
    assert disagreements(report) == {
        "dim_design": {"pending": 1},
        "fact_sales_order": {"pending": 1},
    }
    functions.run()
    assert disagreements(reconcile()) == {}


def test_a_batch_that_is_loaded_and_not_marked_leaves_nothing_extra(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of a batch without a marker that the source has deleted is on its way out."""
    functions.run()
    in_source(functions, "INSERT INTO currency VALUES (7, 'JPY', now(), now())")
    functions.run()
    in_source(functions, "DELETE FROM currency WHERE currency_id = 7")
    monkeypatch.setattr(comparer, "loaded_batch", lambda *_: 1)
    monkeypatch.setattr(comparer, "newest_marked", lambda *_: 1)

    report = reconcile()

    assert (report["batch"], disagreements(report)) == (1, {"dim_currency": {"pending": 1}})


def test_an_unknown_history_is_said_and_excuses_nothing(functions: Functions) -> None:
    """Where nobody can say what changed since the batch, a difference is one, with a note."""
    functions.run()
    in_source(
        functions,
        "ALTER TABLE design ADD COLUMN colour text",
        "UPDATE design SET file_name = 'other.json' WHERE design_id = 3",
        "UPDATE currency SET currency_code = 'JPY' WHERE currency_id = 3",
    )

    report = reconcile()

    assert disagreements(report) == {
        "dim_design": {"different": 1},
        "dim_currency": {"pending": 1},
    }
    assert report["tables"]["dim_design"]["note"] == (
        "what has changed since batch 1 is not known (the source was restarted, restored or "
        "altered), so rows on their way count too: compare again after the next batch"
    )
    functions.run()
    assert reconcile()["agrees"] is True


def test_a_warehouse_without_a_batch_does_not_agree(functions: Functions) -> None:
    """An empty warehouse is not excused: its rows are missing, and why is said."""
    report = reconcile()

    assert (report["agrees"], report["batch"]) == (False, None)
    assert report["tables"]["dim_staff"]["missing"] == 20
    assert report["tables"]["dim_staff"]["note"] == (
        "no batch is in this warehouse yet: load fills it"
    )
