"""The days of the calendar, made by the warehouse."""

from datetime import date

from pg8000.native import identifier

from functions.common.pgconnection import PostgresConnection
from functions.targets.postgres.careful import insert_each
from functions.targets.postgres.tables import PostgresTable

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


def add_days(
    connection: PostgresConnection,
    calendar: PostgresTable,
    first: date,
    last: date,
    *,
    careful: bool,
) -> int:
    """Add the days that are missing, between these or any that are there; return how many.

    `careful` leaves out days that the warehouse refuses.
    """
    target = calendar.target
    day = f"{target}.{identifier(calendar.column('date_id'))}"
    names = [identifier(calendar.column(name)) for name in _DAY]
    columns = ", ".join(names)
    values = ", ".join(f"{sql} AS {name}" for sql, name in zip(_DAY.values(), names, strict=True))
    days = (
        f"SELECT {values}"
        f" FROM (SELECT least(min({day}), '{first.isoformat()}'::date) AS first,"
        f" greatest(max({day}), '{last.isoformat()}'::date) AS last FROM {target}) AS span,"
        " generate_series(span.first::timestamp, span.last::timestamp, interval '1 day')"
        " AS series(moment)"
        f" WHERE NOT EXISTS (SELECT FROM {target} WHERE {day} = series.moment::date)"
    )
    insert = f"INSERT INTO {target} ({columns})"
    if careful:
        accepted = ", ".join(f"_this.{name}" for name in names)
        return insert_each(connection, days, f"{insert} VALUES ({accepted})")
    connection.run(f"{insert} {days}")
    return int(connection.row_count)
