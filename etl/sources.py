"""The kinds of sources that a pipeline may have."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from etl.errors import DeclarationError
from etl.events import EventFeed, Events
from etl.files import Feed, Files
from etl.rest import Resource, Rest
from etl.tables import Table

SCAN, WAL = "scan", "wal"
CAPTURES = (SCAN, WAL)
CAPTURE_ENDING = "_CAPTURE"
"""How changed rows are found: by scanning tables, or by their keys in the write-ahead log."""

SLOT_NAME_AT_MOST = 63


def slot_name(bucket: str, source: str) -> str:
    """Return the name of the replication slot in a source, given the ingestion bucket.

    The bucket's name, which is unique in AWS, distinguishes deployments that share a source.
    """
    name = f"{bucket.removesuffix('-ingestion')}_{source}".replace("-", "_")
    if len(name) <= SLOT_NAME_AT_MOST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: SLOT_NAME_AT_MOST - 13]}_{digest}"


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL database that is only read; its URL is the setting `<NAME>_DATABASE_URL`.

    `ignore` are names of tables that are not reported when they appear in one of its schemas.
    One that is `optional` is left out while its setting is empty. A table that shows no activity in
    the server's statistics is scanned only every `scan_every`.
    """

    kind: ClassVar[str] = "postgres"

    name: str
    tables: tuple[Table, ...]
    ignore: tuple[str, ...] = ()
    optional: bool = False
    scan_every: timedelta = timedelta(minutes=15)

    def __post_init__(self) -> None:
        """Raise DeclarationError for an interval after which changes would come too late."""
        if not timedelta(0) <= self.scan_every <= timedelta(minutes=25):
            raise DeclarationError(
                f"source {self.name}: scan_every is 0 to 25 minutes, so that a change whose counts "
                "are lost is in the target within half an hour"
            )

    @property
    def setting(self) -> str:
        """The name of the setting with its URL."""
        return f"{self.name.upper()}_DATABASE_URL"

    @property
    def secret_setting(self) -> str:
        """The name of the functions' variable with the id of the secret that holds its address."""
        return f"{self.name.upper()}_SECRET_ID"

    @property
    def capture_setting(self) -> str:
        """The name of the setting that says how changed rows are found: one of CAPTURES."""
        return f"{self.name.upper()}{CAPTURE_ENDING}"

    def slot(self, bucket: str) -> str:
        """Return the name of the replication slot of the deployment that writes into a bucket."""
        return slot_name(bucket, self.name)

    @property
    def publication(self) -> str:
        """The name of the publication by which the owner of the source shows its changes."""
        return f"etl_{self.name}"

    @property
    def address_setting(self) -> str:
        """The name of the setting with what a secret of others does not say about it."""
        return f"{self.name.upper()}_DATABASE_ADDRESS"


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
