"""Rows of the source as a batch holds them: one of each table that fit together, to be varied."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.totesys import TOTESYS

STAMP = datetime(2024, 3, 1, 9, 30, 15, 123000)
STAMPS: dict[str, tuple[pa.DataType, Any]] = {
    "created_at": (pa.timestamp("ms"), STAMP),
    "last_updated": (pa.timestamp("ms"), STAMP),
}
INT, TEXT, MONEY = pa.int32(), pa.string(), pa.decimal128(10, 2)
ORDER: dict[str, tuple[pa.DataType, Any]] = {
    **STAMPS,
    "staff_id": (INT, 1),
    "counterparty_id": (INT, 1),
    "currency_id": (INT, 1),
    "agreed_delivery_date": (TEXT, "2024-03-08"),
    "agreed_payment_date": (TEXT, "2024-03-05"),
    "agreed_delivery_location_id": (INT, 1),
}
COLUMNS: dict[str, dict[str, tuple[pa.DataType, Any]]] = {
    "address": {
        "address_id": (INT, 1),
        "address_line_1": (TEXT, "1 O'Hara Court"),
        "address_line_2": (TEXT, None),
        "district": (TEXT, ""),
        "city": (TEXT, "Leeds"),
        "postal_code": (TEXT, "08841"),
        "country": (TEXT, "Wales"),
        "phone": (TEXT, "0113 496 0000"),
        **STAMPS,
    },
    "counterparty": {
        "counterparty_id": (INT, 1),
        "counterparty_legal_name": (TEXT, "Flax & Sons"),
        "legal_address_id": (INT, 1),
        "commercial_contact": (TEXT, None),
        "delivery_contact": (TEXT, None),
        **STAMPS,
    },
    "currency": {"currency_id": (INT, 1), "currency_code": (TEXT, "GBP"), **STAMPS},
    "department": {
        "department_id": (INT, 1),
        "department_name": (TEXT, "Facilites"),
        "location": (TEXT, "Leeds"),
        "manager": (TEXT, None),
        **STAMPS,
    },
    "design": {
        "design_id": (INT, 1),
        "created_at": STAMPS["created_at"],
        "design_name": (TEXT, "Wooden"),
        "file_location": (TEXT, "/usr"),
        "file_name": (TEXT, "wooden-20240301-1a2b.json"),
        "last_updated": STAMPS["last_updated"],
    },
    "payment_type": {
        "payment_type_id": (INT, 1),
        "payment_type_name": (TEXT, "SALES_RECEIPT"),
        **STAMPS,
    },
    "staff": {
        "staff_id": (INT, 1),
        "first_name": (TEXT, "Ann"),
        "last_name": (TEXT, "O'Neil"),
        "department_id": (INT, 1),
        "email_address": (TEXT, "ann@example.com"),
        **STAMPS,
    },
    "transaction": {
        "transaction_id": (INT, 1),
        "transaction_type": (TEXT, "SALE"),
        "sales_order_id": (INT, 1),
        "purchase_order_id": (INT, None),
        **STAMPS,
    },
    "sales_order": {
        "sales_order_id": (INT, 1),
        "design_id": (INT, 1),
        "units_sold": (INT, 40000),
        "unit_price": (MONEY, Decimal("2.50")),
        **ORDER,
    },
    "purchase_order": {
        "purchase_order_id": (INT, 1),
        "item_code": (TEXT, "ZDOI5EA"),
        "item_quantity": (INT, 7),
        "item_unit_price": (MONEY, Decimal("361.39")),
        **ORDER,
    },
    "payment": {
        "payment_id": (INT, 1),
        **STAMPS,
        "transaction_id": (INT, 1),
        "counterparty_id": (INT, 1),
        "payment_amount": (MONEY, Decimal("100000.00")),
        "currency_id": (INT, 1),
        "payment_type_id": (INT, 1),
        "paid": (pa.bool_(), False),
        "payment_date": (TEXT, "2024-03-05"),
        "company_ac_number": (INT, 67305075),
        "counterparty_ac_number": (INT, 31622269),
    },
}


def source_rows(
    table: str, *rows: dict[str, Any], types: dict[str, pa.DataType] | None = None
) -> pa.Table:
    """Return rows of a source table, each the usual one but for the columns that it names.

    `types` are those of columns that are not as usual, or that are new.
    """
    columns = COLUMNS[table] | {"_unfit": (TEXT, None)}
    if table in TOTESYS.waited_for:
        columns["_known"] = (pa.bool_(), False)
    usual = {name: value for name, (_, value) in columns.items()}
    schema = pa.schema({name: kind for name, (kind, _) in columns.items()} | (types or {}))
    return pa.Table.from_pylist([usual | row for row in rows], schema)
