"""An API is asked until a document has come as a whole; nothing of it is ever in an error."""

import gzip
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme

from functions.common import httpclient, httpconnection
from functions.common.errors import (
    PipelineError,
    ProviderBusyError,
    ProviderUnavailableError,
    SettingsError,
)
from functions.common.httpclient import Answer, Api
from tests.rest_server import Reply, RestServer, serving

KEY = "k3y-of-nobody"
BODY = b"id,name\n1,secret name\n"
LIMIT = 10_000


@pytest.fixture
def server() -> Iterator[RestServer]:
    with serving() as serves:
        yield serves


@pytest.fixture
def pauses() -> list[float]:
    return []


def api(server: RestServer, pauses: list[float] | None = None) -> Api:
    return Api(
        server.url,
        lambda: {"Authorization": f"Bearer {KEY}"},
        setting="RATES_URL",
        key_setting="RATES_API_KEY",
        sleep=(pauses if pauses is not None else []).append,
    )


def ask(server: RestServer, pauses: list[float] | None = None, at_most: int = LIMIT) -> Answer:
    return api(server, pauses).ask(f"{server.url}/x?token={KEY}", "text/csv", at_most)


def error_of(server: RestServer, at_most: int = LIMIT) -> PipelineError:
    with pytest.raises(PipelineError) as raised:
        ask(server, at_most=at_most)
    said = "".join(map(str, (raised.value, raised.value.__cause__, raised.value.__context__)))
    assert KEY not in said
    assert "secret name" not in said
    return raised.value


def test_an_answer_is_kept_as_it_came_and_expanded(server: RestServer) -> None:
    """What was compressed on its way is kept compressed, and compared expanded."""
    packed = gzip.compress(BODY)
    server.answers(Reply(packed, headers={"Content-Encoding": "gzip"}))

    answer = ask(server)

    assert (answer.body, answer.content) == (packed, BODY)
    assert answer.headers["content-type"] == "text/csv"
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.asked[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_failure_of_the_server_is_followed_by_another_attempt(
    server: RestServer, pauses: list[float], status: int
) -> None:
    """Outages of a moment cost a moment; pauses grow, and are never quite the same."""
    server.answers(*[Reply(b"secret name", status)] * 3, Reply(BODY))

    assert ask(server, pauses).content == BODY
    assert len(pauses) == 3
    for attempt, pause in enumerate(pauses):
        assert 0.25 * 2**attempt <= pause <= 0.5 * 2**attempt


def test_an_outage_ends_the_run_and_not_the_source(server: RestServer) -> None:
    """After five attempts the next run asks again."""
    server.answers(Reply(b"secret name", 503))

    error = error_of(server)

    assert isinstance(error, ProviderUnavailableError)
    assert str(error) == (f"RATES_URL: {server.url[7:-3]} answered 503: the next run asks again")
    assert len(server.asked) == 5


@pytest.mark.parametrize("in_words", [False, True])
def test_retry_after_is_heeded(server: RestServer, pauses: list[float], in_words: bool) -> None:
    """It is seconds, or a moment."""
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=25), usegmt=True)
    wait = {"Retry-After": moment if in_words else "25"}
    server.answers(Reply(status=429, headers=wait), Reply(BODY))

    assert ask(server, pauses).content == BODY
    [pause] = pauses
    assert 0 < pause <= 25


def test_an_api_that_asks_for_an_hour_gets_it(server: RestServer, pauses: list[float]) -> None:
    """A run never waits longer than it has: it says for how long the API is to be left alone."""
    server.answers(Reply(status=429, headers={"Retry-After": "3600"}))

    with pytest.raises(
        ProviderBusyError, match="answered 429, and asks to wait for 3600"
    ) as raised:
        ask(server, pauses)

    assert raised.value.seconds == 3600
    assert (pauses, len(server.asked)) == ([], 1)


@pytest.mark.parametrize("says_length", [True, False])
def test_a_body_that_is_cut_is_asked_for_again(
    server: RestServer, pauses: list[float], says_length: bool
) -> None:
    """Nothing is used of half an answer, whether its length was said or gzip shows it."""
    whole = gzip.compress(BODY * 100, mtime=0)
    cut = Reply(whole if says_length else whole[:40], cut=40, says_length=says_length)
    server.answers(cut, Reply(whole))

    assert ask(server, pauses).content == BODY * 100
    assert len(pauses) == 1


def test_a_server_that_is_silent_or_slow_takes_no_longer_than_it_may(
    server: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence ends by the time between two bytes, a drip of bytes by the time for the whole."""
    monkeypatch.setattr(httpclient, "SECONDS", 0.6)
    monkeypatch.setattr(httpconnection, "READ_SECONDS", 0.2)
    for reply in (
        Reply(BODY, silent=60),
        Reply(BODY * 50, drip=0.02),
        Reply(BODY * 50, drip=0.02, says_length=False),
    ):
        server.answers(reply)
        began = datetime.now(UTC)
        assert "does not answer, or not to the end" in str(error_of(server))
        assert datetime.now(UTC) - began < timedelta(seconds=15)  # the drip would take 22


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_has_no_more_bytes_than_it_may(server: RestServer, packed: bool) -> None:
    """Also one that a few bytes expand to: it is left as soon as it is too large."""
    body = b"1" * 50_000_000 if packed else b"1" * (LIMIT + 1)
    server.answers(Reply(gzip.compress(body) if packed else body))

    assert "answers with more than 10,000 bytes: ask for less" in str(error_of(server))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "leads_to",
    ["https://127.0.0.1:1/v1", "http://localhost/v1", "//evil.example.com/", "http://127.0.0.1:1/"],
)
def test_no_redirect_leaves_the_host(server: RestServer, leads_to: str) -> None:
    """Neither to another host, port or scheme: the key would go along."""
    server.answers(Reply(status=302, headers={"Location": leads_to}))

    assert "leads to another host or scheme" in str(error_of(server))


def test_a_redirect_within_the_host_is_followed(server: RestServer) -> None:
    """A path may move; a circle ends."""
    moved = Reply(status=308, headers={"Location": "/v2/x"})
    server.script = lambda asked: Reply(BODY) if asked.path == "/v2/x" else moved
    assert ask(server).content == BODY

    server.answers(moved)
    assert "redirects without end" in str(error_of(server))


@pytest.mark.parametrize(
    ("status", "named"), [(400, "RATES_URL"), (401, "RATES_API_KEY"), (404, "RATES_URL")]
)
def test_what_no_attempt_can_mend_names_the_setting(
    server: RestServer, status: int, named: str
) -> None:
    """A wrong URL or key is said at once."""
    server.answers(Reply(b"secret name", status))

    error = error_of(server)

    assert isinstance(error, SettingsError)
    assert f"answered {status}" in str(error)
    assert f" {named}" in str(error)
    assert len(server.asked) == 1


@pytest.mark.parametrize("trusted", [False, True])
def test_nothing_is_sent_to_whoever_cannot_prove_its_name(
    monkeypatch: pytest.MonkeyPatch, trusted: bool, tmp_path: object
) -> None:
    """A certificate of nobody's, or of another name, ends the attempt before the key is sent."""
    authority, stranger = trustme.CA(), trustme.CA()
    with authority.cert_pem.tempfile() as roots:
        monkeypatch.setenv("SSL_CERT_FILE", roots)
        issuer = authority if trusted else stranger
        for name in ("127.0.0.1", "other.example.com"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            issuer.issue_cert(name).configure_cert(context)
            with serving(context) as server:
                server.answers(Reply(BODY))
                if trusted and name == "127.0.0.1":
                    assert ask(server).content == BODY
                    continue
                assert "has a certificate that is not valid" in str(error_of(server))
                assert server.asked == []


def test_an_api_that_is_not_there_is_asked_again_by_the_next_run() -> None:
    """Nobody listens: five attempts, and one clear line."""
    with serving() as server:
        pass
    assert "does not answer, or not to the end (NewConnectionError)" in str(error_of(server))
