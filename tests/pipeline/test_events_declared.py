"""Providers that differ in their declarations only: the same posts, the same tables."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

import pipelines
from tests.pipeline.conftest import Functions
from tests.pipeline.event_scene import (
    PROVIDERS,
    Endpoint,
    Provider,
    Request,
    endpoint_of,
)
from tests.pipeline.reconciling import reconcile
from tests.pipeline.strangers import FOLDER
from tests.postgres_fixtures import NOWHERE, Source, Warehouse

EVENTS = 40


@pytest.fixture(params=PROVIDERS, ids=lambda provider: provider.name)
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture
def endpoint(
    provider: Provider,
    functions_on: Callable[[Source, Warehouse], Functions],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> Endpoint:
    """The provider's endpoint, and a warehouse that is empty."""
    folder = str(FOLDER / "pipelines")
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, folder])
    monkeypatch.setenv("PIPELINE", provider.name)
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    functions = functions_on(NOWHERE, new_managed_warehouse())
    return endpoint_of(provider.name, functions, provider.path, monkeypatch)


def test_each_event_is_in_its_table_once(provider: Provider, endpoint: Endpoint) -> None:
    """Whatever the order, and whether the provider or the queue repeats it, now or later."""
    requests = [provider.request(number) for number in range(EVENTS)]
    posted = [*requests, *requests[::3]]
    Random(EVENTS).shuffle(posted)

    assert {endpoint.post(request) for request in posted} == {200}
    endpoint.collect(twice=True)
    assert endpoint.post(requests[5]) == 200
    endpoint.collect()
    endpoint.load()

    rows = endpoint.query(f"SELECT id FROM {provider.table}")
    assert sorted(rows) == sorted([f"event-{number}"] for number in range(EVENTS))
    assert endpoint.refused() == []
    assert reconcile()["agrees"]


def test_a_forgery_is_not_stored(provider: Provider, endpoint: Endpoint) -> None:
    """Another secret, another body, no signature or half of one: 400, and nothing is queued."""
    good = provider.request(1)
    forged = [
        provider.request(2, secret="whsec_guessed"),
        replace(good, body=good.body.replace(b'"number": 1', b'"number": 9')),
        Request({}, good.body),
        Request({name: value[:-1] for name, value in good.headers.items()}, good.body),
    ]

    assert [endpoint.post(request) for request in forged] == [400] * len(forged)
    assert endpoint.post(good) == 200
    endpoint.collect()
    endpoint.load()
    assert endpoint.query(f"SELECT id FROM {provider.table}") == [["event-1"]]


def test_a_signed_event_without_an_id_is_put_aside(provider: Provider, endpoint: Endpoint) -> None:
    """The provider need not send it again; the object in errors/ says what it lacks."""
    assert endpoint.post(provider.request(1, identity="")) == 200
    assert endpoint.post(provider.request(2)) == 200
    endpoint.collect()
    endpoint.load()

    assert endpoint.query(f"SELECT id FROM {provider.table}") == [["event-2"]]
    assert [reasons for _, reasons in endpoint.refused()] == [provider.lacks_id]
