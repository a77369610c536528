"""The status of a deployment: read from the account alone, wherever something is missing."""

import io
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployer.aws.account import Account
from deployer.errors import AwsError
from deployer.operations.status import (
    Batch,
    Quarantined,
    SourceStatus,
    SourceTable,
    Status,
    read_status,
)
from deployer.resources.names import Names
from tests.aws.faults import Faults
from tests.aws.sandbox import Sandbox

NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
SOURCES = ("source",)
NOW = datetime(2025, 1, 30, 12, 0, tzinfo=UTC)
SINCE = "2025-01-30T09:15:00Z"
ALARM = "totesys-etl-dev-freshness"


def source(minute: int) -> dict[str, Any]:
    return {"snapshot_at": f"2025-01-30T11:{minute:02}:00Z"}


def put(account: Account, bucket: str, key: str, document: dict[str, Any] | bytes) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    account.clients.s3.put_object(Bucket=bucket, Key=key, Body=body)


def registered(*columns: str, carried: bool = True, error: str | None = None) -> dict[str, Any]:
    types = [(column, "text") for column in columns]
    form = {"columns": types, "fingerprint": "0123456789abcdef", "since": SINCE}
    return {**form, "carried": carried, "error": error}


def put_batches(account: Account) -> None:
    """Write two ingested batches, both processed, one of them loaded."""
    schemas = {
        "staff": registered("staff_id", "email_address"),
        "design": registered("design_id", error="column is gone"),
        "refund": registered("refund_id", carried=False),
        "former": registered("former_id", carried=False, error="table former is gone"),
    }
    for number in (1, 2):
        common = {
            "batch": number,
            "written_at": f"2025-01-30T11:{number:02}:30Z",
            "source": source(number),
        }
        key = f"batches/source/{number:010d}.json"
        put(account, NAMES.bucket("ingestion"), key, {**common, "schemas": schemas})
        entries = {
            "payment": {
                "file": "quarantine/source/payment/2024-03-01/0000000001-0000000000001.parquet",
                "rows": 3,
            },
            "staff": {
                "file": "quarantine/source/staff/2024-03-01/0000000001-0000000000001.parquet",
                "rows": 0,
            },
        }
        put(account, NAMES.bucket("processed"), key, {**common, "quarantine": entries})
    marker = {
        "batch": 1,
        "written_at": "2025-01-30T11:01:42.5Z",
        "source": source(1),
        "age_seconds": 42.5,
        "refused": {
            "dim_staff": [{"reasons": {"too long": 2}}, {"reasons": {"too long": 1, "NULL": 1}}]
        },
    }
    put(account, NAMES.bucket("processed"), "loaded/source/0000000001.json", marker)
    rows = pa.table({"_reason": ["NaN", "late", "NaN"]})
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    put(
        account,
        NAMES.bucket("processed"),
        "quarantine/source/payment/2024-03-01/0000000001-0000000000001.parquet",
        sink.getvalue(),
    )


def test_an_empty_account_has_a_status(account: Account) -> None:
    """Where nothing is deployed, nothing is found, and nothing fails."""
    assert read_status(account, NAMES, SOURCES, NOW) == Status(
        is_deployed=False,
        functions=dict.fromkeys(("extract", "transform", "load", "reconcile", "page")),
        sources={
            "source": SourceStatus(
                batches={"extract": None, "transform": None, "load": None},
                source_to_warehouse=None,
                snapshot_age=None,
                quarantine={},
                stopped={},
                schemas={},
            )
        },
        alarms={},
        failed_events=None,
        unconfirmed=[],
        hours_left=None,
    )


def test_a_deployment_is_reported_in_full(sandbox: Sandbox) -> None:
    """Functions, batches, freshness, quarantine, drift, alarms, queue and expiry are all there."""
    sandbox.start_deployed()
    clients = sandbox.account.clients
    put_batches(sandbox.account)
    clients.cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="test")
    url = clients.sqs.get_queue_url(QueueName=NAMES.queue)["QueueUrl"]
    clients.sqs.send_message(QueueUrl=url, MessageBody="lost")

    status = read_status(sandbox.account, NAMES, SOURCES, NOW)

    assert status.is_deployed
    assert [function and function.state for function in status.functions.values()] == ["Active"] * 5
    assert replace(status, functions={}) == Status(
        is_deployed=True,
        functions={},
        sources={
            "source": SourceStatus(
                batches={
                    "extract": Batch(2, "2025-01-30T11:02:30Z", "2025-01-30T11:02:00Z"),
                    "transform": Batch(2, "2025-01-30T11:02:30Z", "2025-01-30T11:02:00Z"),
                    "load": Batch(1, "2025-01-30T11:01:42.5Z", "2025-01-30T11:01:00Z"),
                },
                source_to_warehouse=42.5,
                snapshot_age=59 * 60.0,
                quarantine={
                    "payment": Quarantined(3, {"NaN": 2, "late": 1}),
                    "dim_staff": Quarantined(4, {"too long": 3, "NULL": 1}),
                },
                stopped={"design": "column is gone"},
                schemas={
                    "staff": SourceTable("0123456789ab", 2, SINCE, True, None),
                    "design": SourceTable("0123456789ab", 1, SINCE, True, "column is gone"),
                    "refund": SourceTable("0123456789ab", 1, SINCE, False, None),
                    "former": SourceTable("0123456789ab", 1, SINCE, False, "table former is gone"),
                },
            )
        },
        alarms={ALARM: "ALARM"},
        failed_events=1,
        unconfirmed=[],
        hours_left=30.0,
    )


def test_a_status_is_json(sandbox: Sandbox) -> None:
    """A program reads the same document, by the names of its fields."""
    sandbox.start_deployed()
    put_batches(sandbox.account)

    document = json.loads(json.dumps(asdict(read_status(sandbox.account, NAMES, SOURCES, NOW))))

    assert document["is_deployed"] is True
    assert document["sources"]["source"]["batches"]["load"] == {
        "number": 1,
        "written_at": "2025-01-30T11:01:42.5Z",
        "snapshot_at": "2025-01-30T11:01:00Z",
    }
    assert document["functions"]["extract"]["expires_at"] == "2025-01-31T18:00:00+00:00"


def test_the_warehouse_that_was_loaded_last_counts(sandbox: Sandbox) -> None:
    """While a restored warehouse gets batches again, the last of these is the newest there."""
    sandbox.start_deployed()
    put_batches(sandbox.account)
    for number, minute in ((2, 30), (3, 20)):
        marker = {
            "batch": minute,
            "written_at": f"2025-01-30T11:{minute}:00Z",
            "source": source(minute),
            "age_seconds": 1.0,
        }
        key = f"loaded/source/{number:010d}.json"
        put(sandbox.account, NAMES.bucket("processed"), key, marker)

    status = read_status(sandbox.account, NAMES, SOURCES, NOW)

    assert status.sources["source"].batches["load"] == Batch(
        20, "2025-01-30T11:20:00Z", "2025-01-30T11:20:00Z"
    )


def test_who_has_not_confirmed_is_named(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that gets no mail yet is in the status; moto confirms, so the listing is ours."""
    sandbox.start_deployed()
    listing = {
        "Subscriptions": [
            {
                "Protocol": "email",
                "Endpoint": "team@example.com",
                "SubscriptionArn": "PendingConfirmation",
            },
            {
                "Protocol": "email",
                "Endpoint": "colleague@example.com",
                "SubscriptionArn": f"{NAMES.topic_arn}:1",
            },
            {
                "Protocol": "https",
                "Endpoint": "https://example.com",
                "SubscriptionArn": "PendingConfirmation",
            },
        ]
    }
    monkeypatch.setattr(
        sandbox.account.clients.sns, "list_subscriptions_by_topic", lambda **_: listing
    )

    assert read_status(sandbox.account, NAMES, SOURCES, NOW).unconfirmed == ["team@example.com"]


def test_a_half_removed_deployment_has_a_status(sandbox: Sandbox) -> None:
    """Resources that are gone already are left out, and the rest is reported."""
    sandbox.start_deployed()
    put_batches(sandbox.account)
    clients = sandbox.account.clients
    clients.lambda_.delete_function(FunctionName=NAMES.function("extract"))
    clients.sns.delete_topic(TopicArn=NAMES.topic_arn)
    clients.s3.delete_object(
        Bucket=NAMES.bucket("processed"),
        Key="quarantine/source/payment/2024-03-01/0000000001-0000000000001.parquet",
    )

    status = read_status(sandbox.account, NAMES, SOURCES, NOW)

    assert status.is_deployed
    assert status.functions["extract"] is None
    assert status.hours_left == 30.0
    assert status.unconfirmed == []
    assert status.sources["source"].quarantine["payment"] == Quarantined(3, {})


def test_a_refused_look_is_one_line(sandbox: Sandbox) -> None:
    """A right that is missing is named, and not taken for something that is not there."""
    sandbox.start_deployed()
    Faults({"GetFunction": ("AccessDeniedException", "No.")}, times=None).inject(
        sandbox, "before-call"
    )

    with pytest.raises(AwsError) as caught:
        read_status(sandbox.account, NAMES, SOURCES, NOW)

    assert str(caught.value) == (
        "status: GetFunction answered AccessDeniedException: No. `deploy.py policy` prints all "
        "permissions that are needed. Ask for this permission, then run again."
    )
