"""Tables and columns that are recreated under their old names: none of their rows is skipped.

Such rows may be older than the last batch, and have been in no table that it knew.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.connection import connect
from local.databases import READER
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected

MADE_AGAIN = "table {}: it, or a part or a column of it, was recreated: all of its rows are read"
PATIENCE_SECONDS = 120.0


def alter(functions: Functions, *statements: str) -> None:
    with connect(functions.source.superuser_url) as source:
        for statement in statements:
            source.run(statement)


def test_a_table_that_was_dropped_and_made_again_is_read_whole(functions: Functions) -> None:
    """Its new rows come, and those that it had before and has no more are reported as deleted."""
    functions.run()
    alter(
        functions,
        "CREATE TABLE kept AS SELECT * FROM payment WHERE payment_id <> 3",
        "DROP TABLE payment",
    )
    during = functions.run()
    assert (set(during["stopped"]), during["deleted"]) == ({"payment"}, {})
    alter(
        functions,
        "ALTER TABLE kept RENAME TO payment",
        "UPDATE payment SET payment_amount = 9.99 WHERE payment_id = 4",
        "UPDATE design SET file_name = 'new.json' WHERE design_id = 1",
    )
    without_right = functions.run()
    alter(functions, "GRANT SELECT ON payment TO source_reader")

    extracted = functions.run()

    assert (without_right["rows"], without_right["drift"]) == ({"design": 1}, [])
    assert extracted["drift"] == [MADE_AGAIN.format("payment")]
    assert (extracted["stopped"], extracted["deleted"]) == ({}, {"payment": 1})
    loaded = [row for row in current(functions.warehouse)["fact_payment"] if row[0] != 3]
    assert loaded == expected(functions.source)["fact_payment"]
    assert functions.run()["batch"] is None


@pytest.mark.parametrize("is_seen_missing", [False, True], ids=["at once", "after a while"])
def test_another_table_that_takes_the_place_of_one_is_read_whole(
    functions: Functions, is_seen_missing: bool
) -> None:
    """Rows that were written before the last batch, into a table that it did not know, come."""
    alter(
        functions,
        "CREATE TABLE prepared (LIKE design INCLUDING ALL)",
        "INSERT INTO prepared SELECT design_id, created_at, design_name || ' II', file_location,"
        " file_name, last_updated FROM design",
        "GRANT SELECT ON prepared TO source_reader",
    )
    functions.run()
    alter(functions, "ALTER TABLE design RENAME TO former")
    if is_seen_missing:
        assert set(functions.run()["stopped"]) == {"design"}
    alter(functions, "ALTER TABLE prepared RENAME TO design")

    extracted = functions.run()

    assert MADE_AGAIN.format("design") in extracted["drift"]
    names = [row[1] for row in current(functions.warehouse)["dim_design"]]
    assert all(name.endswith(" II") for name in names)
    assert current(functions.warehouse)["dim_design"] == expected(functions.source)["dim_design"]
    assert functions.run()["batch"] is None


def test_a_column_that_is_made_again_within_a_minute_is_read_whole(functions: Functions) -> None:
    """A column's values are gone with it, and no row shows a trace of that."""
    last = "ALTER TABLE design ADD COLUMN extra text DEFAULT 'before'"
    alter(functions, last)
    functions.run()
    alter(functions, "ALTER TABLE design DROP COLUMN extra", last.replace("before", "after"))

    extracted = functions.run()

    assert extracted["drift"] == [MADE_AGAIN.format("design")]
    assert extracted["rows"] == {"design": len(expected(functions.source)["dim_design"])}


def test_the_rows_of_an_attached_partition_arrive(functions: Functions) -> None:
    """Rows that were in another table before the last batch are new in this one."""
    alter(
        functions,
        "ALTER TABLE payment_type RENAME TO lowest",
        "ALTER TABLE lowest DROP CONSTRAINT payment_type_pkey CASCADE",
        "CREATE TABLE payment_type (LIKE lowest) PARTITION BY RANGE (payment_type_id)",
        "ALTER TABLE payment_type ATTACH PARTITION lowest FOR VALUES FROM (1) TO (100)",
        "CREATE TABLE highest (LIKE lowest)",
        "INSERT INTO highest SELECT 100, 'PURCHASE_REFUND', created_at, last_updated FROM lowest"
        " LIMIT 1",
        "GRANT SELECT ON payment_type TO source_reader",
    )
    functions.run()
    alter(
        functions,
        "ALTER TABLE payment_type ATTACH PARTITION highest FOR VALUES FROM (100) TO (200)",
    )

    functions.run()

    kinds = current(functions.warehouse)["dim_payment_type"]
    assert [row[0] for row in kinds] == [1, 2, 3, 4, 100]
    assert kinds == expected(functions.source)["dim_payment_type"]


def test_a_value_of_an_enum_that_is_renamed_arrives_in_all_rows(functions: Functions) -> None:
    """The rows are as they were, and show another text."""
    functions.run()
    alter(functions, "ALTER TYPE \"TransactionType\" RENAME VALUE 'SALE' TO 'SOLD'")

    extracted = functions.run()

    was, now = (f'enum "TransactionType" ({value}, PURCHASE)' for value in ("SALE", "SOLD"))
    assert extracted["drift"] == [
        f"table transaction: column transaction_type was {was} and is now {now}: it goes through"
    ]
    assert current(functions.warehouse) == expected(functions.source)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE design ALTER COLUMN design_id TYPE bigint",
        "ALTER TABLE design RENAME TO old_design",
    ],
    ids=["rewritten", "renamed"],
)
def test_a_table_that_is_altered_while_it_is_waited_for_is_seen_as_it_then_is(
    functions: Functions, statement: str
) -> None:
    """No row of a table that a long ALTER TABLE rewrites is taken for deleted."""
    functions.run()
    url = functions.source.superuser_url
    with connect(url) as source, connect(url) as watcher, ThreadPoolExecutor(1) as threads:
        source.run("BEGIN")
        source.run(statement)
        running = threads.submit(functions.extract)
        gave_up = "SELECT 1 FROM pg_stat_activity WHERE usename = :role AND query = 'ROLLBACK'"
        wait_until(lambda: bool(watcher.run(gave_up, role=READER)))
        source.run("COMMIT")
        extracted = running.result()

    assert extracted["deleted"] == {}
    stopped = {"design": "table design is not in schema public of the source (any more)"}
    assert extracted["stopped"] == (stopped if "RENAME" in statement else {})
    if not extracted["stopped"]:
        functions.run()
        assert current(functions.warehouse) == expected(functions.source)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "nobody has tried"


EXPRESSIONS = ("upper(design_name)", "lower(design_name)")


@pytest.mark.parametrize("kind", ["STORED", "VIRTUAL"])
def test_a_generated_column_with_another_expression_is_read_again(
    functions: Functions, kind: str
) -> None:
    """Values that follow a new expression come, although no transaction wrote their rows."""
    generated = f"GENERATED ALWAYS AS ({EXPRESSIONS[0]}) {kind}"
    alter(
        functions,
        "ALTER TABLE design RENAME COLUMN file_name TO own_name",
        f"ALTER TABLE design ADD COLUMN file_name text {generated}",
    )
    functions.run()
    alter(
        functions, f"ALTER TABLE design ALTER COLUMN file_name SET EXPRESSION AS ({EXPRESSIONS[1]})"
    )

    extracted = functions.run()

    assert extracted["rows"] == {"design": len(expected(functions.source)["dim_design"])}
    assert current(functions.warehouse) == expected(functions.source)
    assert functions.run()["batch"] is None


def test_a_new_default_is_no_reason_to_read_a_table(functions: Functions) -> None:
    """A default or an identity says nothing of the rows that are there."""
    functions.run()
    alter(
        functions,
        "ALTER TABLE design ALTER COLUMN file_name SET DEFAULT 'none'",
        "ALTER TABLE currency ALTER COLUMN currency_id DROP DEFAULT",
        "ALTER TABLE currency ALTER COLUMN currency_id ADD GENERATED BY DEFAULT AS IDENTITY",
    )

    assert functions.run()["batch"] is None
