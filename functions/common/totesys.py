"""The source as the pipeline knows it: its tables, their keys, and who refers to whom."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

Family = Literal["integer", "numeric", "text", "boolean", "timestamp", "date"]
"""A kind of SQL types. `date` is a day, also where it is kept as text or as its midnight."""

CALENDAR = (date(1900, 1, 1), date(2100, 12, 31))
"""The first and the last day that `dim_date` may have: it has all days between any two of its."""


@dataclass(frozen=True)
class Join:
    """A child that shares a star table with its parent: a batch always holds both sides."""

    child: str
    column: str
    parent: str


@dataclass(frozen=True)
class Table:
    """A source table: its integer key, the columns the star needs, and a fact's parents.

    `columns` maps each needed column to the family of types it may have; a wider type of the same
    family is accepted. `parents` maps a column to the table whose row must be in the warehouse
    before this one, because a foreign key of the warehouse says so.
    """

    name: str
    key: str
    columns: dict[str, Family]
    parents: dict[str, str]

    @property
    def calendar_columns(self) -> list[str]:
        """The columns whose days the calendar must have: the dates and stamps of a fact."""
        kinds = ("date", "timestamp")
        return [name for name, family in self.columns.items() if self.parents and family in kinds]


STAMPS: dict[str, Family] = {"created_at": "timestamp", "last_updated": "timestamp"}
ORDER: dict[str, Family] = {
    "staff_id": "integer",
    "counterparty_id": "integer",
    "currency_id": "integer",
    "agreed_delivery_date": "date",
    "agreed_payment_date": "date",
    "agreed_delivery_location_id": "integer",
    **STAMPS,
}
ORDER_PARENTS = {
    "staff_id": "staff",
    "counterparty_id": "counterparty",
    "currency_id": "currency",
    "agreed_delivery_location_id": "address",
}


def _text(*columns: str) -> dict[str, Family]:
    return dict.fromkeys(columns, "text")


def _table(name: str, columns: dict[str, Family], parents: dict[str, str] | None = None) -> Table:
    key = f"{name}_id"
    return Table(name, key, {key: "integer", **columns}, parents or {})


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        _table(
            "address",
            _text("address_line_1", "address_line_2", "district")
            | _text("city", "postal_code", "country", "phone"),
        ),
        _table("counterparty", _text("counterparty_legal_name") | {"legal_address_id": "integer"}),
        _table("currency", _text("currency_code")),
        _table("department", _text("department_name", "location")),
        _table("design", _text("design_name", "file_location", "file_name")),
        _table("payment_type", _text("payment_type_name")),
        _table(
            "staff",
            _text("first_name", "last_name", "email_address") | {"department_id": "integer"},
        ),
        _table(
            "transaction",
            {
                "transaction_type": "text",
                "sales_order_id": "integer",
                "purchase_order_id": "integer",
            },
        ),
        _table(
            "sales_order",
            {"design_id": "integer", "units_sold": "integer", "unit_price": "numeric", **ORDER},
            {"design_id": "design", **ORDER_PARENTS},
        ),
        _table(
            "purchase_order",
            {
                "item_code": "text",
                "item_quantity": "integer",
                "item_unit_price": "numeric",
                **ORDER,
            },
            ORDER_PARENTS,
        ),
        _table(
            "payment",
            {
                "transaction_id": "integer",
                "counterparty_id": "integer",
                "payment_amount": "numeric",
                "currency_id": "integer",
                "payment_type_id": "integer",
                "paid": "boolean",
                "payment_date": "date",
                **STAMPS,
            },
            {
                "transaction_id": "transaction",
                "counterparty_id": "counterparty",
                "currency_id": "currency",
                "payment_type_id": "payment_type",
            },
        ),
    )
}

PARENTS = frozenset(parent for table in TABLES.values() for parent in table.parents.values())
"""The tables whose rows facts wait for."""

JOINS = (
    Join("staff", "department_id", "department"),
    Join("counterparty", "legal_address_id", "address"),
)

JOINED = frozenset(name for join in JOINS for name in (join.child, join.parent))
"""The tables that share a star table with another one."""
