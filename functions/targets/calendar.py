"""The calendar: every day between the first and the last that a history uses."""

from collections.abc import Callable
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc


class Days:
    """The calendar's days during one transaction; `added` counts the new ones."""

    def __init__(self, add: Callable[[date, date], int] | None) -> None:
        """`add` is `Transaction.add_days`; None is no calendar."""
        self._add = add
        self.added = 0
        self._covered: tuple[date, date] | None = None

    def cover(self, rows: pa.Table) -> None:
        """Add the missing days up to and between the dates of some rows."""
        if self._add is None:
            return
        dates = [rows[field.name] for field in rows.schema if pa.types.is_date(field.type)]
        spans = [tuple(pc.min_max(column).as_py().values()) for column in dates]
        spans = [span for span in spans if span != (None, None)]
        if self._covered is not None:
            spans.append(self._covered)
        if not spans:
            return
        span = min(first for first, _ in spans), max(last for _, last in spans)
        if span != self._covered:
            self.added += self._add(*span)
            self._covered = span
