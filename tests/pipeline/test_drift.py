"""The source's columns change: a change that the star tolerates stops nothing, others are named."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected, records
from tests.pipeline.test_quarantine import quarantined
from tests.totesys import TABLES, TOTESYS

LOSE_THE_INDEX = "ALTER TABLE design DROP CONSTRAINT design_pkey CASCADE"
KEEP_ONE = (
    "DELETE FROM design AS a USING design AS b WHERE a.design_id = b.design_id AND a.ctid > b.ctid"
)
SOME_DESIGNS = "SELECT * FROM design WHERE design_id IN (3, 4)"
EQUAL_KEYS = "table design: 2 rows have design_id 3: leave only one of them"
LOSE_A_KEY = (
    "ALTER TABLE design DROP CONSTRAINT design_pkey CASCADE; "
    "ALTER TABLE design ALTER design_id DROP NOT NULL; "
    "INSERT INTO design SELECT NULL, created_at, 'x', '/x', 'x', last_updated FROM design"
    " WHERE design_id = 3"
)
GRANT_COLUMNS = (
    "GRANT SELECT (design_id, design_name, file_location, file_name, created_at, last_updated)"
    " ON design TO source_reader"
)


def alter(functions: Functions, *statements: str) -> None:
    with connect(functions.source.superuser_url) as source:
        for statement in statements:
            source.run(statement)


def table_of(functions: Functions, batch: int, table: str) -> pa.Table:
    """Return the rows of a source table in a batch."""
    manifest = functions.document(functions.ingestion, f"batches/source/{batch:010d}.json")
    bodies = [
        functions.body(functions.ingestion, file["key"])
        for file in manifest["tables"][table]["files"]
    ]
    return pa.concat_tables([pq.read_table(io.BytesIO(body)) for body in bodies])


def test_an_added_column_is_carried_and_the_table_is_read_again(functions: Functions) -> None:
    """A new column is in the lake from the next run on, for all rows, and harms nothing."""
    functions.run()
    alter(
        functions,
        "ALTER TABLE design ADD COLUMN \"weight; in 'kg'\" numeric(6,3) DEFAULT 1.125",
        "GRANT SELECT ON design TO source_reader",
    )

    extracted = functions.run()

    designs = table_of(functions, 2, "design")
    assert extracted["rows"] == {"design": designs.num_rows}
    assert extracted["stopped"] == {}
    assert designs["weight; in 'kg'"].type == pa.decimal128(6, 3)
    assert [str(weight) for weight in designs["weight; in 'kg'"].unique().to_pylist()] == ["1.125"]
    assert current(functions.warehouse) == expected(functions.source)
    assert functions.run()["batch"] is None


def test_a_widened_type_goes_through(functions: Functions) -> None:
    """Columns that hold more than before are read with their new types, and arrive."""
    functions.run()
    alter(
        functions,
        "ALTER TABLE payment ALTER COLUMN payment_amount TYPE numeric(14,4)",
        "ALTER TABLE purchase_order ALTER COLUMN item_unit_price TYPE numeric",
        "ALTER TABLE sales_order ALTER COLUMN units_sold TYPE bigint",
        "ALTER TABLE transaction ALTER COLUMN last_updated TYPE timestamp(6)",
        "ALTER TABLE design ALTER COLUMN design_name TYPE varchar(500)",
        "UPDATE payment SET payment_amount = 123456.7891 WHERE payment_id = 1",
        "UPDATE purchase_order SET item_unit_price = 0.333333333 WHERE purchase_order_id = 1",
    )

    extracted = functions.run()

    assert extracted["stopped"] == {}
    assert current(functions.warehouse) == expected(functions.source)


@pytest.mark.parametrize("kind", ["date", "timestamp(3)"])
def test_dates_that_were_text_and_get_a_type_go_through(functions: Functions, kind: str) -> None:
    """A shop that keeps its dates better than before does not stop its orders."""
    functions.run()
    alter(
        functions,
        *(
            f"ALTER TABLE sales_order ALTER COLUMN {column} TYPE {kind} USING {column}::{kind}"
            for column in ("agreed_delivery_date", "agreed_payment_date")
        ),
        "UPDATE sales_order SET agreed_delivery_date = '2024-11-29' WHERE sales_order_id = 1",
    )

    extracted = functions.run()

    assert extracted["stopped"] == {}
    assert current(functions.warehouse) == expected(functions.source)
    assert records(functions.warehouse)["fact_sales_order"] == 1 + len(
        expected(functions.source)["fact_sales_order"]
    )


def test_a_stamp_that_is_no_day_waits(functions: Functions) -> None:
    """Where a date is expected no time of day is cut off: the row says what is wrong."""
    functions.run()
    column = "agreed_payment_date"
    alter(
        functions,
        f"ALTER TABLE sales_order ALTER COLUMN {column} TYPE timestamp USING {column}::timestamp",
        f"UPDATE sales_order SET {column} = '2024-11-29 10:00' WHERE sales_order_id = 1",
        f"UPDATE sales_order SET {column} = 'infinity' WHERE sales_order_id = 2",
    )

    functions.run()

    assert quarantined(functions, "sales_order", 2) == {
        1: "agreed_payment_date '2024-11-29 10:00:00' is not a date",
        2: "agreed_payment_date infinity is not a date",
    }


@pytest.mark.parametrize(
    ("broken", "repaired", "message"),
    [
        (
            "ALTER TABLE design RENAME COLUMN file_name TO file",
            "ALTER TABLE design RENAME COLUMN file TO file_name",
            "table design: column file_name is gone: was it dropped or renamed?",
        ),
        (
            "ALTER TABLE design ALTER file_name TYPE bytea USING convert_to(file_name, 'UTF8')",
            "ALTER TABLE design ALTER file_name TYPE text USING convert_from(file_name, 'UTF8')",
            "table design: column file_name is now bytea, and text is declared",
        ),
        (
            "REVOKE SELECT ON design FROM source_reader",
            "GRANT SELECT ON design TO source_reader",
            "table design: no right to read it: GRANT SELECT ON design to this role",
        ),
        (
            f"REVOKE SELECT ON design FROM source_reader; {GRANT_COLUMNS}",
            "GRANT SELECT ON design TO source_reader",
            "table design: no right to read it: GRANT SELECT ON design to this role",
        ),
        (
            "ALTER TABLE design ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE design DISABLE ROW LEVEL SECURITY",
            "table design: row-level security hides rows of it: give this role BYPASSRLS",
        ),
        (
            "ALTER TABLE design RENAME TO old_design",
            "ALTER TABLE old_design RENAME TO design",
            "table design is not in schema public of the source (any more)",
        ),
        (
            f"CREATE TABLE more () INHERITS (design); INSERT INTO more {SOME_DESIGNS}",
            "DROP TABLE more",
            EQUAL_KEYS,
        ),
        (
            f"{LOSE_THE_INDEX}; INSERT INTO design {SOME_DESIGNS}",
            KEEP_ONE,
            EQUAL_KEYS,
        ),
        (
            LOSE_A_KEY,
            "DELETE FROM design WHERE design_id IS NULL",
            "table design: a row has no design_id: give it one, or delete it",
        ),
    ],
    ids=[
        "renamed",
        "retyped",
        "right revoked",
        "columns left",
        "rows hidden",
        "table renamed",
        "key inherited twice",
        "key twice",
        "key gone",
    ],
)
def test_a_table_that_cannot_be_used_stops_alone_and_goes_on_once_repaired(
    functions: Functions, broken: str, repaired: str, message: str
) -> None:
    """The others go on, every run says why it stopped, and nothing is lost meanwhile."""
    functions.run()
    alter(
        functions,
        "UPDATE design SET file_location = '/before' WHERE design_id = 1",
        broken,
        "UPDATE payment SET paid = NOT paid WHERE payment_id = 1",
    )

    during = [functions.run() for _ in range(2)]

    assert [run["stopped"] for run in during] == [{"design": message}] * 2
    assert [run["rows"] for run in during] == [{"payment": 1}, {}]
    assert [run["batch"] for run in during] == [2, None]

    alter(functions, repaired, "UPDATE design SET file_location = '/after' WHERE design_id = 2")
    after = functions.run()

    assert after["stopped"] == {}
    assert set(after["rows"]) == {"design"}
    assert current(functions.warehouse) == expected(functions.source)
    assert functions.run()["batch"] is None


def test_a_right_to_the_schema_that_is_revoked_stops_all_and_loses_nothing(
    functions: Functions,
) -> None:
    """Every table says which right is missing; what changed meanwhile comes once it is back."""
    functions.run()
    alter(
        functions,
        "REVOKE USAGE ON SCHEMA public FROM source_reader",
        "UPDATE payment SET payment_amount = 1.23 WHERE payment_id = 1",
        "DELETE FROM payment WHERE payment_id = 3",
    )

    during = functions.run()

    assert during["stopped"] == {
        name: f"table {name}: no right to its schema: GRANT USAGE ON SCHEMA public TO this role"
        for name in TABLES
    }
    assert (during["rows"], during["deleted"]) == ({}, {})

    alter(functions, "GRANT USAGE ON SCHEMA public TO source_reader")
    after = functions.run()

    # Those that are joined are read whole.
    assert (after["stopped"], set(after["rows"]) - TOTESYS.joined) == ({}, {"payment"})
    assert after["rows"]["payment"] == 1
    assert after["deleted"] == {"payment": 1}
    loaded = [row for row in current(functions.warehouse)["fact_payment"] if row[0] != 3]
    assert loaded == expected(functions.source)["fact_payment"]


def test_a_dropped_column_stops_its_table_until_it_is_back(functions: Functions) -> None:
    """A column that comes back, in another place, is read again for all rows."""
    functions.run()
    alter(
        functions,
        "ALTER TABLE payment_type DROP COLUMN payment_type_name CASCADE",
        "UPDATE payment SET paid = NOT paid WHERE payment_id = 1",
    )
    during = functions.run()
    alter(
        functions,
        "ALTER TABLE payment_type ADD COLUMN payment_type_name text NOT NULL DEFAULT 'NEW'",
    )
    after = functions.run()

    assert during["stopped"] == {
        "payment_type": "table payment_type: column payment_type_name is gone: "
        "was it dropped or renamed?"
    }
    assert during["rows"] == {"payment": 1}
    assert after["rows"] == {"payment_type": 4}
    assert current(functions.warehouse) == expected(functions.source)


def test_facts_go_on_while_their_dimension_is_stopped(functions: Functions) -> None:
    """Orders that name a known parent are loaded; one with a new parent waits for it."""
    functions.run()
    alter(
        functions,
        "ALTER TABLE design RENAME COLUMN file_name TO file",
        "INSERT INTO design VALUES (900, now(), 'New', '/new', 'new.json', now())",
        "UPDATE sales_order SET design_id = 2 WHERE sales_order_id = 1",
        "UPDATE sales_order SET design_id = 900 WHERE sales_order_id = 2",
    )
    functions.run()

    orders = {row[0]: row for row in current(functions.warehouse)["fact_sales_order"]}
    assert orders[1][10] == 2
    assert orders[2][10] != 900

    alter(functions, "ALTER TABLE design RENAME COLUMN file TO file_name")
    functions.run()

    assert current(functions.warehouse) == expected(functions.source)


def test_rows_deleted_while_a_table_is_stopped_are_reported_once_it_goes_on(
    functions: Functions,
) -> None:
    """A stopped table keeps its keys through the batches of the others."""
    functions.run()
    alter(
        functions,
        "ALTER TABLE payment RENAME COLUMN paid TO settled",
        "DELETE FROM payment WHERE payment_id = 3",
        "UPDATE design SET file_location = '/meanwhile' WHERE design_id = 1",
    )
    during = functions.extract()
    alter(functions, "ALTER TABLE payment RENAME COLUMN settled TO paid")
    after = functions.extract()

    assert (during["rows"], during["deleted"]) == ({"design": 1}, {})
    assert (after["rows"], after["deleted"]) == ({}, {"payment": 1})


def test_a_server_change_while_a_table_is_stopped_loses_nothing(functions: Functions) -> None:
    """A position on one server is never taken for one on another, however long a table stood."""
    functions.extract()
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE design SET file_location = '/restored' WHERE design_id = 1")
        [[ahead]] = source.run("SELECT txid_current() + 1")
        source.run("ALTER TABLE design RENAME COLUMN file_name TO file")
    # As if all had been read from another server, which was a little ahead of this one.
    first = functions.document(functions.ingestion, "batches/source/0000000001.json")
    first["source"]["system_identifier"] = "1"
    first["tables"]["design"]["horizon"] = ahead
    rewrite(functions, "batches/source/0000000001.json", first)

    assert set(functions.run()["stopped"]) == {"design"}
    alter(functions, "ALTER TABLE design RENAME COLUMN file TO file_name")
    functions.run()

    assert current(functions.warehouse) == expected(functions.source)


def rewrite(functions: Functions, key: str, document: dict[str, Any]) -> None:
    functions.s3.put_object(Bucket=functions.ingestion, Key=key, Body=json.dumps(document))
