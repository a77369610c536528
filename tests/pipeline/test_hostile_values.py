"""Values that mean something to SQL or CSV, and keys at the limits, arrive row for row equal."""

import io
from typing import Any

import pg8000.native
import pyarrow.parquet as pq

from functions.extract import handler as extract_handler
from functions.reconcile import handler as reconcile_handler
from local.connection import connect
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.oracle import current, expected, history, records

TEXTS = [
    "'; DROP TABLE payment; --",
    '"; DROP TABLE payment; --',
    "\\'; DROP TABLE payment; --",
    "E'\\''",
    "$$; SELECT 1; $$",
    ":name %s %(x)s $1 {} {0}",
    "",
    " ",
    "NULL",
    "null",
    "\\N",
    "\\.",
    "\n\\.\n",
    "\r\n\\.\r\n",
    "a\n\\.",
    '"',
    '""',
    '"\n\\.\n"',
    "'",
    ",",
    "\t",
    "\r",
    "\n",
    "\r\n\r\n",
    "\\",
    "\\0",
    "\\x00",
    "\\u0000",
    "\x01\x07\x08\x1a\x1b[2J\x7f",
    "\u200f\u202eright to left\u202c",
    "\ufeff",
    "\u0085\u2028\u2029",
    "e\u0301é",
    "😀👩‍👩‍👧",
    "t",
    "true",
    "0x1F",
    "1e5",
    "NaN",
    "2024-01-01",
    "x" * (1 << 20),
    '",\n' * 100_000,
]
SHORT = [text for text in TEXTS if len(text) < 1000]
LIMITS = [-(2**31), -(2**31) + 1, -4097, -4096, -1, 0, 4095, 2**31 - 2, 2**31 - 1]


def insert(shop: pg8000.native.Connection, table: str, **row: Any) -> None:
    """Insert a row, stamps aside."""
    names = [f'"{name}"' for name in row]
    values = [f":{name}" for name in row]
    shop.run(
        f"INSERT INTO {table} ({', '.join(names)}, created_at, last_updated)"
        f" VALUES ({', '.join(values)}, '2024-11-15 10:00', '2024-11-15 10:00')",
        **row,
    )


def add_family(shop: pg8000.native.Connection, key: int, text: str) -> None:
    """Insert a row with this key into every table, all related, a text wherever one fits."""
    orders = {
        "staff_id": key,
        "counterparty_id": key,
        "currency_id": 1,
        "agreed_delivery_date": "2024-11-20",
        "agreed_payment_date": "2024-11-21",
        "agreed_delivery_location_id": key,
    }
    lines = ("address_line_1", "address_line_2", "district", "city", "postal_code", "country")
    insert(shop, "address", address_id=key, phone=text, **dict.fromkeys(lines, text))
    insert(shop, "department", department_id=key, department_name=text, location=text)
    insert(shop, "staff", staff_id=key, first_name=text, last_name=text, email_address=text,
           department_id=key)  # fmt: skip
    insert(shop, "counterparty", counterparty_id=key, counterparty_legal_name=text,
           legal_address_id=key)  # fmt: skip
    insert(shop, "design", design_id=key, design_name=text, file_location=text, file_name=text)
    insert(shop, "sales_order", sales_order_id=key, design_id=key, units_sold=key,
           unit_price="-99999999.99", **orders)  # fmt: skip
    insert(shop, "purchase_order", purchase_order_id=key, item_code=text, item_quantity=key,
           item_unit_price="99999999.99", **orders)  # fmt: skip
    insert(shop, "transaction", transaction_id=key, transaction_type="SALE", sales_order_id=key)
    insert(shop, "payment", payment_id=key, transaction_id=key, counterparty_id=key,
           payment_amount="0.01", currency_id=1, payment_type_id=1, paid=False,
           payment_date="2024-11-21", company_ac_number=key,
           counterparty_ac_number=key)  # fmt: skip


def keys_and_texts() -> list[tuple[int, str]]:
    """Return every text with its own key, the keys at the limits first."""
    keys = [*LIMITS, *range(1_000_000, 1_000_000 + len(TEXTS) - len(LIMITS))]
    return list(zip(keys, TEXTS, strict=True))


def assert_equal(functions: Functions) -> None:
    """Compare table by table, so that a failure does not print megabytes."""
    star, wanted = current(functions.warehouse), expected(functions.source)
    apart = {
        table: [
            (str(a)[:200], str(b)[:200]) for a, b in zip(star[table], rows, strict=True) if a != b
        ]
        for table, rows in wanted.items()
    }
    assert {table: rows for table, rows in apart.items() if rows} == {}


def test_values_and_keys_arrive_row_for_row(functions: Functions) -> None:
    """Any text in any column and any key of 32 bits is in the warehouse as it is in the source."""
    with connect(functions.source.superuser_url) as shop:
        for key, text in keys_and_texts():
            add_family(shop, key, text)

    assert functions.run()["stopped"] == {}
    assert_equal(functions)
    manifest = functions.document(functions.processed, "batches/source/0000000001.json")
    assert manifest["quarantine"] == {}
    assert functions.run()["batch"] is None


def test_a_text_that_becomes_another_is_one_more_record(functions: Functions) -> None:
    """No two texts are taken for the same, however alike they look, and none is written twice."""
    seen = []
    with connect(functions.source.superuser_url) as shop:
        for text in ["", " ", "\\.", "\\\\.", "é", "e\u0301", "NULL", "null", "\n", "\r\n"]:
            shop.run("UPDATE purchase_order SET item_code = :t WHERE purchase_order_id = 1", t=text)
            shop.run("UPDATE address SET district = :t WHERE address_id = 1", t=text)
            functions.run()
            seen.append(text)
            districts = {row[0]: row[3] for row in current(functions.warehouse)["dim_location"]}
            assert districts[1] == text
        shop.run("UPDATE address SET district = NULL WHERE address_id = 1")
        functions.run()

    codes = [row[7] for row in history(functions.warehouse, "fact_purchase_order", 1)]
    assert [code for code in codes if code in seen] == seen
    assert_equal(functions)


def test_keys_at_the_limits_are_deleted_replayed_and_compared(functions: Functions) -> None:
    """Negative keys, zero and the ends of the range are handled like any other."""
    with connect(functions.source.superuser_url) as shop:
        for key in LIMITS:
            add_family(shop, key, "x")
        functions.run()
        before = records(functions.warehouse)
        shop.run("DELETE FROM payment WHERE payment_id = ANY(:keys)", keys=LIMITS[::2])
    deleted = functions.run()["deleted"]
    context: Any = Context("extract")
    extract_handler.handler({"replay": 1}, context)
    functions.transform()
    functions.load()
    reconcile_handler._sides.cache_clear()
    found = reconcile_handler.handler({}, context)["tables"]

    assert deleted == {"payment": len(LIMITS[::2])}
    assert records(functions.warehouse) == before
    assert found["fact_payment"]["deleted"] == len(LIMITS[::2])
    assert [name for name, table in found.items() if table["missing"] or table["different"]] == []


def test_a_key_that_no_integer_of_the_warehouse_holds_waits_outside(functions: Functions) -> None:
    """A key that has outgrown 32 bits is in quarantine with its reason; its neighbours arrive."""
    with connect(functions.source.superuser_url) as shop:
        shop.run("ALTER TABLE payment ALTER COLUMN payment_id TYPE bigint")
        shop.run("UPDATE payment SET payment_id = 9223372036854775807 WHERE payment_id = 1")
        shop.run("UPDATE payment SET payment_id = -9223372036854775808 WHERE payment_id = 2")
        functions.run()
        manifest = functions.document(functions.processed, "batches/source/0000000001.json")
        assert manifest["quarantine"]["payment"]["rows"] == 2
        shop.run("UPDATE payment SET payment_id = payment_id + 1 WHERE payment_id < -9")
        assert functions.extract()["deleted"] == {"payment": 1}


def test_dates_that_are_none_are_kept_with_what_they_were(functions: Functions) -> None:
    """A hostile text instead of a date is quarantined as it is, and stops no other row."""
    wrong = [text for text in SHORT if text != "2024-01-01"]
    with connect(functions.source.superuser_url) as shop:
        for number, text in enumerate(wrong, start=1):
            shop.run("UPDATE payment SET payment_date = :t WHERE payment_id = :n", t=text, n=number)
        functions.run()
        assert held(functions, 1) == dict(enumerate(wrong, start=1))
        shop.run("UPDATE payment SET payment_date = '2024-01-01'")
        functions.run()

    assert_equal(functions)


def held(functions: Functions, batch: int) -> dict[int, str]:
    """Return the dates of the payments that are in quarantine after a batch, by key."""
    manifest = functions.document(functions.processed, f"batches/source/{batch:010d}.json")
    body = functions.body(functions.processed, manifest["quarantine"]["payment"]["file"])
    rows = pq.read_table(io.BytesIO(body)).to_pylist()
    assert all(
        row["_reason"] == f"payment_date '{row['payment_date']}' is not a date" for row in rows
    )
    return {row["payment_id"]: row["payment_date"] for row in rows}
