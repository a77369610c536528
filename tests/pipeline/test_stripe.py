"""The pipeline stripe, from posts of its sample to staging tables, views and files."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.stripe.pipeline import FAMILIES, PIPELINE
from pipelines.stripe.sample import posts
from tests.pipeline.conftest import Functions
from tests.pipeline.event_scene import (
    PROVIDERS,
    SECRET,
    Endpoint,
    Request,
    endpoint_of,
)
from tests.postgres_fixtures import NOWHERE, Source, Warehouse

[SOURCE] = PIPELINE.events
[STRIPE] = [each for each in PROVIDERS if each.name == "stripe"]


@pytest.fixture
def endpoint(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> Endpoint:
    """The endpoint of stripe, and a warehouse that is empty."""
    monkeypatch.setenv("PIPELINE", "stripe")
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    functions = functions_on(NOWHERE, new_managed_warehouse())
    return endpoint_of("stripe", functions, SOURCE.url_path, monkeypatch)


def test_the_sample_is_answered_staged_and_exported(endpoint: Endpoint) -> None:
    """Every answer is as predicted, every genuine event is in the table of its family once."""
    sample = posts("stripe", [SECRET], datetime.now(UTC).replace(tzinfo=None))
    for headers, body, expected in sample:
        assert endpoint.post(Request(headers, body)) == expected
    endpoint.collect()
    endpoint.load()

    genuine = [json.loads(body) for _, body, expected in sample if expected == 200]
    wanted = {event["id"]: event for event in genuine if "id" in event}
    found: dict[str, Any] = {}
    for family in FAMILIES:
        name = family.table.name
        for row in endpoint.query(
            "SELECT id, type, created, object_id, amount, currency, customer, status, raw"
            f" FROM {name}_staging"
        ):
            assert SOURCE.feed_of(row[1]) is family
            assert row[0] not in found
            found[row[0]] = row
    assert found == {identity: _staged(event) for identity, event in wanted.items()}
    assert [reasons for _, reasons in endpoint.refused()] == ["it has no id"]
    assert endpoint.written("exports/") == {
        f"exports/{event['type']}/{event['id']}.csv": _file(source)
        for event in wanted.values()
        if (source := event["data"]["object"].get("source"))
    }


def _staged(event: dict[str, Any]) -> list[Any]:
    of = event["data"]["object"]
    amounts = {"invoice": "total", "price": "unit_amount"}
    amount = of.get(amounts.get(of["object"], "amount"))
    created = datetime.fromtimestamp(event["created"], UTC)
    fields = [of.get(name) for name in ("currency", "customer", "status")]
    return [event["id"], event["type"], created, of.get("id"), amount, *fields, event]


def _file(source: dict[str, Any]) -> str:
    flat = {name: value for name, value in source.items() if name != "metadata"}
    flat |= {f"metadata.{name}": value for name, value in source["metadata"].items()}
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([flat, flat.values()])
    return text.getvalue()


def charge(number: int, of: str, created: int, **fields: Any) -> Request:
    """Return an event of a charge at a second."""
    event = {"id": f"evt_{number}", "type": "charge.updated", "created": created}
    event |= {"data": {"object": {"id": of, **fields}}}
    body = json.dumps(event).encode()
    return Request(STRIPE.sign(SECRET, "", body), body)


def test_a_view_has_the_newest_state_and_marks_what_is_not_known(endpoint: Endpoint) -> None:
    """By the provider's clock and not by arrival; of one second all states are shown, marked."""
    requests = [
        charge(1, "ch_a", 200, status="succeeded", amount=5),
        charge(2, "ch_a", 100, status="pending", amount=5),
        charge(3, "ch_b", 300, status="pending"),
        charge(4, "ch_b", 300, status="failed"),
        charge(5, "ch_b", 299, status="new"),
        charge(6, "ch_c", 300, status="pending"),
        charge(7, "ch_c", 300, status="failed"),
        charge(8, "ch_c", 301, status="succeeded"),
    ]
    assert {endpoint.post(request) for request in requests} == {200}
    endpoint.collect()
    endpoint.load()

    assert endpoint.query(
        "SELECT object_id, event_id, status, amount, is_tied, object ->> 'status'"
        " FROM current_charge ORDER BY 1, 2"
    ) == [
        ["ch_a", "evt_1", "succeeded", 5, False, "succeeded"],
        ["ch_b", "evt_3", "pending", None, True, "pending"],
        ["ch_b", "evt_4", "failed", None, True, "failed"],
        ["ch_c", "evt_8", "succeeded", None, False, "succeeded"],
    ]


def test_events_of_any_type_are_staged(endpoint: Endpoint) -> None:
    """New types, objects with next to nothing, and fields of other kinds are no errors."""
    bodies = [
        {"id": "1", "type": "new.thing", "created": 1, "data": {"object": {}}, "more": {"a": [1]}},
        {"id": "2", "type": "charge.x", "created": 1, "data": {"object": {"amount": None}}},
        {"id": "3", "type": "x", "created": 1, "data": {"object": {"amount": {"value": 7}}}},
    ]
    for body in (json.dumps(each).encode() for each in bodies):
        assert endpoint.post(Request(STRIPE.sign(SECRET, "", body), body)) == 200
    endpoint.collect()
    endpoint.load()

    assert endpoint.query("SELECT id, amount, raw -> 'more' FROM other_staging ORDER BY 1") == [
        ["1", None, {"a": [1]}],
        ["3", None, None],
    ]
    assert endpoint.query("SELECT id, livemode, api_version FROM charge_staging") == [
        ["2", None, None]
    ]
    assert endpoint.refused() == []
