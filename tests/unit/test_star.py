"""The star, table by table: the right columns, in the warehouse's order, in exact types."""

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from etl.mapping import Mapping
from functions.transform.checks import without
from functions.transform.making import make
from functions.transform.values import convert
from pipelines.totesys.pipeline import PIPELINE
from tests.source_rows import source_rows

SPLIT_STAMPS = {
    "created_date": date(2024, 3, 1),
    "created_time": time(9, 30, 15, 123000),
    "last_updated_date": date(2024, 3, 1),
    "last_updated_time": time(9, 30, 15, 123000),
}
SPLIT_TYPES = {
    "created_date": pa.date32(),
    "created_time": pa.time64("us"),
    "last_updated_date": pa.date32(),
    "last_updated_time": pa.time64("us"),
}
INT, TEXT = pa.int32(), pa.string()


def mapping_of(table: str) -> Mapping:
    [mapping] = [each for each in PIPELINE.mappings("source") if each.target.name == table]
    return mapping


def remodelled(table: str, rows: pa.Table, partners: pa.Table | None = None) -> pa.Table:
    mapping = mapping_of(table)
    joined = {join.parameter: convert(join.table, partners) for join in mapping.joins}
    return make(mapping, convert(mapping.main, rows), joined)


def assert_is(made: pa.Table, *expected: dict[str, Any]) -> None:
    """Compare rows with the order of their columns."""
    rows = [list(row.items()) for row in made.to_pylist()]
    assert rows == [list(row.items()) for row in expected]


def test_location_is_the_address_as_it_is() -> None:
    """A location keeps apostrophes, leading zeros, and NULL apart from an empty text."""
    made = remodelled("dim_location", source_rows("address", {}))
    assert_is(
        made,
        {
            "location_id": 1,
            "address_line_1": "1 O'Hara Court",
            "address_line_2": None,
            "district": "",
            "city": "Leeds",
            "postal_code": "08841",
            "country": "Wales",
            "phone": "0113 496 0000",
        },
    )
    assert made.schema.types == [INT, *[TEXT] * 7]


def test_counterparty_has_its_legal_address() -> None:
    """A counterparty carries the address that it names, under the warehouse's column names."""
    counterparties = source_rows(
        "counterparty", {"legal_address_id": 2}, {"counterparty_id": 2, "legal_address_id": 1}
    )
    addresses = source_rows(
        "address", {}, {"address_id": 2, "address_line_2": "Floor 2", "district": None}
    )
    made = remodelled("dim_counterparty", counterparties, addresses)
    first = {
        "counterparty_id": 1,
        "counterparty_legal_name": "Flax & Sons",
        "counterparty_legal_address_line_1": "1 O'Hara Court",
        "counterparty_legal_address_line_2": "Floor 2",
        "counterparty_legal_district": None,
        "counterparty_legal_city": "Leeds",
        "counterparty_legal_postal_code": "08841",
        "counterparty_legal_country": "Wales",
        "counterparty_legal_phone_number": "0113 496 0000",
    }
    second = {
        "counterparty_id": 2,
        "counterparty_legal_address_line_2": None,
        "counterparty_legal_district": "",
    }
    assert_is(made, first, first | second)
    assert made.schema.types == [INT, *[TEXT] * 8]


def test_currency_is_named_by_its_iso_code() -> None:
    """A currency has the name that ISO 4217 gives to its code."""
    rows = source_rows(
        "currency",
        {},
        {"currency_id": 2, "currency_code": "USD"},
        {"currency_id": 3, "currency_code": "EUR"},
    )
    made = remodelled("dim_currency", rows)
    assert_is(
        made,
        {"currency_id": 1, "currency_code": "GBP", "currency_name": "Pound Sterling"},
        {"currency_id": 2, "currency_code": "USD", "currency_name": "US Dollar"},
        {"currency_id": 3, "currency_code": "EUR", "currency_name": "Euro"},
    )
    assert made.schema.types == [INT, TEXT, TEXT]


def test_design_keeps_its_names() -> None:
    """A design has the warehouse's four columns and nothing else."""
    made = remodelled("dim_design", source_rows("design", {}))
    assert_is(
        made,
        {
            "design_id": 1,
            "design_name": "Wooden",
            "file_location": "/usr",
            "file_name": "wooden-20240301-1a2b.json",
        },
    )


def test_payment_type_keeps_its_name() -> None:
    """A payment type has the name that the source's enum gives it."""
    made = remodelled("dim_payment_type", source_rows("payment_type", {}))
    assert_is(made, {"payment_type_id": 1, "payment_type_name": "SALES_RECEIPT"})


def test_staff_have_their_department() -> None:
    """A member of staff carries name and place of their department, in the order of the staff."""
    staff = source_rows("staff", {"department_id": 2}, {"staff_id": 2})
    departments = source_rows(
        "department", {}, {"department_id": 2, "department_name": "Sales", "location": "York"}
    )
    made = remodelled("dim_staff", staff, departments)
    first = {
        "staff_id": 1,
        "first_name": "Ann",
        "last_name": "O'Neil",
        "department_name": "Sales",
        "location": "York",
        "email_address": "ann@example.com",
    }
    second = {"staff_id": 2, "department_name": "Facilites", "location": "Leeds"}
    assert_is(made, first, first | second)


def test_staff_join_departments_of_a_wider_key() -> None:
    """A department key that became bigint still finds its staff."""
    departments = source_rows("department", {}, types={"department_id": pa.int64()})
    made = remodelled("dim_staff", source_rows("staff", {}), departments)
    assert made["department_name"].to_pylist() == ["Facilites"]


def test_transaction_keeps_its_missing_order_missing() -> None:
    """A transaction has one order; the other id stays NULL and both columns stay integers."""
    rows = source_rows(
        "transaction",
        {},
        {"transaction_type": "PURCHASE", "sales_order_id": None, "purchase_order_id": 8},
    )
    made = remodelled("dim_transaction", rows)
    sale = {
        "transaction_id": 1,
        "transaction_type": "SALE",
        "sales_order_id": 1,
        "purchase_order_id": None,
    }
    purchase = {"transaction_type": "PURCHASE", "sales_order_id": None, "purchase_order_id": 8}
    assert_is(made, sale, sale | purchase)
    assert made.schema.types == [INT, TEXT, INT, INT]


def test_sales_order_becomes_a_fact() -> None:
    """A sales order has split stamps, real dates, exact money and the warehouse's names."""
    made = remodelled("fact_sales_order", source_rows("sales_order", {}))
    assert_is(
        made,
        {
            "sales_order_id": 1,
            **SPLIT_STAMPS,
            "sales_staff_id": 1,
            "counterparty_id": 1,
            "units_sold": 40000,
            "unit_price": Decimal("2.50"),
            "currency_id": 1,
            "design_id": 1,
            "agreed_payment_date": date(2024, 3, 5),
            "agreed_delivery_date": date(2024, 3, 8),
            "agreed_delivery_location_id": 1,
        },
    )
    types = dict(zip(made.column_names, made.schema.types, strict=True))
    money_and_dates = {
        "unit_price": pa.decimal128(10, 2),
        "agreed_payment_date": pa.date32(),
        "agreed_delivery_date": pa.date32(),
    }
    assert types == dict.fromkeys(types, INT) | SPLIT_TYPES | money_and_dates


def test_unfit_rows_are_left_out() -> None:
    """The rows that are unfit have no row in the star, and the others keep their order."""
    orders = source_rows("sales_order", *({"sales_order_id": number} for number in range(1, 6)))
    mapping = mapping_of("fact_sales_order")
    made = make(mapping, without(convert(mapping.main, orders), [0, 3]), {})
    assert made["sales_order_id"].to_pylist() == [2, 3, 5]


def test_purchase_order_becomes_a_fact() -> None:
    """A purchase order has split stamps, real dates, exact money and the warehouse's order."""
    made = remodelled("fact_purchase_order", source_rows("purchase_order", {}))
    assert_is(
        made,
        {
            "purchase_order_id": 1,
            **SPLIT_STAMPS,
            "staff_id": 1,
            "counterparty_id": 1,
            "item_code": "ZDOI5EA",
            "item_quantity": 7,
            "item_unit_price": Decimal("361.39"),
            "currency_id": 1,
            "agreed_delivery_date": date(2024, 3, 8),
            "agreed_payment_date": date(2024, 3, 5),
            "agreed_delivery_location_id": 1,
        },
    )


def test_payment_becomes_a_fact_without_account_numbers() -> None:
    """A payment has split stamps and a real date; account numbers do not reach the warehouse."""
    made = remodelled("fact_payment", source_rows("payment", {}))
    assert_is(
        made,
        {
            "payment_id": 1,
            **SPLIT_STAMPS,
            "transaction_id": 1,
            "counterparty_id": 1,
            "payment_amount": Decimal("100000.00"),
            "currency_id": 1,
            "payment_type_id": 1,
            "paid": False,
            "payment_date": date(2024, 3, 5),
        },
    )


@pytest.mark.parametrize(
    ("stamp", "day", "moment"),
    [
        (datetime(1, 1, 1), date(1, 1, 1), time(0)),
        (datetime(1969, 12, 31, 23, 59, 59, 999000), date(1969, 12, 31), time(23, 59, 59, 999000)),
        (datetime(9999, 12, 31, 23, 59, 59, 1000), date(9999, 12, 31), time(23, 59, 59, 1000)),
    ],
)
def test_stamps_of_every_year_are_split(stamp: datetime, day: date, moment: time) -> None:
    """A stamp keeps its day and its milliseconds far outside the years that pandas can hold."""
    made = remodelled("fact_payment", source_rows("payment", {"created_at": stamp}))
    assert (made["created_date"][0].as_py(), made["created_time"][0].as_py()) == (day, moment)


def test_microseconds_are_kept() -> None:
    """A stamp that became more precise in the source keeps its microseconds."""
    rows = source_rows(
        "payment",
        {"created_at": datetime(2024, 3, 1, 0, 0, 0, 123456)},
        types={"created_at": pa.timestamp("us")},
    )
    assert remodelled("fact_payment", rows)["created_time"].to_pylist() == [time(0, 0, 0, 123456)]


def test_wider_numbers_stay_exact() -> None:
    """An amount keeps the scale that the source gives it; an integer from bigint fits again."""
    rows = source_rows(
        "payment",
        {"payment_amount": Decimal("12345678901234.5678")},
        types={"payment_amount": pa.decimal128(20, 4), "payment_id": pa.int64()},
    )
    made = remodelled("fact_payment", rows)
    assert made["payment_amount"].to_pylist() == [Decimal("12345678901234.5678")]
    assert made["payment_amount"].type == pa.decimal128(20, 4)
    assert made["payment_id"].type == INT


def test_an_amount_without_a_fixed_scale_stays_text() -> None:
    """A numeric without limits, which no Arrow type holds, goes through digit by digit."""
    digits = "123456789012345678901234567890123456789012345.67"
    rows = source_rows("payment", {"payment_amount": digits}, types={"payment_amount": TEXT})
    assert remodelled("fact_payment", rows)["payment_amount"].to_pylist() == [digits]


@pytest.mark.parametrize("kind", [TEXT, pa.decimal128(12, 4)])
def test_a_price_of_a_wider_type_becomes_the_warehouse_s(kind: pa.DataType) -> None:
    """A unit price from a wider numeric is numeric(10,2) again when its value is."""
    price: Any = "2.5000" if kind == TEXT else Decimal("2.5000")
    rows = source_rows("sales_order", {"unit_price": price}, types={"unit_price": kind})
    made = remodelled("fact_sales_order", rows)["unit_price"]
    assert (made.to_pylist(), made.type) == ([Decimal("2.50")], pa.decimal128(10, 2))
