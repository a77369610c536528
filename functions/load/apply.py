"""Apply one batch to the warehouse: SELECT, INSERT, UPDATE and temporary tables, nothing else.

Rows are staged in temporary tables of the warehouse's own types, so that "differs" is decided by
the warehouse. Applying a batch again changes nothing.
"""

from collections.abc import Iterable
from datetime import date

import pg8000.native
import pyarrow as pa
from pg8000.native import identifier

from functions.common.copy import SESSION, copy_in
from functions.common.manifests import Loaded
from functions.load.star import CALENDAR, DIMENSIONS, FACTS, Star, StarTable

SESSION_PARAMETERS = {
    **SESSION,
    "jit": "off",
    # The lock of a loader that was killed is free again once the server notices, within a minute.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


class Stage:
    """The rows of one star table of a batch, in a temporary table."""

    def __init__(self, table: StarTable, key: str) -> None:
        self.table = table
        self.key = key
        self.name = f"stage_{table.name}"
        self.columns: list[str] = []
        self.dates: list[str] = []
        self.rows = 0

    def fill(self, connection: pg8000.native.Connection, batches: Iterable[pa.RecordBatch]) -> None:
        """Copy the rows in; without any, nothing is created."""
        for batch in batches:
            if not self.columns:
                self._create(connection, batch.schema)
            copy_in(connection, self.name, self.columns, [batch])
            self.rows += batch.num_rows
        if self.rows:
            # The stage is ours, and the only table of the plan that we may tell the planner about.
            connection.run(f"ANALYZE {identifier(self.name)}")

    def _create(self, connection: pg8000.native.Connection, schema: pa.Schema) -> None:
        self.columns = [self.table.column(field.name) for field in schema]
        self.dates = [
            self.table.column(field.name) for field in schema if pa.types.is_date(field.type)
        ]
        connection.run(
            f"CREATE TEMPORARY TABLE {identifier(self.name)} ON COMMIT DROP AS"
            f" SELECT {self.list_of()} FROM {self.table.target} WITH NO DATA"
        )

    def list_of(self, alias: str = "", columns: list[str] | None = None) -> str:
        """Return columns, all by default, as an SQL list, each with a table's alias before it."""
        names = self.columns if columns is None else columns
        prefix = f"{alias}." if alias else ""
        return ", ".join(prefix + identifier(column) for column in names)

    def differs(self, here: str, there: str) -> str:
        """Return the SQL that is true where two aliases disagree in any column but the key."""
        others = [column for column in self.columns if column != self.key]
        return f"({self.list_of(here, others)}) IS DISTINCT FROM ({self.list_of(there, others)})"


def stages(star: Star, names: Iterable[str]) -> list[Stage]:
    """Return an empty stage for each star table of `names`."""
    keys = DIMENSIONS | FACTS
    return [Stage(star.tables[name], star.tables[name].column(keys[name])) for name in names]


def upsert_dimension(connection: pg8000.native.Connection, stage: Stage) -> Loaded:
    """Bring a dimension's rows to their latest values.

    Not ON CONFLICT, which asks for a unique index that a prepared warehouse need not have.
    """
    source, target = identifier(stage.name), stage.table.target
    key = identifier(stage.key)
    others = [column for column in stage.columns if column != stage.key]
    assignments = ", ".join(f"{identifier(column)} = s.{identifier(column)}" for column in others)
    connection.run(
        f"UPDATE {target} AS d SET {assignments} FROM {source} AS s"
        f" WHERE d.{key} = s.{key} AND {stage.differs('d', 's')}"
    )
    updated = connection.row_count
    connection.run(
        f"INSERT INTO {target} ({stage.list_of()}) SELECT {stage.list_of('s')} FROM {source} AS s"
        f" WHERE NOT EXISTS (SELECT FROM {target} AS d WHERE d.{key} = s.{key})"
    )
    return Loaded(stage.rows, connection.row_count, updated)


def insert_fact(connection: pg8000.native.Connection, stage: Stage) -> Loaded:
    """Add the rows that differ from the newest record of their business id, or have none."""
    source, target = identifier(stage.name), stage.table.target
    key, record_id = identifier(stage.key), identifier(str(stage.table.record_id))
    # There is no index on the business id, and no statistics that can be relied on: a nested loop
    # over the history is never right, and at times what the planner would guess.
    connection.run("SET LOCAL enable_nestloop = off")
    connection.run(
        f"INSERT INTO {target} ({stage.list_of()})"
        f" SELECT {stage.list_of('s')} FROM {source} AS s"
        f" LEFT JOIN (SELECT DISTINCT ON (f.{key}) {stage.list_of('f')}"
        f" FROM {target} AS f JOIN {source} AS k ON k.{key} = f.{key}"
        f" ORDER BY f.{key}, f.{record_id} DESC) AS newest ON newest.{key} = s.{key}"
        f" WHERE newest.{key} IS NULL OR {stage.differs('newest', 's')}"
    )
    inserted = connection.row_count
    connection.run("SET LOCAL enable_nestloop = on")
    return Loaded(stage.rows, inserted, 0)


def extend_calendar(
    connection: pg8000.native.Connection, calendar: StarTable, facts: Iterable[Stage]
) -> int:
    """Give `dim_date` all days from the first to the last that a staged fact uses.

    Days between those and what was there are filled too. Returns how many were added.
    """
    spans = [_span(connection, stage) for stage in facts if stage.rows and stage.dates]
    if not spans:
        return 0
    day = f"{calendar.target}.{identifier(calendar.column('date_id'))}"
    columns = ", ".join(identifier(calendar.column(name)) for name in _DAY)
    connection.run(
        f"INSERT INTO {calendar.target} ({columns}) SELECT {', '.join(_DAY.values())}"
        f" FROM (SELECT least(min({day}), :first::date) AS first,"
        f" greatest(max({day}), :last::date) AS last FROM {calendar.target}) AS span,"
        " generate_series(span.first::timestamp, span.last::timestamp, interval '1 day')"
        " AS series(moment)"
        f" WHERE NOT EXISTS (SELECT FROM {calendar.target} WHERE {day} = moment::date)",
        first=min(first for first, _ in spans),
        last=max(last for _, last in spans),
    )
    return int(connection.row_count)


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


def _span(connection: pg8000.native.Connection, stage: Stage) -> tuple[date, date]:
    lowest = ", ".join(f"min({identifier(column)})" for column in stage.dates)
    highest = ", ".join(f"max({identifier(column)})" for column in stage.dates)
    [[first, last]] = connection.run(
        f"SELECT least({lowest}), greatest({highest}) FROM {identifier(stage.name)}"
    )
    return first, last


def calendar_of(star: Star) -> StarTable:
    """Return the star's calendar, `dim_date`."""
    return star.tables[CALENDAR]
