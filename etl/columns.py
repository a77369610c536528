"""The types of columns: which values they accept, and what happens to others.

A type is that of the target. A value of the source that is not exactly one of its values puts
the row into quarantine, with the column and the reason. A wider type in the source is accepted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from etl.errors import DeclarationError

if TYPE_CHECKING:
    from etl.tables import Table


def require_columns(of: object, columns: object) -> None:
    """Raise DeclarationError unless columns are {name: type}."""
    if not isinstance(columns, Mapping):
        raise DeclarationError(f'{of}: write its columns as {{"name": Text(), …}}')
    for name, column in columns.items():
        if isinstance(column, type) and issubclass(column, Column):
            raise DeclarationError(f"{of}: column {name}: write {column.__name__}()")
        if not isinstance(column, Column):
            raise DeclarationError(f"{of}: column {name} is no type: write Text(), Integer(), …")


SELF: Literal["self"] = "self"
"""A reference to another row of the same table, such as an employee's manager."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """Attributes that every type has.

    A row without a value goes into quarantine unless the column is `nullable`. `references` is the
    table whose key the value is: see `Table`.
    """

    nullable: bool = False
    references: "Table | Literal['self'] | None" = None


@dataclass(frozen=True)
class SmallInteger(Column):
    """A 16-bit integer."""


@dataclass(frozen=True)
class Integer(Column):
    """A 32-bit integer."""


@dataclass(frozen=True)
class BigInteger(Column):
    """A 64-bit integer."""


@dataclass(frozen=True)
class Numeric(Column):
    """An exact decimal number, such as an amount of money; never a float.

    Without precision and scale, any finite number, with the digits of the source.
    """

    precision: int | None = None
    scale: int | None = None


@dataclass(frozen=True)
class Real(Column):
    """A 32-bit floating-point number, also NaN and infinity."""


@dataclass(frozen=True)
class Double(Column):
    """A 64-bit floating-point number, also NaN and infinity."""


@dataclass(frozen=True)
class Text(Column):
    """Text, also from columns of a limited length, and the labels of an enumeration.

    `check` returns whether a text is accepted; `reason` says why one is not, after column and text,
    such as "is not in ISO 4217". `normalize` returns an accepted text in the target's form, such as
    "00601" for "601"; a column of a key may have it only for rows of files.
    """

    check: Callable[[str], object] | None = field(default=None, kw_only=True)
    normalize: Callable[[str], str] | None = field(default=None, kw_only=True)
    reason: str = field(default="is not valid", kw_only=True)


@dataclass(frozen=True)
class Boolean(Column):
    """True or false."""


@dataclass(frozen=True)
class Date(Column):
    """A day."""


@dataclass(frozen=True)
class IsoDate(Column):
    """A date that the source has as text, yyyy-mm-dd, or as a timestamp at midnight."""


@dataclass(frozen=True)
class Time(Column):
    """A time of day; with a `timezone`, with its offset."""

    timezone: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Timestamp(Column):
    """A day and a time of day; with a `timezone`, a moment."""

    timezone: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class UnixTime(Column):
    """A time that the source has as whole seconds since 1970, in UTC."""


@dataclass(frozen=True)
class Interval(Column):
    """A span of time."""


@dataclass(frozen=True)
class Uuid(Column):
    """A UUID."""


@dataclass(frozen=True)
class Json(Column):
    """A JSON document; `binary` is PostgreSQL's jsonb, which does not keep its layout."""

    binary: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Bytes(Column):
    """Bytes."""


@dataclass(frozen=True)
class Point(Column):
    """A point of a plane, as text in the form `(x,y)`."""


@dataclass(frozen=True)
class Array(Column):
    """A PostgreSQL array whose elements are `of` a type, in any number of dimensions."""

    of: Column


@dataclass(frozen=True)
class Other(Column):
    """Any other type, by its name in the source; text in the target."""

    sql: str
