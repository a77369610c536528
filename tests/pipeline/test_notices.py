"""Notices of loaded batches, from the load to a subscriber in the local AWS."""

import json
from collections.abc import Iterator

import boto3
import pytest

from functions.common import notices
from local.emulator import ACCOUNT, REGION
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected

TOPIC = "every-batch-notices"
TOPIC_ARN = f"arn:aws:sns:{REGION}:{ACCOUNT}:{TOPIC}"


@pytest.fixture
def notified(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Functions whose user chose a notice of every batch."""
    monkeypatch.setenv("NOTIFY", "every-batch")
    monkeypatch.setenv("NOTICE_TOPIC_ARN", TOPIC_ARN)
    notices._sns.cache_clear()
    yield
    notices._sns.cache_clear()


def test_each_loaded_batch_is_announced_once(functions: Functions, notified: None) -> None:
    """A run that loads something sends one message, and one that loads nothing sends none."""
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    queue_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{TOPIC}"
    from_the_topic = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [from_the_topic]})
    url = sqs.create_queue(QueueName=TOPIC, Attributes={"Policy": policy})["QueueUrl"]
    sns.create_topic(Name=TOPIC)
    sns.subscribe(TopicArn=TOPIC_ARN, Protocol="sqs", Endpoint=queue_arn)

    functions.run()
    functions.run()

    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
    subjects = [json.loads(message["Body"])["Subject"] for message in received["Messages"]]
    assert subjects == ["Batch 1 is in the warehouse"]
    sns.delete_topic(TopicArn=TOPIC_ARN)
    sqs.delete_queue(QueueUrl=url)


def test_a_topic_that_is_gone_stops_no_load(functions: Functions, notified: None) -> None:
    """The batch is loaded and marked although nobody could be notified."""
    functions.run()

    assert current(functions.warehouse) == expected(functions.source)
    assert functions.keys(functions.processed, "loaded/source/") == [
        "loaded/source/0000000001.json"
    ]
