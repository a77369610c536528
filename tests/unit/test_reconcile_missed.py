"""The events that a provider lists and no batch has: which are fetched, and how it is asked."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from etl import EventFeed, EventList, Events, StampedSignature, Table, Text
from functions.common.batchlog import BatchLog
from functions.common.errors import ProviderUnavailableError
from functions.common.jsontext import encoded
from functions.common.manifests import IngestionManifest, Source, TableCapture
from functions.common.objects import ObjectNames
from functions.common.parquet import PartWriter
from functions.reconcile.missed import ListedEvents, missed_events
from tests.unit.fake_bucket import FakeBucket

NOW = datetime(2026, 11, 9, tzinfo=UTC)
TABLE = Table("charges", key="id", columns={"id": Text(), "name": Text(nullable=True)})
FEED = EventFeed(TABLE, ("charge.*",), {"name": "data.name", "id": "id"})
ASKED = EventList("https://api.example.com/v1/events", limit=2, days=3)
SHOP = Events("shop", StampedSignature(), (FEED,), missed=ASKED, max_bytes=200)


def event(number: int, kind: str = "charge.paid", **others: Any) -> dict[str, Any]:
    return {"id": f"evt_{number}", "type": kind, **others}


class Provider:
    """What an API answers: pages, or other bytes, in their order; and what it was asked for."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def ask(self, url: str, accept: str, at_most: int) -> Any:
        self.asked.append(url)
        answer = self.answers.pop(0)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return SimpleNamespace(content=body)

    def unavailable(self, why: str) -> ProviderUnavailableError:
        return ProviderUnavailableError(f"{ASKED.url} {why}")

    def listed(self) -> ListedEvents:
        listed = ListedEvents(SHOP, ASKED, "key_1")
        api: Any = self
        listed._api = api
        return listed


def page(*events: Any, more: Any = False) -> dict[str, Any]:
    return {"data": list(events), "has_more": more}


@pytest.fixture
def log() -> BatchLog[IngestionManifest]:
    return BatchLog(FakeBucket(), "shop", IngestionManifest)


def collect(log: BatchLog[IngestionManifest], at: datetime, *numbers: int) -> None:
    """Put a batch of events in the log."""
    batch = log.newest() + 1
    writer = PartWriter(log.bucket, "shop/charges", batch, at.date())
    if numbers:
        writer.write(pa.table({"id": [*(f"evt_{number}" for number in numbers), None]}))
    capture = TableCapture(["id"], [], "", None, [], files=writer.close())
    other = TableCapture(["id"], [], "", None, [])
    key = ObjectNames("keys/shop", batch, at.date()).next()
    source = Source("1", 1, "shop", at)
    tables = {"charges": capture, "undeclared": other}
    assert log.claim(IngestionManifest(batch, at, "run", source, tables, {}, key, "0a" * 32, {}))


def test_events_that_no_batch_has_are_yielded_as_if_they_came_now(
    log: BatchLog[IngestionManifest],
) -> None:
    """None that is known, of no feed's type, without an id, or too large."""
    collect(log, NOW - timedelta(days=2), 1)
    collect(log, NOW - timedelta(hours=1))
    collect(log, NOW, 2)
    new = event(3, amount=1.50)
    exact = event(4, filler="")
    exact["filler"] = "x" * (200 - len(encoded(exact)))
    provider = Provider(
        page(event(1), event(2), new, event(5, "customer.made"), {"type": "charge.x"}, "text"),
    )
    large = {**exact, "id": "evt_6", "filler": exact["filler"] + "x"}
    provider.answers[0]["data"] += [exact, large, {**event(7), "type": None}]
    provider.answers[0]["data"] += [{**event(8), "id": 8}, {**event(9), "type": 9}, 10, None]

    found = list(missed_events(SHOP, log, provider.listed(), NOW))

    assert [json.loads(each.body)["id"] for each in found] == ["evt_3", "evt_4"]
    assert [(each.source, each.received_at, each.headers) for each in found] == [
        ("shop", NOW, {})
    ] * 2
    assert len(found[1].body) == 200


def test_an_event_with_half_a_character_does_not_end_the_list(
    log: BatchLog[IngestionManifest],
) -> None:
    """It is as the provider wrote it, and refused as a row; an id of such a kind is none."""
    half = event(3, name="\ud83d")
    provider = Provider(page(half, {**event(4), "id": "evt_\ud83d"}, event(5)))

    found = list(missed_events(SHOP, log, provider.listed(), NOW))

    assert [json.loads(each.body) for each in found] == [half, event(5)]
    assert b'"\\ud83d"' in found[0].body


@pytest.mark.parametrize(
    ("age", "is_fetched"), [(timedelta(days=4), False), (timedelta(days=4, seconds=1), True)]
)
def test_the_log_is_read_as_far_back_as_the_list(
    log: BatchLog[IngestionManifest], age: timedelta, *, is_fetched: bool
) -> None:
    """And a day further, for clocks that differ; not the batches of years."""
    collect(log, NOW - age, 1)
    collect(log, NOW)

    found = list(missed_events(SHOP, log, Provider(page(event(1))).listed(), NOW))

    assert bool(found) == is_fetched


def test_a_list_is_read_page_by_page() -> None:
    """Each page begins after the last event of the one before."""
    provider = Provider(page(event(5), event(4), more=True), page(event(3), more="yes"))

    assert [each["id"] for each in provider.listed()] == ["evt_5", "evt_4", "evt_3"]
    assert provider.asked == [
        "https://api.example.com/v1/events?limit=2",
        "https://api.example.com/v1/events?limit=2&starting_after=evt_4",
    ]


@pytest.mark.parametrize(
    "answers",
    [
        [page(more=True)],
        [page({"type": "x"}, more=True)],
        [page(event(1), more=True), page(event(1), more=True)],
        [page(event(1), more=True), page(more=True)],
    ],
)
def test_a_list_that_does_not_go_on_is_not_read_forever(answers: list[Any]) -> None:
    """It says that there is more and shows nothing new: the next run asks again."""
    provider = Provider(*answers)

    with pytest.raises(ProviderUnavailableError, match="more events, and shows none"):
        list(provider.listed())
    assert provider.answers == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "answered with no JSON"),
        (b"\xff", "answered with no JSON"),
        (b"[" * 100_000, "answered with no JSON"),
        (b"[]", "answered with no list of events"),
        (b'{"data": {}}', "answered with no list of events"),
        (b"{}", "answered with no list of events"),
    ],
)
def test_an_answer_that_is_no_list_is_reported(body: bytes, said: str) -> None:
    """By its address, without a byte of it."""
    with pytest.raises(ProviderUnavailableError, match=f"{ASKED.url} {said}"):
        list(Provider(body).listed())
