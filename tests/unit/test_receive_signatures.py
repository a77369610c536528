"""Which bodies are signed by a provider, by published examples and by HMAC computed apart."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import BodySignature, StampedSignature, StandardWebhooks
from etl.events import Signature
from functions.common.errors import SettingsError
from functions.receive.requests import RequestError
from functions.receive.signatures import verify
from tests.webhooks import SIGNERS, Signer, hmac_sha256

NOW = 1_795_000_000
BODY = '{"id": "evt_1", "type": "charge.succeeded", "name": "Zoë"}'.encode()
STRIPE_AT = 1533204620
# From the tests of Stripe's own libraries: event_test_signature.json of stripe-dotnet.
STRIPE_BODY = {
    "id": "evt_123",
    "object": "event",
    "account": "acct_123",
    "api_version": "2017-05-25",
    "created": STRIPE_AT,
    "data": {
        "object": {
            "id": "ii_123",
            "object": "invoiceitem",
            "amount": 1000,
            "currency": "usd",
            "customer": "cus_123",
            "date": STRIPE_AT,
            "description": "Test Invoice Item",
            "discountable": False,
            "invoice": "in_123",
            "livemode": False,
            "metadata": {},
            "period": {"start": STRIPE_AT, "end": STRIPE_AT},
            "plan": None,
            "proration": False,
            "quantity": None,
            "subscription": None,
        }
    },
    "livemode": False,
    "pending_webhooks": 1,
    "request": {"id": "req_123", "idempotency_key": "idempotency-key-123"},
    "type": "invoiceitem.created",
}
STRIPE_SIGNATURE = (
    "t=1533204620,v1=f0bdba6d4eacbd8ad8a3bbadd7248e633ec1477f7899c124c51b39405fa36613,"
    "v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef"
)

every_signer = pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)


def reason(
    scheme: Signature,
    secrets: list[str],
    headers: Mapping[str, str],
    body: bytes = BODY,
    now: float = NOW,
) -> str | None:
    """Return why a body is refused; None if it is not."""
    try:
        verify(scheme, secrets, headers, body, now)
    except RequestError as refused:
        return refused.reason if refused.reply == (400, "bad signature") else "another reply"
    return None


@pytest.mark.parametrize(
    ("scheme", "secret", "headers", "body", "now"),
    [
        (
            StampedSignature(),
            "webhook_secret",
            {"stripe-signature": STRIPE_SIGNATURE},
            json.dumps(STRIPE_BODY, indent=2).encode() + b"\n",
            STRIPE_AT,
        ),
        (  # docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
            BodySignature(),
            "It's a Secret to Everybody",
            {
                "x-hub-signature-256": "sha256="
                "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
            },
            b"Hello, World!",
            0,
        ),
        (  # the tests of standard-webhooks' own libraries
            StandardWebhooks(),
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            {
                "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "webhook-timestamp": "1614265330",
                "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            },
            b'{"test": 2432232314}',
            1614265330,
        ),
    ],
    ids=["stripe", "github", "standard webhooks"],
)
def test_published_examples_are_verified(
    scheme: Signature, secret: str, headers: dict[str, str], body: bytes, now: int
) -> None:
    """A provider's published example is verified, and with one changed byte it is not."""
    assert reason(scheme, [secret], headers, body, now) is None
    assert reason(scheme, [secret], headers, body[:-1] + b"?", now) == "signature_wrong"


@every_signer
@given(st.binary(max_size=300), st.integers(1, 10**12 - 1))
def test_whatever_bytes_are_signed_rightly_are_accepted(
    signer: Signer, body: bytes, now: int
) -> None:
    """The signature is that of the raw bytes, UTF-8 or not."""
    assert (
        reason(signer.scheme, [signer.secret], signer.headers(signer.secret, body, now), body, now)
        is None
    )


@every_signer
@given(st.data())
def test_a_changed_body_is_refused(signer: Signer, data: Any) -> None:
    """One other, missing or additional byte makes it another body."""
    body = data.draw(st.binary(min_size=1, max_size=100))
    at = data.draw(st.integers(0, len(body) - 1))
    byte = bytes([body[at] ^ data.draw(st.integers(1, 255))])
    changed = data.draw(
        st.sampled_from(
            [body[:at] + byte + body[at + 1 :], body[:at] + body[at + 1 :], body + byte]
        )
    )
    headers = signer.headers(signer.secret, body, NOW)

    assert reason(signer.scheme, [signer.secret], headers, changed) == "signature_wrong"


@every_signer
def test_another_secret_is_refused(signer: Signer) -> None:
    """Only who has the secret can sign."""
    other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    assert (
        reason(signer.scheme, [signer.secret], signer.headers(other, BODY, NOW))
        == "signature_wrong"
    )


@every_signer
def test_either_secret_is_accepted_during_a_roll_over(signer: Signer) -> None:
    """Events signed with the old secret and with the new one both arrive."""
    other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    both = [signer.secret, other]
    for secret in both:
        assert reason(signer.scheme, both, signer.headers(secret, BODY, NOW)) is None


@every_signer
def test_without_a_secret_nothing_is_accepted(signer: Signer) -> None:
    """A signature with an empty key, which anybody can make, is worth nothing."""
    headers = signer.headers("", BODY, NOW)
    assert reason(signer.scheme, [], headers) == "signature_wrong"
    assert reason(signer.scheme, [signer.secret], headers) == "signature_wrong"


@every_signer
def test_every_header_of_the_signature_has_to_be_there(signer: Signer) -> None:
    """A missing or empty header is a missing signature."""
    headers = signer.headers(signer.secret, BODY, NOW)
    for name in headers.keys() - {"x-github-delivery", "x-github-event"}:
        left = {key: value for key, value in headers.items() if key != name}
        for given_headers in (left, {**left, name: ""}):
            assert reason(signer.scheme, [signer.secret], given_headers) == "signature_missing"


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
@pytest.mark.parametrize("name", ["payments", "mails"])
def test_a_stamp_may_be_five_minutes_away(name: str, seconds: int) -> None:
    """Clocks may differ, and an event may wait on its way."""
    signer = SIGNERS[name]
    headers = signer.headers(signer.secret, BODY, NOW + seconds)
    assert reason(signer.scheme, [signer.secret], headers, now=NOW + 0.9) is None


@pytest.mark.parametrize("seconds", [-86_400, -301, 301, 86_400, 10**11])
@pytest.mark.parametrize("name", ["payments", "mails"])
def test_an_older_or_later_stamp_is_refused(name: str, seconds: int) -> None:
    """A recorded request cannot be sent again later, nor one made ahead."""
    signer = SIGNERS[name]
    headers = signer.headers(signer.secret, BODY, NOW + seconds)
    assert reason(signer.scheme, [signer.secret], headers) == "signature_stale"


def test_any_of_several_signatures_may_be_right() -> None:
    """While a secret is rolled over, a provider signs with both."""
    for name, header, separator, wrong in (
        ("payments", "stripe-signature", ",", "v1=" + "0" * 64),
        ("mails", "webhook-signature", " ", "v1," + "A" * 43 + "="),
    ):
        signer = SIGNERS[name]
        headers = signer.headers(signer.secret, BODY, NOW)
        for value in (
            separator.join([headers[header], wrong]),
            separator.join([wrong, headers[header]]),
        ):
            assert reason(signer.scheme, [signer.secret], {**headers, header: value}) is None
        wrongs = headers[header].partition(separator)[0] + separator + wrong
        if name == "payments":
            refused = reason(signer.scheme, [signer.secret], {**headers, header: wrongs})
            assert refused == "signature_wrong"


RIGHT = hmac_sha256(SIGNERS["payments"].secret.encode(), f"{NOW}.".encode() + BODY).hex()


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (f"t={NOW}", "signature_malformed"),
        (f"v1={RIGHT}", "signature_malformed"),
        (f"t={NOW},v0={RIGHT}", "signature_malformed"),
        (f"t={NOW},t={NOW},v1={RIGHT}", "signature_malformed"),
        (f"t={NOW - 9999},t={NOW},v1={RIGHT}", "signature_malformed"),
        (f"t=1=2,t={NOW},v1={RIGHT}", "signature_malformed"),
        (f"t={NOW}.0,v1={RIGHT}", "signature_malformed"),
        (f"t=+{NOW},v1={RIGHT}", "signature_malformed"),
        (f"t=-{NOW},v1={RIGHT}", "signature_malformed"),
        (f"t=1_795_000_000,v1={RIGHT}", "signature_malformed"),
        (f"t={'9' * 5000},v1={RIGHT}", "signature_malformed"),
        ("t=１７９５００００００,v1=" + RIGHT, "signature_malformed"),
        ("t=,v1=" + RIGHT, "signature_malformed"),
        (",,,", "signature_malformed"),
        (RIGHT, "signature_malformed"),
        (f"t={NOW},v1=", "signature_wrong"),
        (f"t={NOW},v1={RIGHT[:-1]}", "signature_wrong"),
        (f"t={NOW},v1={RIGHT}0", "signature_wrong"),
        (f"t={NOW},v1={RIGHT.upper()}", "signature_wrong"),
        (f"t={NOW},v1=ünïcode", "signature_wrong"),
        (f"t={NOW},v1=\ud800", "signature_wrong"),
        (f"t={NOW + 1},v1={RIGHT}", "signature_wrong"),
    ],
)
def test_a_malformed_header_is_refused(header: str, why: str) -> None:
    """Only the one form that the provider sends is read."""
    signer = SIGNERS["payments"]
    assert reason(signer.scheme, [signer.secret], {"stripe-signature": header}) == why


@pytest.mark.parametrize(
    ("name", "changed", "why"),
    [
        ("pushes", {"x-hub-signature-256": "sha1=" + "0" * 40}, "signature_malformed"),
        ("pushes", {"x-hub-signature-256": "sha256="}, "signature_wrong"),
        ("mails", {"webhook-signature": "v1a,AAAA"}, "signature_malformed"),
        ("mails", {"webhook-signature": "v1"}, "signature_wrong"),
        ("mails", {"webhook-timestamp": "now"}, "signature_malformed"),
        ("mails", {"webhook-id": "msg_ü"}, "signature_malformed"),
        ("mails", {"webhook-id": "msg_2"}, "signature_wrong"),
    ],
)
def test_other_schemes_have_their_one_form_too(
    name: str, changed: dict[str, str], why: str
) -> None:
    """A signature of another version or kind is none."""
    signer = SIGNERS[name]
    headers = {**signer.headers(signer.secret, BODY, NOW), **changed}
    assert reason(signer.scheme, [signer.secret], headers) == why


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64", "whsec_ü"])
def test_a_secret_that_is_no_key_is_a_mistake_in_the_settings(secret: str) -> None:
    """Nothing is verified with it, and the error says so without the secret."""
    signer = SIGNERS["mails"]
    with pytest.raises(SettingsError, match="a secret of Standard Webhooks is base64") as error:
        verify(signer.scheme, [secret], signer.headers(signer.secret, BODY, NOW), BODY, NOW)
    assert secret not in str(error.value).replace("base64 after whsec_,", "")
