"""Notices of loaded batches: who gets them, what they say, and what happens without an answer."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from msgspec.structs import replace

from functions.common import notices
from functions.common.loaded import Loaded, LoadedMarker, Warehouse
from functions.common.manifests import Source
from tests.aws.faults import stubbed
from tests.unit.notice_steps import notice_of

TOPIC_ARN = "arn:aws:sns:eu-west-2:123456789012:totesys-etl-dev-alerts"
SUBJECT = "Batch 7 is in the warehouse"
MARKER = LoadedMarker(
    number=7,
    batch=7,
    written_at=datetime(2025, 1, 30, 11, 1, tzinfo=UTC),
    run="run",
    source=Source("1", 1, "totesys", datetime(2025, 1, 30, 11, 0, 4, tzinfo=UTC)),
    warehouse=Warehouse(
        "2", "warehouse", 5, "public", datetime(2025, 1, 30, 9, tzinfo=UTC), tables={}
    ),
    since=1,
    has={},
    evidence={},
    rows={
        "fact_sales_order": Loaded(staged=1205, inserted=1200, updated=0),
        "dim_staff": Loaded(staged=3, inserted=1, updated=2),
        "dim_design": Loaded(staged=5, inserted=0, updated=0),
    },
    age_seconds=42.4,
    refused={},
    tried_at=None,
    definitions="",
)
TEXT = """\
It is totesys of 2025-01-30 11:00:04 UTC,
and was in the warehouse 42 seconds later.

dim_staff                          1 inserted           2 updated
fact_sales_order               1,200 inserted           0 updated"""


@pytest.fixture
def sns(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client that notices are published with."""
    client = boto3.client(
        "sns", region_name="eu-west-2", aws_access_key_id="-", aws_secret_access_key="-"
    )
    monkeypatch.setattr(notices, "_sns", lambda: client)
    monkeypatch.setenv("NOTIFY", "every-batch")
    monkeypatch.setenv("NOTICE_TOPIC_ARN", TOPIC_ARN)
    return client


def test_every_batch_is_announced_on_request(sns: Any) -> None:
    """One message says what has come to the warehouse, and how long it was on its way."""
    with stubbed(sns) as stubber:
        stubber.add_response(
            "publish",
            {"MessageId": "1"},
            {
                "TopicArn": TOPIC_ARN,
                "Subject": SUBJECT,
                "Message": TEXT,
            },
        )
        notices.give_notice("every-batch", *notice_of(MARKER))


@pytest.mark.parametrize("notify", ["failures", "daily", None])
def test_who_did_not_ask_is_left_in_peace(
    sns: Any, monkeypatch: pytest.MonkeyPatch, notify: str | None
) -> None:
    """No other choice publishes anything."""
    if notify is None:
        monkeypatch.delenv("NOTIFY")
    else:
        monkeypatch.setenv("NOTIFY", notify)

    with stubbed(sns):
        notices.give_notice("every-batch", *notice_of(MARKER))


def refuse(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://sns.example.com")

    monkeypatch.setattr(client, "publish", publish)


def forget_the_topic(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTICE_TOPIC_ARN")


@pytest.mark.parametrize("break_it", [refuse, forget_the_topic])
def test_a_notice_that_cannot_be_sent_is_a_warning(
    sns: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    break_it: Callable[[Any, pytest.MonkeyPatch], None],
) -> None:
    """The load goes on, and the log says which batch was not announced."""
    break_it(sns, monkeypatch)

    notices.give_notice("every-batch", *notice_of(MARKER))

    (record,) = caplog.records
    assert (record.levelname, record.getMessage(), vars(record)["subject"]) == (
        "WARNING",
        "no notice could be sent",
        SUBJECT,
    )


def test_a_batch_without_news_says_so() -> None:
    """A replayed batch that changed nothing does not come with an empty list."""
    _, text = notice_of(replace(MARKER, rows={}))

    assert text.splitlines()[-1] == "The warehouse had all of it already."


def test_after_a_notice_that_cannot_be_sent_no_other_is_tried(
    sns: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A hundred of them would wait for a topic that is not there for half an hour."""
    refuse(sns, monkeypatch)

    notices.give_notices("every-batch", [("first", ""), ("second", "")])

    assert [vars(record)["subject"] for record in caplog.records] == ["first"]


def test_notices_are_sent_in_their_order(sns: Any) -> None:
    """The steps of a file arrive as they happened."""
    with stubbed(sns) as stubber:
        for subject in ("first", "second"):
            expected = {"TopicArn": TOPIC_ARN, "Subject": subject, "Message": "text"}
            stubber.add_response("publish", {"MessageId": "1"}, expected)

        notices.give_notices("every-batch", [("first", "text"), ("second", "text")])
