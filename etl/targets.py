"""The tables of a target: how each is made from tables of a source, and how rows are combined.

A decorator makes a target table from a function that takes rows of source tables as pandas frames,
and returns those of the target table. It may be called with slices of its main table, and always
with whole joined tables, so it has to work row by row.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict, Unpack, overload

from etl.columns import Column, require_columns
from etl.errors import DeclarationError
from etl.tables import Table, table_id

if TYPE_CHECKING:
    from etl.models import Model, View

Way = Literal["history", "latest", "once", "replace"]
"""How rows are combined: a row is appended if it differs from the newest of its key (`history`),
inserted or updated by its key (`latest`), inserted unless its key is there (`once`), or the table
equals the newest snapshot (`replace`)."""

Make = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class TargetTable:
    """A table of the target. Use `latest`, `history`, `once` or `replace` to declare it.

    `make` is the function, None if the rows are those of the source table `copy_of`. `joins` maps a
    parameter to the column that refers to its rows, if the references leave a choice. `columns` are
    those of the table, for a warehouse that is created from the declaration. `other_names`, of the
    table and of columns, are those that some installations use. `schema` is that of the table, None
    for the one that the target says.
    """

    name: str
    key: tuple[str, ...]
    way: Way
    make: Make | None
    copy_of: Table | None
    joins: Mapping[str, str]
    columns: Mapping[str, Column] | None
    other_names: tuple[str, ...] = ()
    other_columns: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    schema: str | None = None

    def __post_init__(self) -> None:
        """Raise DeclarationError for a key that the columns lack."""
        if self.columns is not None:
            require_columns(self, self.columns)
        if not self.key and self.way != "replace":
            raise DeclarationError(f"{self}: it has no key: name the columns that identify a row")
        for name in self.key if self.columns is not None else ():
            if name not in (self.columns or {}):
                raise DeclarationError(f"{self}: its key {name} is not among its columns")

    def __str__(self) -> str:
        return f"target table {self.name}"

    def __call__(self, *args: Any, **rows: Any) -> Any:
        """Return the function's result."""
        if self.make is None:
            [same] = [*args, *rows.values()]
            return same
        return self.make(*args, **rows)

    @property
    def id(self) -> str:
        """Its name in manifests and in the keys of objects."""
        return table_id("public", self.name)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the function: the main table, then the joined ones."""
        if self.copy_of is not None:
            return (self.copy_of.parameter,)
        return tuple(inspect.signature(self.make).parameters) if self.make else ()


class Options(TypedDict, total=False):
    """The options of a target table; see `TargetTable`.

    By default, `name` is that of the function or of the copied table, and `key` that of the copied
    table.
    """

    key: str | tuple[str, ...]
    name: str
    joins: Mapping[str, str]
    columns: Mapping[str, Column]
    other_names: tuple[str, ...]
    other_columns: Mapping[str, str]
    optional: bool
    schema: str | None


class Declare:
    """Declares target tables of one way: `latest(table)`, or a function with `@latest(key=…)`."""

    def __init__(self, way: Way) -> None:
        self._way: Way = way

    @overload
    def __call__(self, copy_of: Table, **options: Unpack[Options]) -> TargetTable: ...

    @overload
    def __call__(self, **options: Unpack[Options]) -> Callable[[Make], TargetTable]: ...

    def __call__(
        self, copy_of: Table | None = None, **options: Unpack[Options]
    ) -> TargetTable | Callable[[Make], TargetTable]:
        """Return the target table that equals a source table, or a decorator for a function."""
        if unknown := [name for name in options if name not in Options.__annotations__]:
            raise DeclarationError(
                f"{self._way} has no {unknown[0]}: it takes {', '.join(Options.__annotations__)}"
            )
        if copy_of is None:
            return lambda make: self._table(make.__name__, make, options)
        if not isinstance(copy_of, Table):
            raise DeclarationError(
                f"write @{self._way}(key=…) before def, or {self._way}(table) for one as it is"
            )
        own: Options = {"key": copy_of.keys, "columns": copy_of.columns}
        return self._table(copy_of.name, copy_of, {**own, **options})

    def _table(self, name: str, made_of: Make | Table, options: Options) -> TargetTable:
        key = options.get("key", ())
        return TargetTable(
            name=options.get("name", name),
            key=(key,) if isinstance(key, str) else tuple(key),
            way=self._way,
            make=None if isinstance(made_of, Table) else made_of,
            copy_of=made_of if isinstance(made_of, Table) else None,
            joins=options.get("joins", {}),
            columns=options.get("columns"),
            other_names=options.get("other_names", ()),
            other_columns=options.get("other_columns", {}),
            optional=options.get("optional", False),
            schema=options.get("schema"),
        )


latest = Declare("latest")
history = Declare("history")
once = Declare("once")
replace = Declare("replace")
dimension, fact = latest, history
"""The terms of a star schema for `latest` and `history`."""


@dataclass(frozen=True)
class Calendar:
    """A table with all days between any two in the history tables.

    A row with a date outside `first` to `last` goes into quarantine, so that a typing error does
    not add a million days.
    """

    name: str
    first: date = date(1900, 1, 1)
    last: date = date(2100, 12, 31)


Cells = Mapping[str, str | None]


@dataclass(frozen=True, eq=False)
class RowExport:
    """A CSV file for each row of a target table for which `cells` returns one.

    `cells` takes a row, {column: value}, in which JSON and other types without an equivalent in
    Python are text, and returns {header: cell}; None or {} if the row has no file. The values of
    the columns `name` make its key: `exports/<value>/<value>.csv`. They include the table's key, so
    that a new version of a row overwrites its file.
    """

    table: TargetTable
    cells: Callable[[Mapping[str, Any]], Cells | None]
    name: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise DeclarationError for a name that the table cannot give, or that rows may share."""
        for column in self.name:
            if self.table.columns is not None and column not in self.table.columns:
                raise DeclarationError(
                    f"the export of rows of {self.table}: there is no column {column} for its name"
                )
        if not self.table.key or not set(self.table.key) <= set(self.name):
            raise DeclarationError(
                f"the export of rows of {self.table}: its name includes the key of the table"
            )


@dataclass(frozen=True)
class Target:
    """The attributes that all kinds of targets have; its URL is the setting `<NAME>_DATABASE_URL`.

    `ddl` is the file of the pipeline's folder that creates the tables where WAREHOUSE_MANAGED says
    so. Without one they are created from the `columns` of the target tables.

    `models` are made of the tables, in this order. `exports` are tables and models that are written
    as CSV, `exports/<schema>/<table>/<yyyy-mm-dd>.csv`, whenever a batch has rows of them: a table
    as a whole, of a model the rows that came of its SELECT. `row_exports` write rows one by one,
    when transform makes them. `views` are made where WAREHOUSE_MANAGED says so.
    """

    kind: ClassVar[str]

    name: str
    tables: tuple[TargetTable, ...]
    calendar: Calendar | None = None
    ddl: str | None = None
    schema: str = ""
    models: "tuple[Model, ...]" = ()
    exports: "tuple[TargetTable | Model, ...]" = ()
    row_exports: tuple[RowExport, ...] = ()
    views: "tuple[View, ...]" = ()

    @property
    def made(self) -> tuple[TargetTable, ...]:
        """All tables with rows of the pipeline: the target tables, then those of its models."""
        return (*self.tables, *(model.table for model in self.models))

    def schemas(self, schema: str) -> tuple[str, ...]:
        """Return the schemas of its tables and views; the default `schema` is first."""
        named = [*(each.schema for each in self.made), *(each.schema for each in self.views)]
        return tuple(dict.fromkeys([schema, *(each or schema for each in named)]))

    @property
    def setting(self) -> str:
        """The name of the setting with its URL."""
        return f"{self.name.upper()}_DATABASE_URL"

    @property
    def secret_setting(self) -> str:
        """The name of the functions' variable with the id of the secret that holds its address."""
        return f"{self.name.upper()}_SECRET_ID"

    @property
    def address_setting(self) -> str:
        """The name of the setting with what a secret of others does not say about it."""
        return f"{self.name.upper()}_DATABASE_ADDRESS"


@dataclass(frozen=True)
class PostgresWarehouse(Target):
    """A schema of a PostgreSQL database: see `Target`.

    `schema` has the tables unless WAREHOUSE_SCHEMA overrides it.
    """

    kind: ClassVar[str] = "postgres"

    schema: str = "public"


@dataclass(frozen=True)
class MysqlWarehouse(Target):
    """A database of a MySQL or MariaDB server: see `Target`.

    What PostgreSQL calls a schema is a database here: `schema`, if not empty, or WAREHOUSE_SCHEMA
    names another one than the URL does. It has no models and no exports.
    """

    kind: ClassVar[str] = "mysql"

    def __post_init__(self) -> None:
        """Raise DeclarationError for models and exports, which only PostgreSQL targets have."""
        if self.models or self.exports:
            raise DeclarationError(
                f"target {self.name}: a MySQL target has no models and no exports: write a view, "
                "or declare a PostgresWarehouse"
            )
