"""Find parents that a batch's facts name and that transform will never see.

The source's own foreign keys rule them out, as long as they are declared and were never switched
off; the warehouse's would refuse the whole batch.
"""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from etl.pipeline import Wait
from functions.common.manifests import Key
from functions.sources.postgres.keysets import KeySet, not_in


class MissingParents:
    """The parents, by table, that the rows of a batch name and that are not there."""

    def __init__(self) -> None:
        self._found: dict[str, set[int]] = {}

    def look(self, waits: Iterable[Wait], rows: pa.RecordBatch, keys: Mapping[str, KeySet]) -> None:
        """Look for the parents that rows wait for among the keys of the tables in the snapshot.

        The parents of a table that is left out are looked for among the keys that it had when it
        was last read.
        """
        for wait in waits:
            [column], parent = wait.columns, wait.parent.id
            if missing := not_in(keys.get(parent, KeySet()), rows[column]):
                self._found.setdefault(parent, set()).update(missing)

    def by_table(self) -> dict[str, list[Key]]:
        """Return all that were found."""
        return {table: sorted(keys) for table, keys in sorted(self._found.items())}
