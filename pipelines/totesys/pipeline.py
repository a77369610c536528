"""totesys: the live database of a shop, as three stars that share their dimensions.

In addition, if TARGETS_BUCKET is set, the sales targets that another department keeps as JSON, and,
if RATES_URL is set, the exchange rates of the European Central Bank (`docs/rates.md`).

What the columns of both sides mean is in `docs/totesys.md`.
"""

import re
from datetime import date
from typing import TYPE_CHECKING

from etl import (
    Boolean,
    Calendar,
    Csv,
    Date,
    Feed,
    Files,
    Integer,
    IsoDate,
    JsonDocuments,
    Numeric,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    Resource,
    Rest,
    Table,
    Text,
    Timestamp,
    View,
    Window,
    at_most,
    dimension,
    fact,
    history,
    latest,
)
from pipelines.totesys.currencies import currency_name
from pipelines.totesys.figures import FIGURES
from pipelines.totesys.payments import PAYMENTS

if TYPE_CHECKING:
    from pandas import DataFrame

# The source: each column is what the warehouse has to hold, and puts a row that it cannot hold into
# quarantine. A reference is a table to join, or a parent to wait for.

address = Table("address", key="address_id", columns={
    "address_id": Integer(),
    "address_line_1": Text(), "address_line_2": Text(nullable=True),
    "district": Text(nullable=True), "city": Text(), "postal_code": Text(), "country": Text(),
    "phone": Text(),
})  # fmt: skip

counterparty = Table("counterparty", key="counterparty_id", columns={
    "counterparty_id": Integer(), "counterparty_legal_name": Text(),
    "legal_address_id": Integer(references=address),
})  # fmt: skip

currency = Table("currency", key="currency_id", columns={
    "currency_id": Integer(),
    "currency_code": Text(check=currency_name, reason="is not in ISO 4217"),
})  # fmt: skip

department = Table("department", key="department_id", columns={
    "department_id": Integer(), "department_name": Text(), "location": Text(),
})  # fmt: skip

design = Table("design", key="design_id", columns={
    "design_id": Integer(), "design_name": Text(), "file_location": Text(), "file_name": Text(),
})  # fmt: skip

payment_type = Table("payment_type", key="payment_type_id", columns={
    "payment_type_id": Integer(), "payment_type_name": Text(),
})  # fmt: skip

staff = Table("staff", key="staff_id", columns={
    "staff_id": Integer(), "first_name": Text(), "last_name": Text(), "email_address": Text(),
    "department_id": Integer(references=department),
})  # fmt: skip

transaction = Table("transaction", key="transaction_id", columns={
    "transaction_id": Integer(), "transaction_type": Text(),
    "sales_order_id": Integer(nullable=True), "purchase_order_id": Integer(nullable=True),
})  # fmt: skip

STAMPS = {"created_at": Timestamp(), "last_updated": Timestamp()}

ORDER = {
    "staff_id": Integer(references=staff),
    "counterparty_id": Integer(references=counterparty),
    "currency_id": Integer(references=currency),
    "agreed_delivery_date": IsoDate(), "agreed_payment_date": IsoDate(),
    "agreed_delivery_location_id": Integer(references=address),
    **STAMPS,
}  # fmt: skip

sales_order = Table("sales_order", key="sales_order_id", columns={
    "sales_order_id": Integer(), "design_id": Integer(references=design),
    "units_sold": Integer(), "unit_price": Numeric(10, 2),
    **ORDER,
})  # fmt: skip

purchase_order = Table("purchase_order", key="purchase_order_id", columns={
    "purchase_order_id": Integer(),
    "item_code": Text(), "item_quantity": Integer(), "item_unit_price": Numeric(),
    **ORDER,
})  # fmt: skip

payment = Table("payment", key="payment_id", columns={
    "payment_id": Integer(),
    "transaction_id": Integer(references=transaction),
    "counterparty_id": Integer(references=counterparty),
    "payment_amount": Numeric(), "currency_id": Integer(references=currency),
    "payment_type_id": Integer(references=payment_type),
    "paid": Boolean(), "payment_date": IsoDate(),
    **STAMPS,
})  # fmt: skip

# The files of sales targets: documents with these fields, one a line or all in an array.

sales_target = Table("sales_target", key=("staff_id", "month"), columns={
    "staff_id": Integer(),
    "month": Text(
        check=re.compile("[0-9]{4}-(0[1-9]|1[0-2])").fullmatch,
        reason="is no month: write it as 2026-11",
    ),
    "target": Numeric(), "currency": Text(check=currency_name, reason="is not in ISO 4217"),
})  # fmt: skip

# The rates: a row for each currency and day, in columns of the bank's CSV. A day on which none is
# published has no row, or no value.

ISO_4217 = Text(check=currency_name, reason="is not in ISO 4217")

exr = Table("exr", key=("TIME_PERIOD", "CURRENCY_DENOM", "CURRENCY"), columns={
    "TIME_PERIOD": Date(), "CURRENCY_DENOM": ISO_4217, "CURRENCY": ISO_4217,
    "OBS_VALUE": Numeric(nullable=True),
})  # fmt: skip

RATES = Resource(
    exr, query={"format": "csvdata"}, window=Window("startPeriod", since=date(2022, 1, 1)),
    format=Csv(nulls=("", "NaN")),
)  # fmt: skip

# The warehouse: a function for each table, which takes rows that are fit for it.

LOCATION = ["address_line_1", "address_line_2", "district", "city", "postal_code", "country"]


@dimension(key="location_id")
def dim_location(address: "DataFrame") -> "DataFrame":
    """Addresses, under the name of locations."""
    return address[["address_id", *LOCATION, "phone"]].rename(columns={"address_id": "location_id"})


@dimension(key="counterparty_id")
def dim_counterparty(counterparty: "DataFrame", address: "DataFrame") -> "DataFrame":
    """Counterparties, each with its legal address."""
    legal = {column: f"counterparty_legal_{column}" for column in LOCATION}
    legal["phone"] = "counterparty_legal_phone_number"
    addresses = address.rename(columns=legal | {"address_id": "legal_address_id"})
    joined = counterparty.merge(addresses, on="legal_address_id")
    return joined[["counterparty_id", "counterparty_legal_name", *legal.values()]]


@dimension(key="currency_id")
def dim_currency(currency: "DataFrame") -> "DataFrame":
    """Currencies with their names, which only ISO 4217 has."""
    codes = currency["currency_code"]
    named = currency.assign(currency_name=codes.map(currency_name).astype(codes.dtype))
    return named[["currency_id", "currency_code", "currency_name"]]


@dimension(key="design_id")
def dim_design(design: "DataFrame") -> "DataFrame":
    """Designs."""
    return design[["design_id", "design_name", "file_location", "file_name"]]


@dimension(key="payment_type_id")
def dim_payment_type(payment_type: "DataFrame") -> "DataFrame":
    """Payment types."""
    return payment_type[["payment_type_id", "payment_type_name"]]


@dimension(key="staff_id")
def dim_staff(staff: "DataFrame", department: "DataFrame") -> "DataFrame":
    """Staff, each with their department."""
    joined = staff.merge(department, on="department_id")
    own = ["staff_id", "first_name", "last_name"]
    return joined[[*own, "department_name", "location", "email_address"]]


@dimension(key="transaction_id")
def dim_transaction(transaction: "DataFrame") -> "DataFrame":
    """Transactions; each is about one order, and the other kind's id is NULL."""
    columns = ["transaction_id", "transaction_type", "sales_order_id", "purchase_order_id"]
    return transaction[columns]


DATES_AND_TIMES = ["created_date", "created_time", "last_updated_date", "last_updated_time"]


def with_dates_and_times(rows: "DataFrame") -> "DataFrame":
    """Split both time stamps of rows into a day and a time of day."""
    return rows.assign(
        created_date=rows["created_at"].dt.date, created_time=rows["created_at"].dt.time,
        last_updated_date=rows["last_updated"].dt.date,
        last_updated_time=rows["last_updated"].dt.time,
    )  # fmt: skip


LAST_UPDATED = {"last_updated_time": "last_updated"}


@fact(key="sales_order_id", other_columns=LAST_UPDATED)
def fact_sales_order(sales_order: "DataFrame") -> "DataFrame":
    """Sales orders."""
    orders = with_dates_and_times(sales_order).rename(columns={"staff_id": "sales_staff_id"})
    return orders[[
        "sales_order_id", *DATES_AND_TIMES, "sales_staff_id", "counterparty_id",
        "units_sold", "unit_price", "currency_id", "design_id",
        "agreed_payment_date", "agreed_delivery_date", "agreed_delivery_location_id",
    ]]  # fmt: skip


@fact(key="purchase_order_id", other_names=("fact_purchase_orders",), other_columns=LAST_UPDATED)
def fact_purchase_order(purchase_order: "DataFrame") -> "DataFrame":
    """Purchase orders."""
    return with_dates_and_times(purchase_order)[[
        "purchase_order_id", *DATES_AND_TIMES, "staff_id", "counterparty_id",
        "item_code", "item_quantity", "item_unit_price", "currency_id",
        "agreed_delivery_date", "agreed_payment_date", "agreed_delivery_location_id",
    ]]  # fmt: skip


@fact(key="payment_id", other_columns=LAST_UPDATED)
def fact_payment(payment: "DataFrame") -> "DataFrame":
    """Payments."""
    return with_dates_and_times(payment)[[
        "payment_id", *DATES_AND_TIMES, "transaction_id", "counterparty_id",
        "payment_amount", "currency_id", "payment_type_id", "paid", "payment_date",
    ]]  # fmt: skip


dim_sales_target = latest(sales_target, name="dim_sales_target", optional=True)


@history(key=("published_date", "base", "quote"), optional=True)
def fx_reference_rate(exr: "DataFrame") -> "DataFrame":
    """Rates as published: one unit of the base is so many of the quoted currency."""
    names = {"TIME_PERIOD": "published_date", "CURRENCY_DENOM": "base", "CURRENCY": "quote"}
    return exr.rename(columns={**names, "OBS_VALUE": "rate"})[[*names.values(), "rate"]]


SOURCE_TABLES = (
    address, counterparty, currency, department, design, payment_type, staff, transaction,
    sales_order, purchase_order, payment,
)  # fmt: skip
STARS = (
    dim_location, dim_counterparty, dim_currency, dim_design, dim_payment_type, dim_staff,
    dim_transaction, fact_sales_order, fact_purchase_order, fact_payment, dim_sales_target,
    fx_reference_rate,
)  # fmt: skip
FACTS = (fact_sales_order, fact_purchase_order, fact_payment)
VIEWS = tuple(
    View(name, f"{name}.sql", optional=True)
    for name in ("fx_day", "fx_rate", "fx_gbp", *(f"{each.name}_gbp" for each in FACTS))
)

PIPELINE = Pipeline(
    sources=[
        Postgres("source", SOURCE_TABLES, ignore=("_prisma_migrations",)),
        Files(
            "targets", (Feed(sales_target, "**/*.json*", JsonDocuments()),),
            remote=True, optional=True,
        ),
        Rest("rates", (RATES,), at_most=at_most("RATES_AT_MOST", "1 hour"), optional=True),
    ],
    targets=[
        PostgresWarehouse(
            "warehouse", STARS, calendar=Calendar("dim_date"), ddl="warehouse.sql", views=VIEWS
        )
    ],
    reports=PAYMENTS,
    figures=FIGURES,
)  # fmt: skip
