"""Find parents that a batch's facts name and that transform will never see.

The source's own foreign keys rule them out, as long as they are declared and were never switched
off; the warehouse's would refuse the whole batch.
"""

from collections.abc import Mapping

import pyarrow as pa

from functions.common.totesys import Table
from functions.sources.postgres.keysets import KeySet, not_in


class MissingParents:
    """The parents, by table, that the rows of a batch name and that are not there."""

    def __init__(self) -> None:
        self._found: dict[str, set[int]] = {}

    def look(self, table: Table, rows: pa.RecordBatch, keys: Mapping[str, KeySet]) -> None:
        """Look for the parents of a table's rows among the keys of the tables in the snapshot.

        The parents of a table that is left out are looked for among the keys that it had when it
        was last read.
        """
        for column, parent in table.parents.items():
            if missing := not_in(keys.get(parent, KeySet()), rows[column]):
                self._found.setdefault(parent, set()).update(missing)

    def by_table(self) -> dict[str, list[int]]:
        """Return all that were found."""
        return {table: sorted(keys) for table, keys in sorted(self._found.items())}
