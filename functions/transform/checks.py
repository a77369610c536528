"""Say in words why a row of the source cannot be a row of the warehouse.

Pure, and it changes nothing: what becomes of a row is decided by whoever asks. Work is done by
column; only rows that are wrong cost a line of Python each.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pandas as pd
from pandas import DataFrame

from functions.common.totesys import JOINS, TABLES, Family, Table
from functions.transform.values import amounts, currency_names, dates, integers, prices

NULLABLE = {
    "address": {"address_line_2", "district"},
    "transaction": {"sales_order_id", "purchase_order_id"},
}
"""The only columns, by source table, that may be NULL in the warehouse."""

Convert = Callable[["pd.Series[Any]"], "pd.Series[Any]"]

# What turns a column into the warehouse's, and what to say of a value that it makes NULL.
CONVERSIONS: dict[str, tuple[Convert, str]] = {
    "agreed_delivery_date": (dates, "agreed_delivery_date '{}' is not a date"),
    "agreed_payment_date": (dates, "agreed_payment_date '{}' is not a date"),
    "payment_date": (dates, "payment_date '{}' is not a date"),
    "currency_code": (currency_names, "currency_code '{}' is not in ISO 4217"),
    "unit_price": (prices, "unit_price {} does not fit numeric(10,2)"),
    "item_unit_price": (amounts, "item_unit_price {} is not a number"),
    "payment_amount": (amounts, "payment_amount {} is not a number"),
}
UNFIT: dict[Family, str] = {"numeric": "is not a number", "timestamp": "is out of range"}
JOIN_COLUMNS = {join.column for join in JOINS}  # not in the star, so of any size


@dataclass(frozen=True)
class Partners:
    """The rows of the table that joins in, and, by key, what is wrong with some of them."""

    table: Table
    rows: DataFrame
    wrong: Mapping[int, str]


class _Findings:
    """What is wrong with rows, by position, in the order in which it was found."""

    def __init__(self) -> None:
        self._found: defaultdict[int, list[str]] = defaultdict(list)

    def add(self, wrong: "pd.Series[Any]", say: Callable[[Any], str]) -> None:
        for position, value in wrong.items():
            self.add_one(position, say(value))

    def add_one(self, position: Any, reason: str) -> None:
        self._found[position].append(reason)

    def reasons(self) -> dict[int, str]:
        return {position: "; ".join(found) for position, found in sorted(self._found.items())}


def partners(table: str, rows: DataFrame) -> Partners:
    """Return the rows of a table that joins in, checked."""
    keys = rows[TABLES[table].key]
    wrong = reasons(TABLES[table], rows, None, {})
    return Partners(TABLES[table], rows, {keys[position]: why for position, why in wrong.items()})


def reasons(
    table: Table,
    rows: DataFrame,
    joined: Partners | None,
    absent: Mapping[str, Collection[int]],
) -> dict[int, str]:
    """Return, by position in order, why rows cannot be in the warehouse; the others are fit.

    `rows` have the columns that the star needs and `_unfit`, the values that Arrow cannot hold;
    `absent` are keys, by table, that the warehouse cannot have yet.
    """
    findings = _Findings()
    unfit = _unfit_values(rows)
    for column, family in table.columns.items():
        if column not in NULLABLE.get(table.name, ()):
            _check_presence(findings, rows[column], family, unfit)
        _check_conversion(findings, rows[column], family)
    if joined is not None:
        _check_partner(findings, rows, table, joined)
    for column, parent in table.parents.items():
        waits = rows[column].isin(list(absent.get(parent, ())))
        findings.add(rows[column][waits], f"waits for {parent} {{}}".format)
    return findings.reasons()


def _unfit_values(rows: DataFrame) -> dict[Any, dict[str, str]]:
    texts = rows["_unfit"].dropna()
    return {
        position: msgspec.json.decode(text, type=dict[str, str]) for position, text in texts.items()
    }


def _check_presence(
    findings: _Findings,
    values: "pd.Series[Any]",
    family: Family,
    unfit: Mapping[Any, Mapping[str, str]],
) -> None:
    column = str(values.name)
    for position in values.index[values.isna()]:
        if (text := unfit.get(position, {}).get(column)) is None:
            findings.add_one(position, f"has no {column}")
        else:
            findings.add_one(position, f"{column} {text} {UNFIT[family]}")


def _check_conversion(findings: _Findings, values: "pd.Series[Any]", family: Family) -> None:
    column = str(values.name)
    if column in CONVERSIONS:
        convert, sentence = CONVERSIONS[column]
    elif family == "integer" and column not in JOIN_COLUMNS:
        convert, sentence = integers, f"{column} {{}} does not fit integer"
    else:
        return
    findings.add(values[values.notna() & convert(values).isna()], sentence.format)


def _check_partner(findings: _Findings, rows: DataFrame, table: Table, joined: Partners) -> None:
    parent = joined.table.name
    column = next(
        join.column for join in JOINS if (join.child, join.parent) == (table.name, parent)
    )
    keys = rows[column]
    missing = keys.notna() & ~keys.isin(joined.rows[joined.table.key])
    findings.add(keys[missing], f"{parent} {{}} is missing".format)
    wrong = keys.isin(list(joined.wrong))
    findings.add(keys[wrong], lambda key: f"{parent} {key} {joined.wrong[key]}")
