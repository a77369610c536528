"""The star: how each table of the warehouse is made from the tables of the source.

Pure functions from rows to rows, one for each star table, columns in the warehouse's order. They
are given values that are the warehouse's already, and only rows that `checks` found nothing wrong
with; `dim_date` is made by load.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
from pandas import DataFrame

from functions.common.totesys import JOINS, TABLES
from functions.transform.values import currency_name

DATE, TIME = pd.ArrowDtype(pa.date32()), pd.ArrowDtype(pa.time64("us"))

LOCATION = ["address_line_1", "address_line_2", "district", "city", "postal_code", "country"]


def dim_location(addresses: DataFrame) -> DataFrame:
    """Return addresses, under the name of locations."""
    columns = ["address_id", *LOCATION, "phone"]
    return addresses[columns].rename(columns={"address_id": "location_id"})


def dim_counterparty(counterparties: DataFrame, addresses: DataFrame) -> DataFrame:
    """Return counterparties, each with its legal address."""
    names = {column: f"counterparty_legal_{column}" for column in LOCATION}
    names |= {"phone": "counterparty_legal_phone_number", "address_id": "legal_address_id"}
    joined = counterparties.merge(addresses.rename(columns=names), on="legal_address_id")
    own = ["counterparty_id", "counterparty_legal_name"]
    return joined[[*own, *(names[column] for column in [*LOCATION, "phone"])]]


def dim_currency(currencies: DataFrame) -> DataFrame:
    """Return currencies with their names, which are those of ISO 4217."""
    codes = currencies["currency_code"]
    return DataFrame(
        {
            "currency_id": currencies["currency_id"],
            "currency_code": codes,
            "currency_name": codes.map(currency_name).astype(codes.dtype),
        }
    )


def dim_design(designs: DataFrame) -> DataFrame:
    """Return designs."""
    return designs[["design_id", "design_name", "file_location", "file_name"]]


def dim_payment_type(payment_types: DataFrame) -> DataFrame:
    """Return payment types."""
    return payment_types[["payment_type_id", "payment_type_name"]]


def dim_staff(staff: DataFrame, departments: DataFrame) -> DataFrame:
    """Return staff, each with their department."""
    joined = staff.merge(departments, on="department_id")
    own = ["staff_id", "first_name", "last_name"]
    return joined[[*own, "department_name", "location", "email_address"]]


def dim_transaction(transactions: DataFrame) -> DataFrame:
    """Return transactions; each is about one order and leaves the other kind's id NULL."""
    columns = ["transaction_id", "transaction_type", "sales_order_id", "purchase_order_id"]
    return transactions[columns]


def fact_sales_order(orders: DataFrame) -> DataFrame:
    """Return sales orders."""
    return DataFrame(
        {
            "sales_order_id": orders["sales_order_id"],
            **_dates_and_times(orders),
            "sales_staff_id": orders["staff_id"],
            "counterparty_id": orders["counterparty_id"],
            "units_sold": orders["units_sold"],
            "unit_price": orders["unit_price"],
            "currency_id": orders["currency_id"],
            "design_id": orders["design_id"],
            "agreed_payment_date": orders["agreed_payment_date"],
            "agreed_delivery_date": orders["agreed_delivery_date"],
            "agreed_delivery_location_id": orders["agreed_delivery_location_id"],
        }
    )


def fact_purchase_order(orders: DataFrame) -> DataFrame:
    """Return purchase orders."""
    return DataFrame(
        {
            "purchase_order_id": orders["purchase_order_id"],
            **_dates_and_times(orders),
            "staff_id": orders["staff_id"],
            "counterparty_id": orders["counterparty_id"],
            "item_code": orders["item_code"],
            "item_quantity": orders["item_quantity"],
            "item_unit_price": orders["item_unit_price"],
            "currency_id": orders["currency_id"],
            "agreed_delivery_date": orders["agreed_delivery_date"],
            "agreed_payment_date": orders["agreed_payment_date"],
            "agreed_delivery_location_id": orders["agreed_delivery_location_id"],
        }
    )


def fact_payment(payments: DataFrame) -> DataFrame:
    """Return payments."""
    return DataFrame(
        {
            "payment_id": payments["payment_id"],
            **_dates_and_times(payments),
            "transaction_id": payments["transaction_id"],
            "counterparty_id": payments["counterparty_id"],
            "payment_amount": payments["payment_amount"],
            "currency_id": payments["currency_id"],
            "payment_type_id": payments["payment_type_id"],
            "paid": payments["paid"],
            "payment_date": payments["payment_date"],
        }
    )


def _dates_and_times(rows: DataFrame) -> "dict[str, pd.Series[Any]]":
    return {
        "created_date": rows["created_at"].astype(DATE),
        "created_time": rows["created_at"].astype(TIME),
        "last_updated_date": rows["last_updated"].astype(DATE),
        "last_updated_time": rows["last_updated"].astype(TIME),
    }


@dataclass(frozen=True)
class StarMapping:
    """How a star table comes about: from which source table, and which joins in, if any."""

    table: str
    key: str
    source: str
    partner: str | None
    make: Callable[..., DataFrame]

    def remodel(
        self, rows: pa.Table, partners: pa.Table | None, unfit: Collection[int] = ()
    ) -> pa.Table:
        """Return converted rows, but for those at the positions `unfit`, as rows of this table.

        `partners` are those of the table that joins in, converted too.
        """
        frame = _frame(rows)
        fit = frame.drop(index=list(unfit)) if unfit else frame
        made = self.make(fit) if partners is None else self.make(fit, _frame(partners))
        return pa.table(dict(made.items()))


def _frame(rows: pa.Table) -> DataFrame:
    frame: DataFrame = rows.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _mapping(source: str, make: Callable[..., DataFrame], key: str | None = None) -> StarMapping:
    partner = next((join.parent for join in JOINS if join.child == source), None)
    return StarMapping(make.__name__, key or TABLES[source].key, source, partner, make)


STAR = (
    _mapping("address", dim_location, key="location_id"),
    _mapping("counterparty", dim_counterparty),
    _mapping("currency", dim_currency),
    _mapping("design", dim_design),
    _mapping("payment_type", dim_payment_type),
    _mapping("staff", dim_staff),
    _mapping("transaction", dim_transaction),
    _mapping("sales_order", fact_sales_order),
    _mapping("purchase_order", fact_purchase_order),
    _mapping("payment", fact_payment),
)
"""The star tables, dimensions first: what a fact waits for is known when the facts come."""
