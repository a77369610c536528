"""The days of the calendar."""

from collections.abc import Iterator
from datetime import date, timedelta

import pyarrow as pa

from functions.common.loaded import Loaded
from functions.common.mysql import MysqlConnection, quoted
from functions.targets.mysql import careful
from functions.targets.mysql.stage import insert
from functions.targets.mysql.tables import MysqlTable

# The names in Python's `calendar` follow the locale.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def add_days(
    connection: MysqlConnection,
    calendar: MysqlTable,
    first: date,
    last: date,
    *,
    is_careful: bool,
) -> int:
    """Add the missing days between `first`, `last` and the existing ones; return how many.

    `is_careful` skips days that the warehouse refuses.
    """
    column, target = quoted(calendar.column("date_id")), calendar.target
    [[lowest, highest]] = connection.run(f"SELECT min({column}), max({column}) FROM {target}")
    first, last = min(first, lowest or first), max(last, highest or last)
    known = {
        day for [day] in connection.run(f"SELECT {column} FROM {target}") if isinstance(day, date)
    }
    days = _days([day for day in _between(first, last) if day not in known])
    if not days.num_rows:
        return 0

    def apply(rows: pa.Table) -> Loaded:
        insert(connection, target, calendar, rows)
        return Loaded(rows.num_rows, rows.num_rows, 0)

    if is_careful:
        return careful.each(connection, [days], apply).loaded.inserted
    return apply(days).inserted


def _between(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(number)


def _days(days: list[date]) -> pa.Table:
    """Return the calendar's rows of days."""
    return pa.table(
        {
            "date_id": pa.array(days, pa.date32()),
            "year": [day.year for day in days],
            "month": [day.month for day in days],
            "day": [day.day for day in days],
            "day_of_week": [day.isoweekday() for day in days],
            "day_name": [_DAYS[day.weekday()] for day in days],
            "month_name": [_MONTHS[day.month - 1] for day in days],
            "quarter": [(day.month + 2) // 3 for day in days],
        }
    )
