"""The results of the three analyses, in sentences for the mail of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def holiday_orders(rows: Rows) -> str:
    """Say how many orders were placed on public holidays, and in which months."""
    [row] = rows
    months = {name[-3:].capitalize(): n for name, n in row.items() if name.startswith("tt_")}
    found = ", ".join(f"{name} {count:,}" for name, count in months.items() if count)
    return (
        f"{_counted(sum(months.values()), 'order')} on public holidays from Monday to Friday, in "
        f"the year up to the newest order{f' ({found})' if found else ''}."
    )


def shipping(rows: Rows) -> str:
    """Say how many shipments are late or undelivered."""
    [row] = rows
    late, undelivered = row["tt_late_shipments"], row["tt_undelivered_items"]
    return f"{_counted(late, 'late shipment')}, {_counted(undelivered, 'undelivered item')}."


def best_product(rows: Rows) -> str:
    """Say which product has most review points, and how its reviews and shipments are."""
    [row] = rows
    if row["product_name"] is None:
        return "There are no reviews, so no product is the best."
    praise = (
        f"Best product: {row['product_name']}, with "
        f"{_counted(row['tt_review_points'], 'review point')}; "
        f"{row['pct_five_star_review']}% of its reviews have five stars."
    )
    return " ".join([praise, *_busiest_day(row), *_shipments(row)])


def _busiest_day(row: Mapping[str, Any]) -> list[str]:
    if row["most_ordered_day"] is None:
        return []
    holiday = "a public holiday" if row["is_public_holiday"] else "not a public holiday"
    return [f"It was ordered most on {row['most_ordered_day']}, {holiday}."]


def _shipments(row: Mapping[str, Any]) -> list[str]:
    early, late = row["pct_early_shipments"], row["pct_late_shipments"]
    return [] if early is None else [f"{early}% of its shipments were early, {late}% are late."]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
