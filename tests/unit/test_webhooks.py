"""Events signed as providers sign them, and the settings with which."""

from pathlib import Path

import pytest

import pipelines
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from deployer.operations.webhooks import signed_headers
from deployer.resources.environments import function_environment
from deployer.resources.names import Names
from deployer.resources.specs import functions
from etl import (
    WHOLE,
    BodySignature,
    EventFeed,
    Events,
    Json,
    StampedSignature,
    StandardWebhooks,
    Table,
    Text,
)
from etl.events import Signature

FOLDER = Path(__file__).parent.parent / "pipelines"
BY_OPENSSL = "5790023bd77209313f2e32e36caf5921bdd2fac398095f83dc2d2ecd5f696f50"
NOW = 1_614_265_330.9
ENVIRONMENT = {
    "PIPELINE": "till",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@db.example.com/warehouse",
    "TILL_WEBHOOK_SECRET": "whsec_old whsec_new",
}


@pytest.fixture(autouse=True)
def _till(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])


def source(signature: Signature, event_id: str = "id") -> Events:
    table = Table("event", key="id", columns={"id": Text(), "raw": Json()})
    feed = EventFeed(table, ("*",), {"id": event_id, "raw": WHOLE})
    return Events("provider", signature, (feed,), id=event_id)


def test_a_body_is_signed_as_github_signs() -> None:
    """With GitHub's own example, and an id for what has its ids in a header.

    https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    by_header = source(BodySignature(), "header:X-GitHub-Delivery")

    headers = signed_headers(by_header, "It's a Secret to Everybody", b"Hello, World!", NOW)

    assert headers["x-hub-signature-256"] == (
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )
    assert len(headers["x-github-delivery"]) == 36


def test_a_body_is_signed_by_standard_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the example of the specification's libraries.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py
    """
    monkeypatch.setattr(
        "deployer.operations.webhooks.uuid4", lambda: "msg_p5jXN8AQM9LWM0D4loKWxJek"
    )
    by_header = source(StandardWebhooks(), "header:webhook-id")

    headers = signed_headers(
        by_header, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}', 1614265330
    )

    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_body_is_signed_with_its_stamp() -> None:
    """The stamp is whole seconds, before the body, as Stripe has it; the digest is openssl's.

    printf '1614265330.{}' | openssl dgst -sha256 -hmac whsec_test
    """
    headers = signed_headers(source(StampedSignature()), "whsec_test", b"{}", NOW)

    assert headers["stripe-signature"] == f"t=1614265330,v1={BY_OPENSSL}"


def test_settings_hold_one_secret_or_two() -> None:
    """An optional source without one is left out; its function gets no name of one."""
    settings = Settings.read(ENVIRONMENT)

    names = Names("till-etl", "dev", "123456789012", "eu-west-2")
    receive = function_environment("receive", names, settings)
    assert settings.webhooks == {"till": ("whsec_old", "whsec_new")}
    assert [each.name for each in settings.left_out] == ["stock"]
    assert {name for name in receive if name.endswith("_SECRET_ID")} == {"TILL_SECRET_ID"}
    assert "whsec" not in repr(settings)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "TILL_WEBHOOK_SECRET is not set. Example: TILL_WEBHOOK_SECRET=whsec_..."),
        (
            "one two three",
            (
                "TILL_WEBHOOK_SECRET is not a signing secret of the provider, or two separated "
                "by a blank. Example: TILL_WEBHOOK_SECRET=whsec_..."
            ),
        ),
    ],
)
def test_a_secret_that_cannot_be_one_is_named_and_not_shown(value: str, problem: str) -> None:
    """In one line, before anything is touched."""
    with pytest.raises(SettingsError) as raised:
        Settings.read({**ENVIRONMENT, "TILL_WEBHOOK_SECRET": value})

    assert raised.value.problems == (problem,)


def test_only_a_pipeline_with_events_has_their_functions() -> None:
    """Another one has the four that it always had."""
    events = Settings.read(ENVIRONMENT)
    totesys = Settings.read(
        {
            "SOURCE_DATABASE_URL": "postgresql://reader:one@db.example.com/totesys",
            "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@db.example.com/warehouse",
        }
    )

    five = ["extract", "transform", "load", "reconcile", "page"]
    assert [spec.use for spec in functions(totesys)] == five
    assert [spec.use for spec in functions(events)] == [*five, "receive", "collect"]
