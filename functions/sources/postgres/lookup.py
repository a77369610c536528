"""The rows of a table whose keys the source's log shows, as SQL: they are found by an index."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
from pg8000.native import identifier

from functions.common.copy import text_array, value
from functions.sources.postgres.pgoutput import Touched

Which = Literal["written", "moved"]


@dataclass(frozen=True)
class Lookup:
    """The keys of a table in the log, by the columns of its key and the types to cast them to.

    `variable` is the prefix of their values' names in the transaction.
    """

    variable: str
    casts: Mapping[str, str]
    touched: Touched

    def has_key(self, which: Which) -> str:
        """Return the SQL condition that a row has one of the keys."""
        return f"({self._columns}) IN (SELECT * FROM {self.keys(which)})"

    def keys(self, which: Which) -> str:
        """Return the keys as a table with the columns of the key, as SQL."""
        pairs = zip(self._names(which), self.casts.values(), strict=True)
        arrays = ", ".join(value(name, f"{cast}[]") for name, cast in pairs)
        return f"unnest({arrays}) AS logged ({self._columns})"

    @property
    def _columns(self) -> str:
        return ", ".join(map(identifier, self.casts))

    def _names(self, which: Which) -> list[str]:
        return [f"{self.variable}_{which}_{place}" for place in range(len(self.casts))]

    def values(self) -> dict[str, str]:
        """Return the values to set in the transaction."""
        return self._values("written") | self._values("moved")

    def _values(self, which: Which) -> dict[str, str]:
        keys = sorted(getattr(self.touched, which))
        columns = zip(*keys, strict=True) if keys else ([] for _ in self.casts)
        texts = (text_array(pa.chunked_array([pa.array(each, pa.string())])) for each in columns)
        return dict(zip(self._names(which), texts, strict=True))
