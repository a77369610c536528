"""Every change of the source arrives, exactly once, whether it leaves a trace or not."""

from datetime import date, time
from decimal import Decimal
from random import Random

from local.connection import connect
from pipelines.totesys.sample.business_day import trade
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected, history
from tests.postgres_fixtures import SAMPLE_NOW

INSERT_ORDER = """
    INSERT INTO sales_order (created_at, last_updated, design_id, staff_id, counterparty_id,
        units_sold, unit_price, currency_id, agreed_delivery_date, agreed_payment_date,
        agreed_delivery_location_id)
    VALUES (:stamp, :stamp, 1, 1, 1, 100, 2.50, 1, '2024-11-20', '2024-11-19', 1)
    RETURNING sales_order_id"""
NOW, LONG_AGO = "2024-11-16 09:00:00.123", "2019-02-28 23:59:59.999"


def test_an_update_that_leaves_no_trace_arrives(functions: Functions) -> None:
    """An update that keeps last_updated is loaded like any other."""
    functions.run()

    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE sales_order SET staff_id = staff_id % 20 + 1 WHERE sales_order_id = 7")
        source.run("UPDATE purchase_order SET item_code = 'NEW-1' WHERE purchase_order_id = 3")
        source.run("UPDATE design SET file_location = '/elsewhere' WHERE design_id = 2")
    extracted = functions.run()

    assert extracted["rows"] == {"sales_order": 1, "purchase_order": 1, "design": 1}
    assert current(functions.warehouse) == expected(functions.source)


def test_inserts_with_new_back_dated_and_equal_stamps_arrive(functions: Functions) -> None:
    """A row is loaded whatever its stamps say."""
    functions.run()

    with connect(functions.source.superuser_url) as source:
        for stamp in (NOW, NOW, LONG_AGO):
            source.run(INSERT_ORDER, stamp=stamp)
    extracted = functions.run()

    assert extracted["rows"] == {"sales_order": 3}
    assert current(functions.warehouse) == expected(functions.source)


def test_a_transaction_that_commits_late_is_not_passed_over(functions: Functions) -> None:
    """Rows of a transaction that was open during a run come with the first run after its commit."""
    functions.run()

    with (
        connect(functions.source.superuser_url) as late,
        connect(functions.source.superuser_url) as source,
    ):
        late.run("BEGIN")
        late.run(INSERT_ORDER, stamp=LONG_AGO)
        late.run("SAVEPOINT a")
        late.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 5")
        late.run("RELEASE SAVEPOINT a")
        source.run("UPDATE design SET file_name = 'other.json' WHERE design_id = 1")
        during = functions.run()
        late.run("COMMIT")
    after = functions.run()

    assert during["rows"] == {"design": 1}
    assert after["rows"] == {"sales_order": 1, "payment": 1}
    assert current(functions.warehouse) == expected(functions.source)


def test_a_rolled_back_change_never_arrives(functions: Functions) -> None:
    """A change that was rolled back, also to a savepoint, is none."""
    functions.run()

    with connect(functions.source.superuser_url) as source:
        source.run("BEGIN")
        source.run("UPDATE design SET file_name = 'kept.json' WHERE design_id = 1")
        source.run("SAVEPOINT a")
        source.run("UPDATE design SET file_name = 'lost.json' WHERE design_id = 2")
        source.run("ROLLBACK TO SAVEPOINT a")
        source.run("COMMIT")
        source.run("BEGIN")
        source.run("UPDATE design SET file_name = 'lost.json' WHERE design_id = 3")
        source.run("ROLLBACK")

    assert functions.run()["rows"] == {"design": 1}
    assert current(functions.warehouse) == expected(functions.source)


def test_fact_history_shows_every_state_that_a_run_saw(functions: Functions) -> None:
    """Each state of an order is a separate record, in order, also one that came before."""
    functions.run()

    with connect(functions.source.superuser_url) as source:
        for price in ("1.10", "2.20", "2.20", "1.10"):
            source.run(
                "UPDATE sales_order SET unit_price = :price::numeric,"
                " created_at = :stamp::timestamp, last_updated = :stamp::timestamp"
                " WHERE sales_order_id = 1",
                price=price,
                stamp=NOW,
            )
            functions.run()

    states = history(functions.warehouse, "fact_sales_order", 1)[1:]
    assert [state[8] for state in states] == [Decimal("1.10"), Decimal("2.20"), Decimal("1.10")]
    assert {tuple(state[1:3]) for state in states} == {(date(2024, 11, 16), time(9, 0, 0, 123000))}


def test_a_department_reaches_all_its_staff(functions: Functions) -> None:
    """A changed department name is in every row of its staff, although none of them changed."""
    functions.run()

    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE department SET department_name = 'Renamed' WHERE department_id = 2")
    extracted = functions.run()

    assert extracted["rows"] == {"department": 1}
    assert current(functions.warehouse) == expected(functions.source)


def test_an_address_reaches_counterparties_and_locations(functions: Functions) -> None:
    """A changed address is in dim_location and in the counterparties that have it."""
    functions.run()

    with connect(functions.source.superuser_url) as source:
        [[address]] = source.run("SELECT min(legal_address_id) FROM counterparty")
        source.run("UPDATE address SET city = 'Moved' WHERE address_id = :id", id=address)
    extracted = functions.run()

    assert extracted["rows"] == {"address": 1}
    assert current(functions.warehouse) == expected(functions.source)


def test_one_member_of_staff_who_moves_takes_the_department_along(functions: Functions) -> None:
    """A changed child arrives with its unchanged parent, and alone."""
    functions.run()

    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE staff SET department_id = department_id % 8 + 1 WHERE staff_id = 4")
        source.run("UPDATE counterparty SET legal_address_id = 30 WHERE counterparty_id = 2")
    extracted = functions.run()

    assert extracted["rows"] == {"staff": 1, "counterparty": 1}
    assert current(functions.warehouse) == expected(functions.source)


def test_a_deleted_row_stays_in_history_and_becomes_a_tombstone(functions: Functions) -> None:
    """Deletions are carried to the processed bucket once; the warehouse's history keeps the row."""
    functions.run()
    before = current(functions.warehouse)

    with connect(functions.source.superuser_url) as source:
        source.run("DELETE FROM payment WHERE payment_id IN (11, 12)")
    extracted = functions.run()

    assert extracted["deleted"] == {"payment": 2}
    manifest = functions.document(functions.processed, "batches/source/0000000002.json")
    assert manifest["tables"]["fact_payment"]["deleted"] == 2
    assert current(functions.warehouse) == before
    assert functions.run()["batch"] is None


def test_a_deleted_row_that_comes_back_is_a_change(functions: Functions) -> None:
    """A row that is deleted and inserted again with other values is loaded as it is now."""
    functions.run()

    with connect(functions.source.superuser_url) as source:
        [payment] = source.run("DELETE FROM payment WHERE payment_id = 11 RETURNING *")
        functions.run()
        places = ", ".join(f":v{place}" for place in range(len(payment)))
        source.run(
            f"INSERT INTO payment VALUES ({places})",
            **{f"v{place}": value for place, value in enumerate(payment)},
        )
        source.run("UPDATE payment SET payment_amount = 1.23 WHERE payment_id = 11")
    extracted = functions.run()

    assert extracted["rows"] == {"payment": 1}
    assert current(functions.warehouse) == expected(functions.source)


def test_a_minute_of_business_arrives(functions: Functions) -> None:
    """The shop's own way of working leaves nothing behind."""
    functions.run()
    with connect(functions.source.writer_url) as shop:
        for minute in range(3):
            trade(shop, Random(minute), SAMPLE_NOW)
            functions.run()
            assert current(functions.warehouse) == expected(functions.source)
