"""Why rows are put aside, without the values that the reasons in the quarantine quote.

A reason is rebuilt from the declaration (columns, tables, the reason of a check) and from the
phrases of transform. Nothing else of it is shown.
"""

from collections.abc import Iterable, Iterator

from etl import Column, Text
from etl.mapping import Mapping
from etl.tables import Table

OTHER = "another reason"
_WORDS = {
    "is not a date": "is not a date",
    "is not a number": "is not a number",
    "is not a whole number": "is not a whole number",
    "is neither true nor false": "is neither true nor false",
    "is out of range": "is out of range",
    "is outside the calendar": "is outside the calendar",
    "is not valid UTF-8": "is not valid UTF-8",
    "is larger than": "is too large",
    "does not fit": "does not fit its type",
}


class Reasons:
    """The reasons that rows of a source table may have to be put aside."""

    def __init__(self, table: Table, tables: Iterable[Table], mappings: Iterable[Mapping]) -> None:
        """`tables` are all of the source: rows may wait for any, or join with it."""
        joined = {join.parameter for each in mappings for join in each.joins}
        self._columns = dict(table.columns)
        self._others = {each.parameter for each in tables} | joined

    def without_values(self, reason: str) -> str:
        """Return the first part of a reason, in known phrases only."""
        return next(self._said(reason), OTHER)

    def _said(self, reason: str) -> Iterator[str]:
        for name, column in self._columns.items():
            if reason == f"has no {name}" or reason.startswith(f"has no {name};"):
                yield f"has no {name}"
            elif reason.startswith(f"{name} "):
                yield f"{name} {_what_is_wrong(column, reason)}"
        for name in sorted(self._others):
            if reason.startswith(f"waits for {name} "):
                yield f"waits for {name}"
            elif reason.startswith(f"{name} "):
                is_missing = reason.endswith(" is missing") or " is missing; " in reason
                yield f"{name} is missing" if is_missing else f"{name} cannot be used itself"


def _what_is_wrong(column: Column, reason: str) -> str:
    """Return the known phrase that a reason has after a value, or that it is not valid."""
    own = {column.reason: column.reason} if isinstance(column, Text) else {}
    found = (said for words, said in {**own, **_WORDS}.items() if f" {words}" in reason)
    return next(found, "is not valid")
