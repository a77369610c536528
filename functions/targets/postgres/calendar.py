"""The calendar: every day from the first to the last that a history uses."""

from datetime import date

import pg8000.native
import pyarrow as pa
import pyarrow.compute as pc
from pg8000.native import identifier

from functions.targets.postgres.careful import insert_each
from functions.targets.postgres.tables import WarehouseTable

# The attributes of a day, as SQL over a timestamp `moment`. Without TM, to_char speaks English
# whatever the server's locale is.
_DAY = {
    "date_id": "moment::date",
    "year": "extract(year FROM moment)::int",
    "month": "extract(month FROM moment)::int",
    "day": "extract(day FROM moment)::int",
    "day_of_week": "extract(isodow FROM moment)::int",
    "day_name": "to_char(moment, 'FMDay')",
    "month_name": "to_char(moment, 'FMMonth')",
    "quarter": "extract(quarter FROM moment)::int",
}


class Days:
    """The days of a calendar, during one transaction. `added` counts those that were missing."""

    def __init__(
        self,
        connection: pg8000.native.Connection,
        calendar: WarehouseTable | None,
        *,
        careful: bool,
    ) -> None:
        """`careful` leaves out days that the warehouse refuses; None is no calendar."""
        self._calendar = calendar
        self.added = 0
        self._connection = connection
        self._careful = careful
        self._covered: tuple[date, date] | None = None

    def cover(self, rows: pa.Table) -> None:
        """Add the days that are missing for the dates of some rows, and all days between."""
        if self._calendar is None:
            return
        dates = [rows[field.name] for field in rows.schema if pa.types.is_date(field.type)]
        spans = [tuple(pc.min_max(column).as_py().values()) for column in dates]
        spans = [span for span in spans if span != (None, None)]
        if self._covered is not None:
            spans.append(self._covered)
        if not spans:
            return
        span = min(first for first, _ in spans), max(last for _, last in spans)
        if span != self._covered:
            self._extend(self._calendar, *span)
            self._covered = span

    def _extend(self, calendar: WarehouseTable, first: date, last: date) -> None:
        target = calendar.target
        day = f"{target}.{identifier(calendar.column('date_id'))}"
        names = [identifier(calendar.column(name)) for name in _DAY]
        columns = ", ".join(names)
        values = ", ".join(
            f"{sql} AS {name}" for sql, name in zip(_DAY.values(), names, strict=True)
        )
        days = (
            f"SELECT {values}"
            f" FROM (SELECT least(min({day}), '{first.isoformat()}'::date) AS first,"
            f" greatest(max({day}), '{last.isoformat()}'::date) AS last FROM {target}) AS span,"
            " generate_series(span.first::timestamp, span.last::timestamp, interval '1 day')"
            " AS series(moment)"
            f" WHERE NOT EXISTS (SELECT FROM {target} WHERE {day} = series.moment::date)"
        )
        insert = f"INSERT INTO {target} ({columns})"
        if self._careful:
            accepted = ", ".join(f"_this.{name}" for name in names)
            self.added += insert_each(self._connection, days, f"{insert} VALUES ({accepted})")
        else:
            self._connection.run(f"{insert} {days}")
            self.added += int(self._connection.row_count)
