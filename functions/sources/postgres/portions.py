"""The rows of a table that is read whole which one batch reads: a range in the order of its key.

The order is the database's own, so comparisons are made there, on the index of the key; those of
integers are the same everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace
from pg8000.native import identifier

from functions.common.copy import value
from functions.common.filling import Filling

Texts = tuple[str, ...]
"""The values of a key's columns as text; empty for a place before all keys."""


@dataclass(frozen=True)
class KeyOrder:
    """The columns of a table's key, with the types in which they are compared.

    `source` is the table as SQL names it, `variable` the prefix of the places' names in the
    transaction.
    """

    source: str
    columns: Mapping[str, str]
    variable: str

    @property
    def row(self) -> str:
        """The key of a row, as SQL that can be compared."""
        return f"({', '.join(map(identifier, self.columns))})"

    def names(self, place: str) -> list[str]:
        """Return the names of the values of a place, or of several."""
        return [f"{self.variable}_{place}_{number}" for number in range(len(self.columns))]

    def place(self, name: str) -> str:
        """Return the SQL of a place whose values are set."""
        pairs = zip(self.names(name), self.columns.values(), strict=True)
        return f"({', '.join(value(each, cast) for each, cast in pairs)})"

    def values(self, name: str, texts: Texts) -> dict[str, str]:
        """Return the values to set for a place."""
        return dict(zip(self.names(name), texts, strict=True)) if texts else {}


@dataclass(frozen=True)
class Portion:
    """The keys after one place, up to another: `to` is None for the end of the table.

    `begun` is how far earlier batches have read, `had` the place up to which batches have had rows
    of the table; None if they have had those of all known keys, as of a table that is read again.
    """

    keys: KeyOrder
    begun: Filling
    to: Texts | None

    @property
    def after(self) -> Texts:
        """The place after which the portion begins."""
        return tuple(self.begun.to)

    @property
    def had(self) -> Texts | None:
        """The place up to which batches have had rows; None for all known keys."""
        return tuple(self.begun.again or self.begun.to) if self.begun.is_first else None

    @property
    def is_empty(self) -> bool:
        """Whether it has no keys at all: others come first."""
        return self.to == self.after

    @property
    def is_new(self) -> bool:
        """Whether no batch has had its rows."""
        return self.had is not None and self.had == self.after

    @property
    def rows(self) -> str:
        """The SQL condition for its rows."""
        if self.is_empty:
            return "false"
        conditions = [f"{self.keys.row} > {self.keys.place('after')}"] if self.after else []
        if self.to is not None:
            conditions.append(f"{self.keys.row} <= {self.keys.place('to')}")
        return " AND ".join(conditions) or "true"

    @property
    def had_before(self) -> str:
        """The SQL condition for rows that earlier batches have had, if in another state."""
        if self.had is None:
            return "true"
        return f"{self.keys.row} <= {self.keys.place('had')}" if self.had else "false"

    def had_integers(self, keys: pa.Array) -> pa.Array:
        """Return which keys, integers or their texts, earlier batches may have had."""
        if not self.had:
            return pa.repeat(pa.scalar(self.had is None), len(keys))
        return pc.less_equal(keys.cast(pa.int64()), int(self.had[0]))

    def were_had(self) -> str:
        """Return the query for whether earlier batches have had keys, whose arrays are set.

        The keys are compared with the collations of the table's columns, from which a UNION has
        its own.
        """
        pairs = zip(self.keys.names("gone"), self.keys.columns.values(), strict=True)
        arrays = ", ".join(value(name, f"{cast}[]") for name, cast in pairs)
        columns = ", ".join(map(identifier, self.keys.columns))
        return (
            f"SELECT {self.had_before} FROM (SELECT {columns}, 0::bigint AS place"
            f" FROM {self.keys.source} WHERE false UNION ALL"
            f" SELECT * FROM unnest({arrays}) WITH ORDINALITY) AS gone ORDER BY place"
        )

    def values(self) -> dict[str, str]:
        """Return the values that the conditions refer to."""
        return {
            **self.keys.values("after", self.after),
            **self.keys.values("to", self.to or ()),
            **self.keys.values("had", self.had or ()),
        }

    def done(self, rows: int, of: int) -> Filling:
        """Return how far the table is read after the batch, which had some rows of the portion."""
        again = self.begun.again if list(self.to or ()) != self.begun.again else []
        return replace(
            self.begun, to=list(self.to or ()), rows=self.begun.rows + rows, of=of, again=again
        )


def started_over(begun: Filling | None, order: str, *, has_keys: bool) -> Filling:
    """Return the state of a table whose rows are to be read from the first one on.

    `begun` is how far it had been read, None if all of it was; `has_keys` says whether any of its
    keys are known.
    """
    if not has_keys:
        return Filling(order=order)
    if begun is None or not begun.is_first or begun.order not in ("", order):
        return Filling(order=order, is_first=False)
    return Filling(order=order, again=begun.again or begun.to)
