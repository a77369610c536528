"""The database in which a statement runs: DuckDB over the objects of the tables that it names.

Before the statement runs, the database is locked down: it reads the objects of these tables and no
other file, has no network, loads no extension, and no setting can be changed.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from deployer.errors import OperationError, SettingsError
from deployer.query.cache import Cache
from deployer.query.catalog import Catalog, Derived, Stored
from deployer.query.rows import OWN, Rows, listed, literal
from deployer.query.tables import Contents, File
from etl.ddl import CALENDAR_COLUMNS, quoted

ROWS_AT_A_TIME = 65_536
_CONFIGURATION = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}
# MySQL's functions of points, which are texts as PostgreSQL writes them: (x,y).
_POINTS = (
    "CREATE MACRO ST_X(point) AS string_split(trim(point, '()'), ',')[1]::DOUBLE",
    "CREATE MACRO ST_Y(point) AS string_split(trim(point, '()'), ',')[2]::DOUBLE",
)
_LOCKS = ("enable_external_access = false", "lock_configuration = true")


@dataclass(frozen=True)
class Named:
    """What a statement names, directly or through views: stored tables, and other names."""

    tables: Mapping[str, Stored]
    names: tuple[str, ...]


class Database:
    """A database in memory, with what one statement needs."""

    def __init__(self, duckdb: Any, catalog: Catalog, cache: Cache) -> None:
        self._duckdb = duckdb
        self._catalog = catalog
        self._cache = cache
        self._connection = duckdb.connect(config=_CONFIGURATION)
        self._rows: dict[str, Rows] = {}

    def select_of(self, sql: str) -> str:
        """Return the one statement of a text; raise SettingsError unless it is a SELECT."""
        with self._explained():
            statements = self._duckdb.extract_statements(sql)
        kinds = [each.type.name for each in statements]
        if kinds != ["SELECT"]:
            what = f"it is {kinds[0]}" if len(kinds) == 1 else f"there are {len(kinds)} statements"
            raise SettingsError([f"a query is one SELECT, and {what}: nothing here is written"])
        return str(statements[0].query)

    def named_in(self, sql: str) -> Named:
        """Return what a SELECT names; raise OperationError for a model."""
        found: dict[str, None] = {}
        self._collect(sql, found)
        tables = {
            name: self._catalog.tables[name] for name in found if name in self._catalog.tables
        }
        for name in found:
            of_view = self._catalog.current.get(name)
            histories = self._catalog.calendars.get(name, ("", ()))[1]
            for each in (*([of_view] if of_view else []), *histories):
                tables[each.declared.name.lower()] = each
        return Named(tables, tuple(found))

    def _collect(self, sql: str, found: dict[str, None]) -> None:
        for name in self._tables_in(sql):
            if name in self._catalog.models:
                raise OperationError(
                    f"{name} is a model: the warehouse computes it, and the lake has its inputs "
                    "alone. Ask the warehouse, or the tables that it is made of."
                )
            if (view := self._catalog.views.get(name)) and name not in found:
                self._collect(view.query, found)
            found[name] = None

    def _tables_in(self, sql: str) -> list[str]:
        """Return the names in a SELECT that may be tables, in lower case, by its syntax alone."""
        run = self._connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql])
        tree = json.loads(run.fetchone()[0])
        if tree["error"]:
            raise OperationError(f"DuckDB does not understand this: {tree['error_message']}\n{sql}")
        return [name.lower() for name in _names_in(tree)]

    def open(
        self,
        named: Named,
        contents: Mapping[str, Contents],
        paths: Mapping[File, Path],
    ) -> None:
        """Make what a statement names; after that, nothing else can be read."""
        run = self._connection.execute
        run(f"SET TimeZone = 'UTC'; CREATE SCHEMA {OWN}")
        for macro in _POINTS:
            run(macro)
        for schema in self._catalog.schemas:
            run(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        run(f"SET search_path = {literal(','.join(map(quoted, self._catalog.schemas)))}")
        for name, stored in named.tables.items():
            with self._explained(f"table {name}"):
                self._rows[name] = Rows(
                    self._connection,
                    self._cache,
                    stored,
                    contents[name],
                    paths,
                    number=len(self._rows),
                )
        for name in named.names:
            self._make(name)
        allowed = [str(path) for path in paths.values()]
        run(f"SET allowed_paths = {listed(allowed)}")
        for lock in _LOCKS:
            run(f"SET {lock}")

    def _make(self, name: str) -> None:
        catalog = self._catalog
        if stored := catalog.tables.get(name):
            self._view(stored.schema, stored.declared.name, self._rows[name].table)
        elif stored := catalog.current.get(name):
            self._view(stored.schema, name, self._rows[stored.declared.name.lower()].current())
        elif calendar := catalog.calendars.get(name):
            schema, histories = calendar
            rows = [self._rows[each.declared.name.lower()] for each in histories]
            self._view(schema, name, _days([day for each in rows for day in each.days()]))
        elif view := catalog.views.get(name):
            self._declared(name, view)

    def _declared(self, name: str, view: Derived) -> None:
        with self._explained(f"view {name}, which is written for the warehouse"):
            self._view(view.schema, name, view.query)

    def _view(self, schema: str, name: str, query: str) -> None:
        self._connection.execute(f"CREATE VIEW {quoted(schema)}.{quoted(name)} AS\n{query}\n")

    def answer(self, sql: str) -> Any:
        """Return the relation of a SELECT; its errors are those of `failures`."""
        return self._connection.sql(sql)

    def rendered(self, rows: pa.RecordBatchReader) -> Iterator[tuple[str | None, ...]]:
        """Yield the same rows, with each value as the text that DuckDB shows."""
        self._texts.register("answer", rows)
        texts = self._texts.sql("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM answer")
        for batch in texts.to_arrow_reader(ROWS_AT_A_TIME):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    @cached_property
    def _texts(self) -> Any:
        """Another database for what is shown: to open one takes longer than a small answer."""
        connection = self._duckdb.connect(config=_CONFIGURATION)
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Report the errors of a statement in DuckDB's words, with the tables that there are."""
        with self._explained(names=self._catalog.names):
            yield

    @contextmanager
    def _explained(self, what: str = "", names: Collection[str] = ()) -> Iterator[None]:
        try:
            yield
        except (self._duckdb.Error, pa.ArrowException) as error:
            said = str(error).strip()
            where = f"{what}: " if what else ""
            is_unknown = isinstance(error, self._duckdb.CatalogException) and "Table" in said
            more = f"\nThere are: {', '.join(names)}" if names and is_unknown else ""
            raise OperationError(f"{where}{said}{more}") from None


def _names_in(tree: Any) -> Iterator[str]:
    """Yield the names of the tables in a syntax tree, those of common table expressions too."""
    if isinstance(tree, dict):
        if tree.get("type") in ("BASE_TABLE", "SHOW_REF") and tree.get("table_name"):
            yield tree["table_name"]
        tree = list(tree.values())
    for each in tree if isinstance(tree, list) else ():
        yield from _names_in(each)


def _days(spans: list[str]) -> str:
    """Return the query of all days from the first to the last of some dates."""
    day = {
        "date_id": "day::DATE",
        "year": "year(day)::INTEGER",
        "month": "month(day)::INTEGER",
        "day": "day(day)::INTEGER",
        "day_of_week": "isodow(day)::INTEGER",
        "day_name": "dayname(day)",
        "month_name": "monthname(day)",
        "quarter": "quarter(day)::INTEGER",
    }
    columns = ", ".join(f"{day[name]} AS {quoted(name)}" for name in CALENDAR_COLUMNS)
    spans = spans or ["SELECT NULL::DATE AS first, NULL::DATE AS last"]
    span = f"SELECT min(first) AS first, max(last) AS last FROM ({' UNION ALL '.join(spans)})"
    days = f"SELECT unnest(generate_series(first, last, INTERVAL 1 DAY)) AS day FROM ({span})"
    return f"SELECT {columns} FROM ({days})"
