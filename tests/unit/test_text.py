"""Names of others in messages and e-mails: one line, bounded, with nothing to obey or to click."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common import notices
from functions.common.errors import DatabaseStatementError
from functions.common.loaded import Loaded, LoadedMarker, Warehouse
from functions.common.manifests import Source
from functions.common.notices import give_notice
from functions.common.text import MAIL_CHARACTERS, MESSAGE_CHARACTERS, defanged, printable
from functions.reconcile.comparison import Comparison
from functions.reconcile.notices import notice as reconcile_notice
from tests.unit.notice_steps import notice_of

HOSTILE = "t\x1b[2J\r\nPay at https://evil.example/x or mail a@evil.example, \\\\evil\\x, \u202etxt"
HARMLESS = (
    "t\\x1b[2J\\r\\nPay at https[:][/][/]evil[.]example[/]x or mail a[@]evil[.]example, "
    "[\\]\\evil\\x, \\u202etxt"
)
LINK = re.compile(r"[.:@。．｡][^\s…]|//|\\\\")


@given(st.text())
def test_a_message_of_a_function_is_one_printable_line(text: str) -> None:
    """A message of a function can be shown anywhere: in a log, in a terminal, in an answer."""
    message = str(DatabaseStatementError(text))

    assert message.isprintable()
    assert len(message) <= MESSAGE_CHARACTERS
    assert not text.isprintable() or message == text


def test_a_message_is_bounded() -> None:
    """A name or a list without end is cut, and shows that it was."""
    assert str(DatabaseStatementError("x" * 10_000)) == "x" * (MESSAGE_CHARACTERS - 1) + "…"
    assert len(printable("\x1b" * 10_000)) == MESSAGE_CHARACTERS


@given(st.text() | st.text(st.sampled_from("a.:/@\\。 [")))
def test_no_name_becomes_a_link(text: str) -> None:
    """A mail program finds no address in what a source calls its tables and types."""
    shown = defanged(text)

    assert shown.isprintable()
    assert len(shown) <= MAIL_CHARACTERS
    assert not LINK.search(re.sub(r"\[.\]", " ", shown))


def test_a_hostile_name_stays_readable() -> None:
    """Somebody who looks into it sees what the name was."""
    assert defanged(HOSTILE) == HARMLESS


class Topic:
    """SNS, as far as a notice needs it."""

    def __init__(self) -> None:
        self.mails: list[dict[str, Any]] = []

    def publish(self, **mail: Any) -> None:
        self.mails.append(mail)


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    topic = Topic()
    monkeypatch.setattr(notices, "_sns", lambda: topic)
    monkeypatch.setenv("NOTIFY", "daily")
    monkeypatch.setenv("NOTICE_TOPIC_ARN", "arn:aws:sns:eu-west-2:123456789012:totesys")
    return topic


def test_the_daily_mail_has_no_lines_or_links_of_the_source(topic: Topic) -> None:
    """A type's name adds neither a line nor a link to the mail about the comparison."""
    text = reconcile_notice({"dim_staff": Comparison(error=f"column x is now {HOSTILE}")})

    give_notice("daily", "Source and warehouse disagree", text)

    [mail] = topic.mails
    assert mail["Message"] == f"dim_staff               column x is now {HARMLESS}"


def test_the_mail_of_a_batch_has_no_lines_or_links_of_the_source(topic: Topic) -> None:
    """The name of the source's database adds neither a line nor a link."""
    at = datetime(2024, 11, 15, 18, tzinfo=UTC)
    marker = LoadedMarker(
        number=7,
        batch=7,
        written_at=at,
        run="run",
        source=Source("1", 1, HOSTILE, at),
        warehouse=Warehouse("1", "w", 5, "s", at, {}),
        since=1,
        has={},
        evidence={},
        rows={"dim_staff": Loaded(1, 1, 0)},
        age_seconds=12.0,
        refused={},
        tried_at=None,
        definitions="",
    )

    _, text = notice_of(marker)

    assert text.splitlines()[0] == f"It is {HARMLESS} of 2024-11-15 18:00:00 UTC,"


@given(subject=st.text(min_size=1), text=st.text())
def test_a_notice_is_what_sns_takes(subject: str, text: str) -> None:
    """A subject is ASCII, under 100 characters and one line; a text has only line breaks."""
    with pytest.MonkeyPatch.context() as patch:
        topic = Topic()
        patch.setattr(notices, "_sns", lambda: topic)
        patch.setenv("NOTIFY", "daily")
        patch.setenv("NOTICE_TOPIC_ARN", "arn:aws:sns:eu-west-2:123456789012:totesys")
        give_notice("daily", subject, text)

    [mail] = topic.mails
    assert mail["Subject"].isascii()
    assert mail["Subject"].isprintable()
    assert 0 < len(mail["Subject"]) < 100
    assert all(line.isprintable() for line in mail["Message"].split("\n"))
