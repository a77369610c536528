"""Find the events that a provider lists and that never arrived: it gives up on them, we do not."""

import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

from etl import EventList, Events
from functions.common.batchlog import BatchLog
from functions.common.errors import ProviderUnavailableError, SettingsError
from functions.common.fields import value_at
from functions.common.jsontext import Decoder, encoded
from functions.common.manifests import IngestionManifest
from functions.common.parquet import read_rows
from functions.common.received import Received

ATTEMPTS = 4  # at a page; with pauses of 1, 2 and 4 seconds
TIMEOUT_SECONDS = 30
PAGE_BYTES = 64 << 20

_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_BUSY = HTTPStatus.TOO_MANY_REQUESTS


def missed_events(
    source: Events, log: BatchLog[IngestionManifest], listed: "ListedEvents", now: datetime
) -> Iterator[Received]:
    """Yield the events of a provider's list that no batch has, as if they came now.

    Those of no feed's type are left out, and so are those that are too large.
    """
    # An event comes after it happened; a day more for clocks that differ.
    known = _known(source, log, now - timedelta(days=listed.days + 1))
    for event in listed:
        identity, kind = (_text_at(event, path) for path in (source.id, source.type))
        if not identity or identity in known or not (kind and source.feed_of(kind)):
            continue
        body = encoded(event).encode()
        if len(body) <= source.max_bytes:
            yield Received(source.name, now, {}, body)


def _text_at(event: Any, path: str) -> str | None:
    value = value_at(event, {}, path) if isinstance(event, dict) else None
    return value if isinstance(value, str) else None


def _known(source: Events, log: BatchLog[IngestionManifest], since: datetime) -> set[str]:
    """Return the ids of the events that were collected since a moment."""
    columns = {
        feed.table.id: next(name for name, path in feed.fields.items() if path == source.id)
        for feed in source.feeds
    }
    known: set[str] = set()
    for number in range(log.newest(), 0, -1):
        manifest = log.read(number)
        if manifest.source.snapshot_at < since:
            break
        for table, capture in manifest.tables.items():
            if column := columns.get(table):
                for rows in read_rows(log.bucket, capture.files):
                    known.update(rows.column(column).drop_null().to_pylist())
    return known


class ListedEvents:
    """The events of a provider's list, the newest first, read page after page."""

    def __init__(
        self,
        source: Events,
        asked: EventList,
        key: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.days = asked.days
        self._source = source
        self._list = asked
        self._key = key
        self._sleep = sleep
        self._opener = urllib.request.build_opener(_NoRedirect)

    def __iter__(self) -> Iterator[Any]:
        """Yield the events, numbers as `jsontext.Number`.

        Raises SettingsError for a key that is refused, else ProviderUnavailableError.
        """
        after: str | None = None
        while True:
            page = self._page(after)
            yield from page["data"]
            if page.get("has_more") is not True:
                return
            last = _text_at(page["data"][-1], self._source.id) if page["data"] else None
            if last is None or last == after:
                raise self._unavailable("says that there are more events, and shows none")
            after = last

    def _page(self, after: str | None) -> dict[str, Any]:
        query = {"limit": self._list.limit, **({"starting_after": after} if after else {})}
        url = f"{self._list.url}?{urllib.parse.urlencode(query)}"
        try:
            page, _ = Decoder().decoded(self._read(url).decode(), 0)
        except (ValueError, RecursionError):
            raise self._unavailable("answered with no JSON") from None
        if not isinstance(page, dict) or not isinstance(page.get("data"), list):
            raise self._unavailable("answered with no list of events")
        return page

    def _read(self, url: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._key}"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  etl.EventList checks
        for attempt in range(ATTEMPTS):
            try:
                with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                    body: bytes = answer.read(PAGE_BYTES)
                    return body
            except urllib.error.HTTPError as error:
                if error.code in _REFUSED:
                    raise SettingsError(
                        f"{self._list.url} refuses the key ({error.code}): set "
                        f"{self._source.key_setting} to one that may read events, and run "
                        "deploy.py again"
                    ) from None
                if error.code != _BUSY and error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise self._unavailable(f"answered {error.code}") from None
                why = f"answered {error.code}"
            except (OSError, HTTPException) as error:
                why = f"does not answer ({type(error).__name__})"
            if attempt < ATTEMPTS - 1:
                self._sleep(2**attempt)
        raise self._unavailable(why)

    def _unavailable(self, why: str) -> ProviderUnavailableError:
        return ProviderUnavailableError(f"{self._list.url} {why}: the next run asks again")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: the key would be sent with it."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Say that there is nothing to follow."""
