"""What reconcile does for any kind of target: which rows are compared, and how they are counted."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import pyarrow as pa

from etl.mapping import Mapping
from functions.common.keys import spoken
from functions.common.objects import Key
from functions.targets import Counted, Disagreements
from functions.targets.digests import NONE, Sums, text
from functions.targets.layout import Layout, WarehouseTable

EXAMPLES = 5  # keys that are shown of each kind

EXPLAINING = ("pending_keys", "deleted_keys", "aside_keys")
"""The temporary tables, each with a column `id`, of keys that changed since the batch, were deleted
before, or are in quarantine."""

KINDS = """SELECT apart.*, CASE WHEN pending.id IS NOT NULL THEN 'pending'
    WHEN in_source AND in_warehouse THEN 'different' WHEN in_source THEN 'missing'
    WHEN deleted.id IS NOT NULL THEN 'deleted' ELSE 'extra' END AS kind,
    (fit IS FALSE OR aside.id IS NOT NULL) AS put_aside
    FROM apart
    LEFT JOIN (SELECT DISTINCT id FROM pending_keys) AS pending ON pending.id = apart.id
    LEFT JOIN (SELECT DISTINCT id FROM deleted_keys) AS deleted ON deleted.id = apart.id
    LEFT JOIN (SELECT DISTINCT id FROM aside_keys) AS aside ON aside.id = apart.id"""
"""The SQL that classifies disagreements: a key, whether it is `in_source` and `in_warehouse`, and
whether its source row is `fit` for the warehouse (NULL without one)."""

Keep = Literal["first", "last", "all"]
"""Which rows of a key count."""


class WarehouseComparer(ABC):
    """A snapshot of the tables that one source feeds, as `Comparer` describes it."""

    def __init__(self, layout: Layout[WarehouseTable], batch: int, latest: int) -> None:
        self._tables = layout.tables
        self.batch = batch
        self.latest = latest

    def has(self, mapping: Mapping) -> bool:
        """Return whether the warehouse has a table; it may lack an optional one."""
        return mapping.target.id in self._tables

    @contextmanager
    def disagreements(
        self,
        mapping: Mapping,
        rows: Iterable[pa.Table],
        unfit: Sequence[Key],
        *,
        last_of_key: bool = False,
    ) -> Iterator[Disagreements]:
        """Compare a table with the rows that it should have; `unfit` is complete after these.

        Of a table declared as `once` only the keys are compared, unless a key may occur more than
        once: a single row has today's values, not those of when it was inserted.
        """
        is_once = mapping.target.way == "once"
        if is_once and not last_of_key:
            rows = (each.select(mapping.target.key) for each in rows)
        keep: Keep = "all" if not last_of_key else "first" if is_once else "last"
        with self._compared(mapping.target.id, rows, unfit, keep) as found:
            yield found

    @abstractmethod
    def _compared(
        self, table: str, rows: Iterable[pa.Table], unfit: Sequence[Key], keep: Keep
    ) -> AbstractContextManager[Disagreements]:
        """Compare a table with the rows of each key that count; `unfit` is complete after them."""

    @abstractmethod
    def lines(self, mapping: Mapping, rows: Iterable[pa.Table]) -> Counted:
        """Compare a table without a key with the rows that it should have."""


class Tally:
    """Counts disagreements by kind, with keys as examples.

    `source` is the number of rows that there should be, `columns` that of a key's columns.
    """

    def __init__(self, source: int, columns: int) -> None:
        self._source = source
        self._columns = columns
        self._kinds: Counter[str] = Counter()
        self._quarantined = 0
        self._examples: dict[str, list[Key]] = {}

    def add(self, kind: str, rows: int, aside: int, keys: Iterable[Key]) -> None:
        """Count rows of a kind, `aside` of them in quarantine; `keys` are examples."""
        self._kinds[kind] = rows
        if kind in ("missing", "different"):
            self._quarantined += aside
        if kind not in ("deleted", "pending") and (found := list(keys)):
            self._examples[kind] = [self._spoken(key) for key in found]

    def _spoken(self, key: Key) -> Key:
        return key if isinstance(key, int) else spoken(key, self._columns)

    def counted(
        self, in_source_only: int, in_target_only: int, here: Sums = NONE, there: Sums = NONE
    ) -> Counted:
        """Return the numbers of all rows; the digests are of the rows `here` and `there`."""
        return Counted(
            source_digest=text(here),
            warehouse_digest=text(there),
            source=self._source,
            warehouse=self._source - in_source_only + in_target_only,
            quarantined=self._quarantined,
            examples=self._examples,
            **{
                kind: self._kinds[kind]
                for kind in ("missing", "different", "extra", "pending", "deleted")
            },
        )
