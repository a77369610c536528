"""The expected rows of a target table, made from the rows of one snapshot of its source.

They are remodelled by the same functions as in transform.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from etl import Pipeline, Table
from etl.mapping import Mapping
from functions.common.keys import is_among, keys_of
from functions.common.objects import Key
from functions.reconcile.as_of import AsOf
from functions.sources import Current
from functions.transform import checks
from functions.transform.making import make
from functions.transform.values import convert

Whole = Callable[[Table], tuple[pa.Table, pa.Array]]
"""Return the rows of a table, and which of them have changed."""


class Expected:
    """The rows of one target table, made from the source's snapshot.

    `unfit` are the keys of rows that cannot be in the target; `changed` those of the rows that have
    changed since the batch, or join with one that has. They may be incomplete: see `is_known`.
    """

    def __init__(self, current: Current, pipeline: Pipeline, mapping: Mapping, as_of: AsOf) -> None:
        self._current = current
        self._mapping = mapping
        self._calendar = pipeline.calendar_of(mapping)
        self._as_of = as_of
        self.unfit: list[Key] = []
        self.changed: list[pa.Array] = []

    @property
    def error(self) -> str | None:
        """Why the target table cannot be made from the source; None when it can."""
        errors = (self._current.error(table) for table in self._mapping.tables)
        return next((error for error in errors if error is not None), None)

    @property
    def is_known(self) -> bool:
        """Whether the rows that changed since the batch can be distinguished from the others."""
        return all(self._current.is_known(table) for table in self._mapping.tables)

    def slices(self) -> Iterator[pa.Table]:
        """Yield the rows of the target table, and record the keys of unfit and changed ones.

        The first slice has no rows, so that there is always one with the columns.
        """
        main, whole = self._mapping.main, cache(self._whole)
        joined = checks.joined_in(self._mapping, self._calendar, lambda table: whole(table)[0])
        partners = dict(chain.from_iterable(each.by_parameter() for each in joined))
        around = checks.Surroundings(self._calendar, joined)
        for rows, changed in self._current.rows(main):
            converted = convert(main, rows)
            wrong = checks.reasons(main, rows, converted, around)
            keys = keys_of(rows, main.keys)
            self.unfit += [keys[position].as_py() for position in wrong]
            self.changed.append(keys.filter(self._has_changed(rows, changed, joined, whole)))
            yield make(self._mapping, checks.without(converted, wrong), partners)

    def _has_changed(
        self,
        rows: pa.Table,
        changed: pa.Array,
        joined: Sequence[checks.Partners],
        whole: Whole,
    ) -> pa.Array:
        """Return which rows have changed since the batch, or join with one that has."""
        for each in joined:
            theirs = self._has_changed(*whole(each.join.table), each.joined, whole)
            linked = keys_of(rows, each.join.columns)
            gone = pc.and_not(linked.is_valid(), is_among(linked, each.keys))
            had = self._as_of.had(each.join.table, linked.filter(gone))
            changed = pc.or_(changed, is_among(linked, each.keys.filter(theirs)))
            changed = pc.or_(changed, is_among(linked, linked.filter(gone).filter(had)))
        return changed

    def _whole(self, table: Table) -> tuple[pa.Table, pa.Array]:
        rows, changed = zip(*self._current.rows(table), strict=True)
        return pa.concat_tables(rows), pa.concat_arrays(changed)
