"""Find the events that a provider lists but that never arrived, as it has given up sending them."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from etl import EventList, Events
from functions.common.batchlog import BatchLog
from functions.common.fields import is_text, value_at
from functions.common.httpclient import Api
from functions.common.jsontext import Decoder, as_bytes
from functions.common.manifests import IngestionManifest
from functions.common.objects import DataFile
from functions.common.parquet import read_rows
from functions.common.received import Received

PAGE_BYTES = 32 << 20


def missed_events(
    source: Events, log: BatchLog[IngestionManifest], listed: "ListedEvents", now: datetime
) -> Iterator[Received]:
    """Yield the events of a provider's list that no batch has, as if they came now.

    Events of no feed's type are omitted, and so are those that are too large.
    """
    # An event arrives after it happened; a day more, as clocks may differ.
    known = _known(source, log, now - timedelta(days=listed.days + 1))
    for event in listed:
        identity, kind = (_text_at(event, path) for path in (source.id, source.type))
        if not identity or identity in known or not (kind and source.feed_of(kind)):
            continue
        body = as_bytes(event)
        if len(body) <= source.max_bytes:
            yield Received(source.name, now, {}, body, signed=False)


def _text_at(event: Any, path: str) -> str | None:
    value = value_at(event, {}, path)
    return value if isinstance(value, str) and is_text(value) else None


def _known(source: Events, log: BatchLog[IngestionManifest], since: datetime) -> set[str]:
    """Return the ids of the events that were collected since a moment."""
    columns = {
        feed.table.id: next(name for name, path in feed.fields.items() if path == source.id)
        for feed in source.feeds
    }
    files: dict[str, list[DataFile]] = {table: [] for table in columns}
    for manifest in log.read_each(range(log.newest(), 0, -1)):
        if manifest.source.snapshot_at < since:
            break
        for table in files:
            files[table] += manifest.capture(table).files
    known: set[str] = set()
    for table, column in columns.items():
        for rows in read_rows(log.bucket, files[table], [column]):
            known.update(rows.column(column).drop_null().to_pylist())
    return known


class ListedEvents:
    """The events of a provider's list, the newest first, read page by page."""

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
        self._api = Api(
            asked.url,
            lambda: {"Authorization": f"Bearer {key}"},
            setting=f"the list of events of {source.name}",
            key_setting=source.key_setting,
            sleep=sleep,
        )

    def __iter__(self) -> Iterator[Any]:
        """Yield the events, numbers as `jsontext.Number`; raise as `Api.ask` does."""
        after: str | None = None
        while True:
            page = self._page(after)
            yield from page["data"]
            if page.get("has_more") is not True:
                return
            last = _text_at(page["data"][-1], self._source.id) if page["data"] else None
            if last is None or last == after:
                raise self._api.unavailable("says that there are more events, and shows none")
            after = last

    def _page(self, after: str | None) -> dict[str, Any]:
        query = {"limit": self._list.limit, **({"starting_after": after} if after else {})}
        answer = self._api.ask(
            f"{self._list.url}?{urlencode(query)}", "application/json", PAGE_BYTES
        )
        try:
            page, _ = Decoder().decoded(answer.content.decode(), 0)
        except (ValueError, RecursionError):
            raise self._api.unavailable("answered with no JSON") from None
        if not isinstance(page, dict) or not isinstance(page.get("data"), list):
            raise self._api.unavailable("answered with no list of events")
        return page
