"""The settings to fetch missed events: a key, and a function that may do no more."""

from collections.abc import Callable
from typing import Any

import pytest

from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from deployer.resources.environments import function_environment
from deployer.resources.names import Names
from deployer.resources.policies import function_policy
from etl import DeclarationError, EventFeed, EventList, Events, StampedSignature, Table, Text
from etl.loading import load

NAMES = Names("stripe-etl", "dev", "123456789012", "eu-west-2")
SETTINGS = {
    "PIPELINE": "stripe",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:secret@db.example.com/warehouse",
    "STRIPE_WEBHOOK_SECRET": "whsec_abc",
}
KEY = "rk_live_abc"


def test_a_key_is_kept_as_a_secret_of_reconcile_alone() -> None:
    """The functions know where it is, and only the one that asks the provider knows that."""
    settings = Settings.read(SETTINGS | {"STRIPE_API_KEY": KEY})

    assert settings.secrets["stripe-api"] == {"key": KEY}
    assert KEY not in repr(settings)
    environment = function_environment("reconcile", NAMES, settings)
    assert environment["STRIPE_API_SECRET_ID"] == NAMES.secret("stripe-api")
    assert environment["EVENTS_QUEUE_URL"] == NAMES.events_queue_url
    for use in ("receive", "collect", "transform", "load"):
        assert "STRIPE_API_SECRET_ID" not in function_environment(use, NAMES, settings)


def test_without_a_key_there_is_no_secret() -> None:
    """A key is no condition of a deployment."""
    settings = Settings.read(SETTINGS)

    assert "stripe-api" not in settings.secrets
    assert "EVENTS_QUEUE_URL" not in function_environment("reconcile", NAMES, settings)


def test_a_malformed_key_is_not_shown() -> None:
    """A malformed value may still be a secret."""
    with pytest.raises(SettingsError) as raised:
        Settings.read(SETTINGS | {"STRIPE_API_KEY": "rk live abc"})
    assert "STRIPE_API_KEY is not a key" in str(raised.value)
    assert "live abc" not in str(raised.value)


def test_reconcile_may_read_events_and_fetch_missed_ones() -> None:
    """It reads the lake, the key and the warehouse's address, and sends to the queue."""
    statements = function_policy("reconcile", NAMES, load("stripe"))["Statement"]
    granted = {
        (action, resource)
        for each in statements
        for action in _list(each["Action"])
        for resource in _list(each["Resource"])
    }
    lake = NAMES.bucket_arn("ingestion")
    assert {
        ("sqs:SendMessage", NAMES.events_queue_arn),
        ("secretsmanager:GetSecretValue", NAMES.secret_arn("stripe-api")),
        ("secretsmanager:GetSecretValue", NAMES.secret_arn("warehouse")),
        ("s3:GetObject", f"{lake}/stripe/*"),
        ("s3:ListBucket", lake),
    } <= granted
    assert NAMES.secret_arn("stripe") not in {resource for _, resource in granted}


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


EVENT = Table("event", key="id", columns={"id": Text()})
LIST = EventList("https://api.example.com/events")


def events(path: str, **options: Any) -> Events:
    feed = EventFeed(EVENT, ("*",), {"id": path})
    return Events("shop", StampedSignature(), (feed,), missed=LIST, **options)


MISTAKES: dict[str, Callable[[], object]] = {
    "source shop: table event has no column with id, by which missed events are found": lambda: (
        events("data.id")
    ),
    "source shop: table event has no column with header:X-Id, by which missed events are "
    "found": lambda: events("header:X-Id", id="header:X-Id"),
    "the list of events at http://api.example.com/: its URL does not begin with https:// (http:// "
    "is for this machine alone)": lambda: EventList("http://api.example.com/"),
}


@pytest.mark.parametrize("expected", MISTAKES)
def test_a_list_that_cannot_serve_is_found_when_it_is_declared(expected: str) -> None:
    """Without ids there is nothing to miss, and a key is not sent for all to read."""
    with pytest.raises(DeclarationError) as raised:
        MISTAKES[expected]()
    assert str(raised.value) == expected
