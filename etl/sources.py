"""The kinds of sources that a pipeline may have."""

from dataclasses import dataclass
from typing import ClassVar

from etl.errors import DeclarationError
from etl.events import EventFeed, Events
from etl.files import Feed, Files
from etl.rest import Resource, Rest
from etl.tables import Table


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL database that is only read; its URL is the setting `<NAME>_DATABASE_URL`.

    `ignore` are names of tables that are not reported when they appear in one of its schemas.
    One that is `optional` is left out while its setting is empty.
    """

    kind: ClassVar[str] = "postgres"

    name: str
    tables: tuple[Table, ...]
    ignore: tuple[str, ...] = ()
    optional: bool = False

    @property
    def setting(self) -> str:
        """The name of the setting with its URL."""
        return f"{self.name.upper()}_DATABASE_URL"

    @property
    def secret_setting(self) -> str:
        """The name of the functions' variable with the id of the secret that holds its address."""
        return f"{self.name.upper()}_SECRET_ID"


Source = Postgres | Files | Events | Rest

Delivered = Files | Events | Rest
"""The kinds whose rows come as text, in files: those of a table in one batch are one of events, and
each page of an answer is one of an API."""

_FEEDS: dict[type, type] = {Files: Feed, Events: EventFeed, Rest: Resource}


def require_feeds(source: Source) -> None:
    """Raise DeclarationError for a feed of another kind of source."""
    if isinstance(source, Postgres):
        return
    wanted = _FEEDS[type(source)]
    for feed in source.feeds:
        if not isinstance(feed, wanted):
            name = getattr(feed, "__name__", feed)
            raise DeclarationError(f"source {source.name}: {name} is no {wanted.__name__}(…)")
