"""A warehouse that was damaged by hand is repaired from the source."""

from tests.pipeline.conftest import Functions
from tests.pipeline.managed_warehouse import (
    deleted,
    manage,
    managed,
    new_managed_warehouse,
    source_facts,
    views,
)
from tests.pipeline.oracle import current, expected, history, records
from tests.pipeline.reconciling import (
    counts,
    disagreements,
    extract,
    fresh_clients,
    in_source,
    in_warehouse,
    reconcile,
    repair,
)

__all__ = ["fresh_clients", "manage", "managed", "new_managed_warehouse"]

DAMAGE = {
    "UPDATE fact_sales_order SET units_sold = -1 WHERE sales_order_id = 2": (
        "fact_sales_order",
        {"different": 1},
    ),
    "DELETE FROM fact_purchase_order WHERE purchase_order_id IN (3, 4)": (
        "fact_purchase_order",
        {"missing": 2},
    ),
    "UPDATE dim_design SET file_name = 'x'": ("dim_design", {"different": 12}),
    "DELETE FROM dim_staff WHERE staff_id <= 5": ("dim_staff", {"missing": 5}),
    "UPDATE dim_counterparty SET counterparty_legal_city = 'x' WHERE counterparty_id = 1": (
        "dim_counterparty",
        {"different": 1},
    ),
    "INSERT INTO dim_payment_type VALUES (77, 'BARTER')": ("dim_payment_type", {"extra": 1}),
    (
        "INSERT INTO fact_payment (payment_id, created_date, created_time, last_updated_date,"
        " last_updated_time, transaction_id, counterparty_id, payment_amount, currency_id,"
        " payment_type_id, paid, payment_date) SELECT 4711, created_date, created_time,"
        " last_updated_date, last_updated_time, transaction_id, counterparty_id, payment_amount,"
        " currency_id, payment_type_id, paid, payment_date FROM fact_payment WHERE payment_id = 1"
    ): ("fact_payment", {"extra": 1}),
}


def test_damage_of_every_kind_is_found_and_repaired(managed: Functions) -> None:
    """Rows changed, deleted and added by hand, in dimensions and facts, are as in the source."""
    managed.run()
    in_warehouse(managed, *DAMAGE)

    assert disagreements(reconcile()) == dict(DAMAGE.values())
    repaired = repair(managed)
    report = reconcile()

    assert report["agrees"] is True
    assert disagreements(report) == {
        "fact_payment": {"deleted": 1},
        "dim_payment_type": {"deleted": 1},
    }
    assert repaired["deleted"] == {"payment": 1, "payment_type": 1}
    assert repaired["rows"].keys() == {
        *("counterparty", "design", "payment", "payment_type"),
        *("purchase_order", "sales_order", "staff"),
    }
    star, there = expected(managed.source), current(managed.warehouse)
    added = {"dim_payment_type": 77, "fact_payment": 4711}
    for name, rows in star.items():
        assert [row for row in there[name] if row[0] != added.get(name)] == rows
    assert views(managed.warehouse) == source_facts(managed.source)
    assert [row[:2] for row in deleted(managed.warehouse)] == [
        ["dim_payment_type", "77"],
        ["fact_payment", "4711"],
    ]


def test_a_repaired_fact_keeps_its_history(functions: Functions) -> None:
    """A record that was changed by hand gets a newer one that is equal to the source."""
    functions.run()
    [as_it_was] = history(functions.warehouse, "fact_sales_order", 2)
    before = records(functions.warehouse)
    in_warehouse(functions, "UPDATE fact_sales_order SET units_sold = 0 WHERE sales_order_id = 2")

    repair(functions)

    after = history(functions.warehouse, "fact_sales_order", 2)
    assert (len(after), after[-1]) == (2, as_it_was)
    assert records(functions.warehouse) == {
        **before,
        "fact_sales_order": before["fact_sales_order"] + 1,
    }
    assert repair_has_nothing_to_do(functions)


def repair_has_nothing_to_do(functions: Functions) -> bool:
    return reconcile()["repair"] == {} and functions.extract()["batch"] is None


def test_a_repair_names_what_disagrees_and_nothing_else(functions: Functions) -> None:
    """The event has the source tables of what disagrees, and the keys that are too many."""
    functions.run()
    in_warehouse(
        functions,
        "DELETE FROM dim_staff WHERE staff_id = 5",
        "INSERT INTO dim_payment_type VALUES (77, 'BARTER')",
    )

    assert reconcile()["repair"] == {
        "read": ["payment_type", "staff"],
        "absent": {"payment_type": [77]},
    }


def test_extract_looks_itself_whether_a_row_is_absent(functions: Functions) -> None:
    """A key that an event takes for absent, and that the source has, gets no tombstone."""
    functions.run()

    extracted = extract({"read": [], "absent": {"payment_type": [2, 77, 77]}})

    assert extracted["deleted"] == {"payment_type": 1}
    functions.transform()
    functions.load()
    assert disagreements(reconcile()) == {}


def test_what_no_repair_can_help_is_said(functions: Functions) -> None:
    """A row in quarantine still disagrees after a repair, and the note says where to correct it."""
    in_source(functions, "UPDATE payment SET payment_amount = 'NaN' WHERE payment_id = 5")
    functions.run()

    repair(functions)

    assert counts(reconcile()["tables"]["fact_payment"])["note"] == (
        "in quarantine: 1 (no repair helps: correct them in the source)"
    )
