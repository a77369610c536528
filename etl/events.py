"""Events that a provider posts by HTTP as a source: their signatures and their tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import ClassVar

from etl.errors import DeclarationError
from etl.files import JsonDocuments
from etl.providers import Keyed, fault_of_url, require_path
from etl.tables import Table

_WAY = re.compile(r"(/[A-Za-z0-9._~-]+)+")

WHOLE = "$"
"""The path of the whole event, as it came."""


@dataclass(frozen=True)
class StampedSignature:
    """`t=<unix seconds>,v1=<hex>[,v1=<hex>…]` in a header, as Stripe signs.

    The hex is HMAC-SHA256 of `<t>.<body>`. The timestamp may differ by `tolerance` either way.
    """

    header: str = "Stripe-Signature"
    tolerance: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class BodySignature:
    """`<prefix><hex>` in a header, HMAC-SHA256 of the body alone, as GitHub signs."""

    header: str = "X-Hub-Signature-256"
    prefix: str = "sha256="


@dataclass(frozen=True)
class StandardWebhooks:
    """`webhook-id`, `webhook-timestamp` and `webhook-signature`, by standardwebhooks.com.

    The signature is `v1,<base64>`, several with blanks between them, of `<id>.<stamp>.<body>`; the
    secret is base64, after `whsec_`.
    """

    tolerance: timedelta = timedelta(minutes=5)


Signature = StampedSignature | BodySignature | StandardWebhooks


@dataclass(frozen=True)
class EventFeed:
    """The events of one table: those whose type matches one of some patterns, such as `charge.*`.

    An event goes to the first feed of its source that matches. `fields` are the paths of the
    columns in the event: `data.object.id`, `header:X-GitHub-Delivery`, or `WHOLE`. A missing field
    is NULL.
    """

    format: ClassVar[JsonDocuments] = JsonDocuments()
    max_rejects: ClassVar[float] = 1.0  # an event is never refused because of others
    report: ClassVar[None] = None

    table: Table
    types: tuple[str, ...]
    fields: Mapping[str, str]

    def __post_init__(self) -> None:
        """Raise DeclarationError for columns without a field, and fields without a column."""
        _require_several(self.types, f"{self.table}: types", "charge.*")
        for name in self.table.columns:
            if name not in self.fields:
                raise DeclarationError(f"{self.table}: say in fields where column {name} is")
        for name, path in self.fields.items():
            if name not in self.table.columns:
                raise DeclarationError(f"{self.table}: fields name {name}, which is no column")
            require_path(path, f"{self.table}: field {name}")
        if any(self.table.all_references()):
            raise DeclarationError(
                f"{self.table}: events refer to no other tables: join them in a view or a model"
            )

    def fits(self, type_of_event: str) -> bool:
        """Return whether an event is of one of the types."""
        return any(fnmatchcase(type_of_event, pattern) for pattern in self.types)


@dataclass(frozen=True)
class EventList:
    """A provider's list of its events, the newest first, such as Stripe's `/v1/events`.

    A page is `{"data": [event, …], "has_more": true}`. It is requested with `limit`, with
    `starting_after`, the id of the last event of the page before, and with the setting
    `<NAME>_API_KEY` as a bearer token. The list goes back for `days`.
    """

    url: str
    days: int = 30
    limit: int = 100

    def __post_init__(self) -> None:
        """Raise DeclarationError for a URL that would expose the key."""
        if fault := fault_of_url(self.url):
            raise DeclarationError(f"the list of events at {self.url}: its URL {fault}")


@dataclass(frozen=True)
class Events(Keyed):
    """Events that a provider posts to `path` of the pipeline's endpoint, signed with a secret.

    The secret is the setting `<NAME>_WEBHOOK_SECRET`; two, separated by a blank, while one is
    rotated. `id` and `type` are paths as in `EventFeed.fields`; `required` are paths that every
    event has to have: one without goes to errors/. An event of more than `max_bytes` is refused.
    Events of `missed` that never arrived are fetched by reconcile, while the setting
    `<NAME>_API_KEY` has a key.
    """

    kind: ClassVar[str] = "events"
    together: ClassVar[bool] = False

    name: str
    signature: Signature
    feeds: tuple[EventFeed, ...]
    id: str = "id"
    type: str = "type"
    required: tuple[str, ...] = ()
    path: str = ""
    max_bytes: int = 750_000
    optional: bool = False
    missed: EventList | None = None

    def __post_init__(self) -> None:
        """Raise DeclarationError for an invalid path, and for a source without feeds."""
        if not self.feeds:
            raise DeclarationError(f"source {self.name}: declare at least one EventFeed(…)")
        _require_several(self.required, f"source {self.name}: required", "data.object")
        for path in (self.id, self.type, *self.required):
            require_path(path, f"source {self.name}")
        if not _WAY.fullmatch(self.url_path):
            raise DeclarationError(f"source {self.name}: its path is like /webhooks/{self.name}")
        if not 0 < self.max_bytes <= 750_000:
            # In base64 that is 1,000,000 bytes, which a message of the queue may have.
            raise DeclarationError(f"source {self.name}: max_bytes is 750,000 at most")
        for feed in self.feeds if self.missed else ():
            if self.id.startswith("header:") or self.id not in feed.fields.values():
                raise DeclarationError(
                    f"source {self.name}: {feed.table} has no column with {self.id}, by which "
                    "missed events are found"
                )

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables, each of one feed."""
        return tuple(feed.table for feed in self.feeds)

    @property
    def url_path(self) -> str:
        """The path of the endpoint."""
        return self.path or f"/webhooks/{self.name}"

    @property
    def setting(self) -> str:
        """The name of the setting with the secret, or with two."""
        return f"{self.name.upper()}_WEBHOOK_SECRET"

    @property
    def secret_setting(self) -> str:
        """The name of the functions' variable with the id of the secret of AWS that holds it."""
        return f"{self.name.upper()}_SECRET_ID"

    def feed(self, table: Table) -> EventFeed:
        """Return the feed of a table."""
        return next(feed for feed in self.feeds if feed.table is table)

    def feed_of(self, type_of_event: str) -> EventFeed | None:
        """Return the feed of an event's type; None if none matches."""
        return next((feed for feed in self.feeds if feed.fits(type_of_event)), None)


def _require_several(given: Sequence[str], what: str, example: str) -> None:
    """Raise DeclarationError for a text instead of a tuple, of which each letter would be one."""
    if isinstance(given, str):
        raise DeclarationError(f'{what} are several: write ("{example}",)')
