"""Queues: of events that functions failed to process, of posted events, and of dead letters."""

import json
from collections.abc import Mapping
from typing import Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found, remove

# The longest that SQS keeps a message, in seconds: 14 days.
KEPT_SECONDS = 14 * 24 * 3600
KEY = "KmsMasterKeyId"
ABSENT = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
# Of messages that wait, that are being processed, and that are delayed.
COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)

Attributes = Mapping[str, Any]


def ensure_queue(
    account: Account,
    name: str,
    tags: Mapping[str, str],
    more: Attributes | None = None,
    *,
    key: str | None = None,
) -> Change:
    """Create or update an encrypted queue that keeps messages for 14 days; tags of others are kept.

    `more` are further attributes by AWS's names: numbers, and policies as documents. Messages are
    encrypted by the `key` with an ARN, or by SQS's own.
    """
    sqs = account.clients.sqs
    wanted: dict[str, Any] = {
        "MessageRetentionPeriod": KEPT_SECONDS,
        **({KEY: key} if key else {"SqsManagedSseEnabled": True}),
        **(more or {}),
    }
    attributes: Any = {
        name: value if name == KEY else json.dumps(value) for name, value in wanted.items()
    }
    answer = found(lambda: sqs.get_queue_url(QueueName=name), *ABSENT)
    url = answer["QueueUrl"] if answer else ""
    actual = _read(account, url, wanted) if url else None
    return converge(
        account,
        Resource(
            kind="queue",
            name=name,
            wanted={**wanted, "tags": {**(actual or {}).get("tags", {}), **tags}},
            actual=actual,
            create=lambda: sqs.create_queue(QueueName=name, Attributes=attributes, tags=tags),
            created_with=frozenset({*wanted, "tags"}),
            updates=[
                Update(
                    frozenset(wanted),
                    lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes),
                ),
                Update(frozenset({"tags"}), lambda: sqs.tag_queue(QueueUrl=url, Tags=tags)),
            ],
        ),
    )


def remove_queue(account: Account, name: str) -> bool:
    """Remove a queue with its messages; return whether it existed."""
    sqs = account.clients.sqs
    return remove(
        account,
        lambda: sqs.get_queue_url(QueueName=name),
        lambda: sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"]),
        *ABSENT,
    )


def count_messages(account: Account, name: str) -> int | None:
    """Return the approximate number of messages in a queue, None when there is no such queue."""
    sqs = account.clients.sqs
    names: Any = list(COUNTS)
    answer = found(lambda: sqs.get_queue_url(QueueName=name), *ABSENT)
    if answer is None:
        return None
    url = answer["QueueUrl"]
    counts: Any = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(counts.get(each, 0)) for each in COUNTS)


def _read(account: Account, url: str, wanted: Attributes) -> dict[str, Any]:
    sqs = account.clients.sqs
    answer: Any = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    attributes = answer.get("Attributes", {})
    present = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
    read = {
        name: attributes[name] if name == KEY else json.loads(attributes[name])
        for name in wanted
        if name in attributes
    }
    return {**read, "tags": present}
