"""The tables of a source: their keys, columns and references."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

from etl.columns import (
    SELF,
    BigInteger,
    Column,
    Double,
    Integer,
    Real,
    SmallInteger,
    require_columns,
)
from etl.errors import DeclarationError

_INTEGERS = (SmallInteger, Integer, BigInteger)

OWN_COLUMNS = frozenset(
    {
        "_batch",
        "_event",
        "_hash",
        "_known",
        "_line",
        "_reason",
        "_received",
        "_row",
        "_signed",
        "_target",
        "_transaction",
        "_unfit",
        "_wrong",
        "_xid",
    }
)
"""Columns that the engine adds to rows, in the target and in the quarantine."""


@dataclass(frozen=True)
class Reference:
    """Columns whose values together are the key of a row of `table`.

    It is `is_optional` if one of them may be NULL: then there is no such row.
    """

    columns: tuple[str, ...]
    table: "Table"
    is_optional: bool


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a source, with the columns that its target tables need.

    `key` names the column, or the columns, that identify a row; `()` is none, for lines of files
    that may be equal. A function takes the rows in a parameter that is called `alias`, by default
    `name`. `references` are those of several columns each; a reference of one column is declared
    with the column.

    A column that is not declared is carried into the lake, and goes no further.
    """

    name: str
    key: str | tuple[str, ...]
    columns: Mapping[str, Column]
    schema: str = field(default="public", kw_only=True)
    alias: str = field(default="", kw_only=True)
    references: "Mapping[tuple[str, ...], Table | Literal['self']]" = field(
        default_factory=lambda: MappingProxyType({}), kw_only=True
    )

    def __post_init__(self) -> None:
        """Raise DeclarationError for a key or a reference that does not fit the columns."""
        require_columns(self, self.columns)
        if any(isinstance(names, str) for names in self.references):
            raise DeclarationError(
                f"{self}: references={{…}} is for several columns, as in "
                '{("country", "number"): customer}: declare one of a single column with the column'
            )
        if taken := sorted(OWN_COLUMNS & self.columns.keys()):
            raise DeclarationError(
                f"{self}: the engine has a column {taken[0]} itself: leave it out"
            )
        for column in self.keys:
            _require_column(self, column, "its key")
            if self.columns[column].nullable:
                raise DeclarationError(f"{self}: column {column} of its key may not be nullable")
            if isinstance(self.columns[column], Real | Double):
                raise DeclarationError(
                    f"{self}: column {column} of its key is a floating-point number, which has no "
                    "one form as text: choose other columns"
                )
        for reference in self.all_references():
            _require_reference(self, reference)

    def __str__(self) -> str:
        return (
            f"table {self.name}" if self.schema == "public" else f"table {self.schema}.{self.name}"
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of its key."""
        return (self.key,) if isinstance(self.key, str) else self.key

    @property
    def has_integer_key(self) -> bool:
        """Whether its key is one integer; any other key is identified by its text."""
        return len(self.keys) == 1 and isinstance(self.columns[self.keys[0]], _INTEGERS)

    @property
    def parameter(self) -> str:
        """A function's name for its rows."""
        return self.alias or self.name

    @property
    def id(self) -> str:
        """Its name in manifests and in the keys of objects, which needs no escaping in a URL."""
        return table_id(self.schema, self.name)

    def all_references(self) -> Iterator[Reference]:
        """Yield its references, of one column and of several."""
        for name, column in self.columns.items():
            if column.references is not None:
                yield self._reference((name,), column.references)
        for names, to in self.references.items():
            for name in names:
                _require_column(self, name, "a reference")
            yield self._reference(names, to)

    def _reference(self, names: tuple[str, ...], to: "Table | Literal['self']") -> Reference:
        is_optional = any(self.columns[name].nullable for name in names)
        return Reference(names, self if to == SELF else to, is_optional)


def table_id(schema: str, name: str) -> str:
    """Return the name of a schema's table in manifests and in the keys of objects."""
    named = quote(name, safe="").replace(".", "%2E")
    return named if schema == "public" else f"{quote(schema, safe='').replace('.', '%2E')}.{named}"


def _require_column(table: Table, column: str, what: str) -> None:
    if column not in table.columns:
        raise DeclarationError(
            f"{table}: {what} names a column {column}, and none is declared under that name"
        )


def _require_reference(table: Table, reference: Reference) -> None:
    """Raise DeclarationError for columns that do not fit the key of the table they refer to."""
    wanted = [reference.table.columns[name] for name in reference.table.keys]
    if len(reference.columns) != len(wanted):
        raise DeclarationError(
            f"{table}: {', '.join(reference.columns)} refers to {reference.table}, whose "
            f"key has {len(wanted)} columns: use references={{(…): …}} of the table"
        )
    for name, key in zip(reference.columns, wanted, strict=True):
        if isinstance(table.columns[name], _INTEGERS) != isinstance(key, _INTEGERS):
            raise DeclarationError(
                f"{table}: {name} refers to {reference.table}, and only one of it and the key there"
                " is a whole number: declare both as they are in the source"
            )
