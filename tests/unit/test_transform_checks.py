"""The reasons of rows that cannot be in the warehouse."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from etl import Column, Integer, Real, SmallInteger, Table, UnixTime
from etl.mapping import Mapping
from functions.common.keys import Key
from functions.transform import checks
from functions.transform.values import convert
from pipelines.totesys.pipeline import PIPELINE
from tests.source_rows import COLUMNS, source_rows

BIG = 3_000_000_000  # more than an integer of PostgreSQL holds
TEXT = pa.string()


def mapping_of(table: str) -> Mapping:
    """Return the mapping whose rows are made of a table; that of staff for departments."""
    mappings = {mapping.main.name: mapping for mapping in PIPELINE.mappings("source")}
    return mappings[table]


def reasons(
    table: str,
    *rows: dict[str, Any],
    types: dict[str, pa.DataType] | None = None,
    absent: dict[str, set[Key]] | None = None,
) -> dict[int, str]:
    declared = {each.name: each for each in PIPELINE.sources[0].tables}[table]
    source = source_rows(table, *rows, types=types)
    around = checks.Surroundings()
    if table != "department":
        mapping = mapping_of(table)
        calendar, waits = PIPELINE.calendar_of(mapping), PIPELINE.waits(mapping)
        around = checks.Surroundings(calendar, (), waits, absent or {})
    return checks.reasons(declared, source, convert(declared, source), around)


@pytest.mark.parametrize("table", list(COLUMNS))
def test_a_usual_row_is_fit(table: str) -> None:
    """A row of any table with nothing wrong goes through."""
    assert reasons(table, {}, {}) == {}


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("sales_order", {"units_sold": None}, "has no units_sold"),
        ("sales_order", {"created_at": None}, "has no created_at"),
        ("sales_order", {"staff_id": None}, "has no staff_id"),
        ("payment", {"paid": None}, "has no paid"),
        ("address", {"city": None}, "has no city"),
        ("department", {"location": None}, "has no location"),
        (
            "sales_order",
            {"agreed_delivery_date": "2023-02-30"},
            "agreed_delivery_date '2023-02-30' is not a date",
        ),
        (
            "purchase_order",
            {"agreed_payment_date": "20230430"},
            "agreed_payment_date '20230430' is not a date",
        ),
        ("payment", {"payment_date": ""}, "payment_date '' is not a date"),
        ("payment", {"payment_date": "{} %s"}, "payment_date '{} %s' is not a date"),
        ("currency", {"currency_code": "XXQ"}, "currency_code 'XXQ' is not in ISO 4217"),
        (
            "payment",
            {"payment_date": "2101-01-01"},
            "payment_date is outside the calendar, 1900-01-01 to 2100-12-31",
        ),
        (
            "sales_order",
            {"last_updated": datetime(1899, 12, 31, 23, 59)},
            "last_updated is outside the calendar, 1900-01-01 to 2100-12-31",
        ),
        (
            "address",
            {"district": None, "_unfit": json.dumps({"district": "caf\\xe9"})},
            "district caf\\xe9 is not valid UTF-8",
        ),
        (
            "address",
            {"city": None, "_unfit": json.dumps({"city": 1048576})},
            "city is larger than 1,048,576 bytes",
        ),
        (
            "address",
            {"district": None, "_unfit": json.dumps({"district": 1048576})},
            "district is larger than 1,048,576 bytes",
        ),
        (
            "payment",
            {"payment_amount": None, "_unfit": json.dumps({"payment_amount": "NaN"})},
            "payment_amount NaN is not a number",
        ),
        (
            "sales_order",
            {"last_updated": None, "_unfit": json.dumps({"last_updated": "infinity"})},
            "last_updated infinity is out of range",
        ),
    ],
)
def test_what_is_wrong_is_said(table: str, row: dict[str, Any], reason: str) -> None:
    """The quarantine says which column is wrong, its value and why."""
    assert reasons(table, {}, row, {}) == {1: reason}


@pytest.mark.parametrize(
    ("table", "row", "kind", "reason"),
    [
        ("design", {"design_id": BIG}, pa.int64(), "design_id 3000000000 does not fit integer"),
        (
            "transaction",
            {"sales_order_id": -BIG},
            pa.int64(),
            "sales_order_id -3000000000 does not fit integer",
        ),
        (
            "sales_order",
            {"unit_price": Decimal("2.505")},
            pa.decimal128(12, 3),
            "unit_price 2.505 does not fit numeric(10,2)",
        ),
        (
            "sales_order",
            {"unit_price": Decimal("100000000.00")},
            pa.decimal128(12, 2),
            "unit_price 100000000.00 does not fit numeric(10,2)",
        ),
        ("sales_order", {"unit_price": "NaN"}, TEXT, "unit_price NaN does not fit numeric(10,2)"),
        (
            "purchase_order",
            {"item_unit_price": "Infinity"},
            TEXT,
            "item_unit_price Infinity is not a number",
        ),
        ("payment", {"payment_amount": "NaN"}, TEXT, "payment_amount NaN is not a number"),
    ],
)
def test_a_value_of_a_wider_type_that_does_not_fit_is_said(
    table: str, row: dict[str, Any], kind: pa.DataType, reason: str
) -> None:
    """A widened column stops only the rows whose values the warehouse cannot hold."""
    [column] = row
    usual = COLUMNS[table][column][1]
    as_usual = {column: str(usual) if kind == TEXT else usual}
    assert reasons(table, as_usual, row, types={column: kind}) == {1: reason}


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        (SmallInteger(), 1 << 15, "value 32768 does not fit smallint"),
        (Integer(), 1 << 31, "value 2147483648 does not fit integer"),
        (Real(), 1e300, "value 1e+300 does not fit real"),
        (UnixTime(), 1 << 40, "value 1099511627776 does not fit timestamp with time zone"),
    ],
)
def test_a_number_that_does_not_fit_is_said_with_the_type_of_the_warehouse(
    column: Column, value: float, reason: str
) -> None:
    """Each type that is smaller than what the source may hold has its name in SQL."""
    table = Table("sample", key="id", columns={"id": Integer(), "value": column})
    rows = pa.table({"id": [1, 2], "value": [value, 1]})
    assert checks.reasons(table, rows, convert(table, rows)) == {0: reason}


@pytest.mark.parametrize("day", ["1900-01-01", "2100-12-31"])
def test_the_calendar_s_first_and_last_day_are_fit(day: str) -> None:
    """The range that is declared is inclusive, for dates as for stamps."""
    stamp = datetime.fromisoformat(f"{day} 23:59:59.999")
    assert reasons("payment", {"payment_date": day, "created_at": stamp}) == {}


def test_a_stamp_at_midnight_is_a_date() -> None:
    """Where the shop keeps a date as a stamp, only one with a time of day is wrong."""
    stamps = [datetime(2024, 3, 5), datetime(2024, 3, 5, 0, 0, 0, 1000)]
    orders = [{"agreed_payment_date": stamp} for stamp in stamps]
    assert reasons("sales_order", *orders, types={"agreed_payment_date": pa.timestamp("ms")}) == {
        1: "agreed_payment_date '2024-03-05 00:00:00.001000' is not a date"
    }


def test_all_reasons_of_a_row_are_said() -> None:
    """A row with several faults shows all of them, so that it is corrected once."""
    row = {"units_sold": None, "agreed_delivery_date": "soon", "agreed_payment_date": "later"}
    assert reasons("sales_order", row, absent={"staff": {1}}) == {
        0: "has no units_sold; agreed_delivery_date 'soon' is not a date; "
        "agreed_payment_date 'later' is not a date; waits for staff 1"
    }


def test_the_warehouse_s_nullable_columns_may_be_null() -> None:
    """NULL is no fault where the warehouse allows it."""
    assert reasons("address", {"address_line_2": None, "district": None}) == {}
    assert reasons("transaction", {"sales_order_id": None, "purchase_order_id": None}) == {}


def test_a_column_that_the_star_does_not_need_is_never_wrong() -> None:
    """A fault where the warehouse has no column keeps no row back."""
    unfit = json.dumps({"created_at": "infinity"})
    assert reasons("design", {"created_at": None, "_unfit": unfit}) == {}


def test_a_fact_waits_for_its_absent_parents() -> None:
    """A fact says which parents it waits for, and facts of other parents do not wait."""
    found = reasons(
        "sales_order",
        {"staff_id": 5, "design_id": 7},
        {"staff_id": 6},
        {"agreed_delivery_location_id": 9},
        absent={"staff": {5}, "design": {7, 8}, "address": {9}, "counterparty": set()},
    )
    assert found == {0: "waits for design 7; waits for staff 5", 2: "waits for address 9"}


def joined(child: str, rows: pa.Table, partners: pa.Table) -> dict[int, str]:
    mapping = mapping_of(child)
    found = checks.joined_in(mapping, None, lambda _: partners)
    converted = convert(mapping.main, rows)
    return checks.reasons(mapping.main, rows, converted, checks.Surroundings(joined=found))


def test_staff_need_a_department_that_is_fit() -> None:
    """Staff show what is wrong with their department, because they cannot be shown without it."""
    staff = [{"department_id": number} for number in (1, 2, 3, None)]
    departments: list[dict[str, Any]] = [
        {"department_id": 1}, {"department_id": 3, "location": None},
    ]  # fmt: skip
    found = joined("staff", source_rows("staff", *staff), source_rows("department", *departments))
    assert found == {
        1: "department 2 is missing",
        2: "department 3 has no location",
        3: "has no department_id",
    }


def test_counterparties_need_an_address() -> None:
    """A counterparty without its address says so."""
    rows = source_rows("counterparty", {"legal_address_id": 4})
    assert joined("counterparty", rows, source_rows("address")) == {0: "address 4 is missing"}


def test_a_key_is_fit_or_not_whether_it_joins_or_is_the_target_s() -> None:
    """A department's key has to be what is declared, like any other value of it."""
    wide = {"department_id": pa.int64()}
    staff = source_rows("staff", {"department_id": BIG}, types=wide)
    departments = source_rows("department", {"department_id": BIG}, types=wide)
    unfit = f"department_id {BIG} does not fit integer"
    assert joined("staff", staff, departments) == {0: f"{unfit}; department {BIG} {unfit}"}
