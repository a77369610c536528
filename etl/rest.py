"""A REST API as a source: its requests, and how its documents become rows."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import ClassVar

from etl.errors import DeclarationError
from etl.files import Csv, Format, JsonDocuments, is_period
from etl.providers import Keyed, require_path
from etl.settings import Setting
from etl.tables import Table

_HEADER = re.compile(r"[A-Za-z0-9-]+")
_LINK = "header:Link"


@dataclass(frozen=True)
class Window:
    """How far back an API is queried: the query `parameter` is a date, such as 2026-11-22.

    With `since` it is always that date. With `days` it is the first day of the month that was so
    many days before the newest answer that was read, or before today if there is none: so a pause
    of the pipeline leaves no gap, and the query stays the same while the API has nothing new.
    """

    parameter: str
    since: date | None = None
    days: int | None = None

    def __post_init__(self) -> None:
        """Raise DeclarationError unless it is one of the two."""
        if (self.since is None) == (self.days is None):
            raise DeclarationError(
                f'window {self.parameter}: write Window("{self.parameter}", days=90), or '
                "since=date(…)"
            )

    def start(self, last: date) -> date:
        """Return the date from which to query, given that of the newest answer, or today."""
        if self.since is not None:
            return self.since
        return (last - timedelta(days=self.days or 0)).replace(day=1)


@dataclass(frozen=True)
class NextLink:
    """Each page but the last has the URL of the next one.

    `path` is where in a JSON document the URL is, such as `links.next`; `header:Link` is the header
    of RFC 8288 with `rel="next"`.
    """

    path: str = _LINK

    def __post_init__(self) -> None:
        """Raise DeclarationError for a malformed path."""
        require_path(self.path, "NextLink")


@dataclass(frozen=True)
class PageNumber:
    """Pages are numbered in a query `parameter` from `first` on; one without rows is the last."""

    parameter: str = "page"
    first: int = 1


@dataclass(frozen=True)
class Cursor:
    """Each JSON document has at `path` the query `parameter` of the next one; the last has none."""

    parameter: str
    path: str

    def __post_init__(self) -> None:
        """Raise DeclarationError for a malformed path."""
        require_path(self.path, "Cursor")


Paging = NextLink | PageNumber | Cursor


@dataclass(frozen=True)
class ApiKey:
    """A key in a header, after a `prefix`; it is the secret setting `<NAME>_API_KEY`."""

    header: str = "Authorization"
    prefix: str = "Bearer "

    def __post_init__(self) -> None:
        """Raise DeclarationError for an invalid header."""
        if not _HEADER.fullmatch(self.header) or not self.prefix.isprintable():
            raise DeclarationError(f"ApiKey: {self.header!r} cannot be a header with a key")


@dataclass(frozen=True)
class Resource:
    """The documents of one table: those at `path`, added to the URL, with a `query`.

    A parameter that the URL already has is kept. `rows` is where in a JSON document the array with
    the rows is, such as `data.items`; without it the document is the array, or has one object a
    line. `format`, `max_rejects` and how rows come together are as of a `Feed` of files.
    """

    table: Table
    path: str = ""
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    window: Window | None = None
    paging: Paging | None = None
    format: Format = field(default_factory=JsonDocuments)
    rows: str = ""
    max_rejects: float | None = None

    report: ClassVar[None] = None  # refused rows are written as CSV, for people

    def __post_init__(self) -> None:
        """Raise DeclarationError for an invalid combination."""
        if not isinstance(self.format, Csv | JsonDocuments):
            raise DeclarationError(f"{self.table}: write its format as Csv(…) or JsonDocuments()")
        if self.max_rejects is not None and not 0 <= self.max_rejects <= 1:
            raise DeclarationError(f"{self.table}: max_rejects is a share between 0 and 1")
        if any(self.table.all_references()):
            raise DeclarationError(
                f"{self.table}: rows of an API refer to no others: join the tables in a model"
            )
        if self.rows:
            require_path(self.rows, f"{self.table}: rows")
        if isinstance(self.format, Csv) and self._looks_inside:
            raise DeclarationError(f"{self.table}: only JSON has paths: CSV has its rows at once")

    @property
    def _looks_inside(self) -> bool:
        is_linked = isinstance(self.paging, NextLink) and not self.paging.path.startswith("header:")
        return bool(self.rows) or is_linked or isinstance(self.paging, Cursor)


@dataclass(frozen=True)
class Rest(Keyed):
    """A REST API that is polled, at the URL that is the setting `<NAME>_URL`.

    With `at_most`, such as `at_most("RATES_AT_MOST", "1 hour")`, it is polled at most once in that
    time. An answer has `max_bytes` at most, expanded and with all of its pages. One that is
    `optional` is left out while its URL is not set.
    """

    kind: ClassVar[str] = "rest"
    together: ClassVar[bool] = False

    name: str
    feeds: tuple[Resource, ...]
    key: ApiKey | None = None
    at_most: Setting | None = None
    max_bytes: int = 32 << 20
    optional: bool = False

    def __post_init__(self) -> None:
        """Raise DeclarationError for a source without resources, or with an invalid `at_most`."""
        if not self.feeds:
            raise DeclarationError(f"source {self.name}: declare at least one Resource(…)")
        if self.at_most is not None and not is_period(self.at_most):
            raise DeclarationError(
                f'source {self.name}: write its at_most as at_most("{self.name.upper()}_AT_MOST")'
            )
        if not 0 < self.max_bytes <= 128 << 20:
            # An answer is in memory, as it came and expanded, until all of it is read.
            raise DeclarationError(f"source {self.name}: max_bytes is 128 MB at most")

    def require_whole(self, replaced: Collection[str]) -> None:
        """Raise DeclarationError for pages of a table, by its id, that equals one document."""
        for feed in self.feeds:
            if feed.paging and feed.table.id in replaced:
                raise DeclarationError(
                    f"{feed.table}: it comes in pages, and a table that is replaced equals one "
                    "document: use latest(…) or history(…)"
                )

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables, each of one resource."""
        return tuple(feed.table for feed in self.feeds)

    @property
    def setting(self) -> str:
        """The name of the setting with the URL."""
        return f"{self.name.upper()}_URL"

    def feed(self, table: Table) -> Resource:
        """Return the resource of a table."""
        return next(feed for feed in self.feeds if feed.table is table)
