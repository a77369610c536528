"""Events that never came, and the provider's list in which reconcile finds them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from etl import EventList
from functions.common.errors import PipelineError, ProviderUnavailableError, SettingsError
from functions.reconcile.missed import ListedEvents
from pipelines.stripe.pipeline import PIPELINE
from tests.pipeline.conftest import Functions
from tests.pipeline.event_list import KEY, EventsApi, served
from tests.pipeline.event_scene import (
    PROVIDERS,
    SECRET,
    Endpoint,
    Request,
    endpoint_of,
)
from tests.pipeline.reconciling import reconcile
from tests.postgres_fixtures import NOWHERE, Source, Warehouse

[SOURCE] = PIPELINE.events
[STRIPE] = [each for each in PROVIDERS if each.name == "stripe"]


def event(number: int) -> dict[str, Any]:
    made = {"id": f"evt_{number}", "type": "charge.paid", "created": 1_700_000_000 + number}
    return made | {"data": {"object": {"id": f"ch_{number}", "amount": number, "rate": 1.50}}}


@pytest.fixture
def api() -> Iterator[EventsApi]:
    """A provider whose list has 250 events."""
    with served(EventsApi([event(number) for number in range(250, 0, -1)])) as opened:
        yield opened


@pytest.fixture
def endpoint(
    api: EventsApi,
    functions_on: Callable[[Source, Warehouse], Functions],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Endpoint]:
    """The endpoint of stripe, whose list is the provider's on loopback."""
    monkeypatch.setenv("PIPELINE", "stripe")
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    functions = functions_on(NOWHERE, new_managed_warehouse())
    name = functions.ingestion.replace("ingestion", "key")
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps({"key": KEY}))
    monkeypatch.setenv(SOURCE.key_secret_setting, name)
    theirs = SOURCE.missed
    object.__setattr__(SOURCE, "missed", EventList(api.url))
    yield endpoint_of("stripe", functions, SOURCE.url_path, monkeypatch)
    object.__setattr__(SOURCE, "missed", theirs)


def test_events_that_never_came_are_fetched_once(api: EventsApi, endpoint: Endpoint) -> None:
    """Events that came are not fetched, even refused ones; fetched ones are loaded like others."""
    refused = event(7)
    del refused["created"]
    for each in [refused, *(event(number) for number in range(8, 240))]:
        body = json.dumps(each).encode()
        assert endpoint.post(Request(STRIPE.sign(SECRET, "", body), body)) == 200
    endpoint.collect()
    endpoint.load()

    assert reconcile()["fetched"] == {"stripe": 6 + 11}
    endpoint.collect()
    endpoint.load()

    found = endpoint.query("SELECT id, amount, raw FROM charge_staging")
    wanted = [event(number) for number in range(1, 251) if number != 7]
    assert {row[0]: row[1:] for row in found} == {
        each["id"]: [each["data"]["object"]["amount"], each] for each in wanted
    }
    again = reconcile()
    assert again["agrees"]
    assert again["fetched"] == {"stripe": 0}
    assert len(api.asked) == 2 * 3


def test_without_a_key_nobody_is_asked(
    api: EventsApi, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key is no condition of anything else."""
    monkeypatch.delenv(SOURCE.key_secret_setting)
    body = json.dumps(event(1)).encode()
    endpoint.post(Request(STRIPE.sign(SECRET, "", body), body))
    endpoint.collect()
    endpoint.load()
    assert reconcile()["fetched"] == {}
    assert api.asked == []


def listed(api: EventsApi, key: str = KEY) -> list[str]:
    pauses: list[float] = []
    asked = ListedEvents(SOURCE, EventList(api.url), key, pauses.append)
    return [each["id"] for each in asked]


def test_a_provider_that_is_busy_is_asked_again(api: EventsApi) -> None:
    """Every event is listed, the newest first, in pages of 100."""
    api.faults = [(429, ""), (503, ""), (500, "")]
    assert listed(api) == [each["id"] for each in api.events]
    assert api.asked[-1] == "/v1/events?limit=100&starting_after=evt_51"


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        ([(503, "")] * 5, ProviderUnavailableError, "answered 503: the next run asks again"),
        ([(404, "")], SettingsError, "answered 404: correct the list of events of stripe"),
        ([(302, "http://127.0.0.1:1/")], ProviderUnavailableError, "leads to another host"),
        ([(200, "<html>")], ProviderUnavailableError, "answered with no JSON"),
        ([(200, "[" * 100_000)], ProviderUnavailableError, "answered with no JSON"),
        ([(200, '{"data": 1}')], ProviderUnavailableError, "answered with no list of events"),
        ([(200, '{"data": [], "has_more": true}')], ProviderUnavailableError, "and shows none"),
        ([(403, "")], SettingsError, "answered 403: set STRIPE_API_KEY"),
    ],
)
def test_a_list_that_cannot_be_read_says_why(
    api: EventsApi, answers: list[tuple[int, str]], error: type[PipelineError], said: str
) -> None:
    """The error says what to do, and has neither the key nor what was answered."""
    api.faults = list(answers)
    with pytest.raises(error) as raised:
        listed(api)
    assert said in str(raised.value)
    assert KEY not in str(raised.value)


def test_a_key_that_is_refused_is_said(api: EventsApi) -> None:
    """A key that was revoked at the provider is a matter of the settings."""
    with pytest.raises(SettingsError, match="set STRIPE_API_KEY"):
        listed(api, key="rk_old")


def test_a_provider_that_is_away_is_no_riddle() -> None:
    """No connection at all is said after the last attempt."""
    with pytest.raises(ProviderUnavailableError, match="does not answer"):
        listed(EventsApi([], "http://127.0.0.1:1/v1/events"))
