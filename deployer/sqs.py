"""The queue that keeps events which a function has failed at for good."""

from collections.abc import Mapping
from typing import Any

from deployer.account import Account
from deployer.changes import Change, Resource, Update, converge
from deployer.reading import found
from deployer.removal import remove

# The longest that SQS keeps a message, in seconds: 14 days.
ATTRIBUTES = {"MessageRetentionPeriod": str(14 * 24 * 3600), "SqsManagedSseEnabled": "true"}
ABSENT = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


def ensure_queue(account: Account, name: str, tags: Mapping[str, str]) -> Change:
    """Make an encrypted queue that keeps messages for 14 days; tags of others stay."""
    sqs = account.clients.sqs
    attributes: Any = ATTRIBUTES
    answer = found(lambda: sqs.get_queue_url(QueueName=name), *ABSENT)
    url = answer["QueueUrl"] if answer else ""
    actual = _read(account, url) if url else None
    return converge(
        account,
        Resource(
            kind="queue",
            name=name,
            wanted={**ATTRIBUTES, "tags": {**(actual or {}).get("tags", {}), **tags}},
            actual=actual,
            create=lambda: sqs.create_queue(QueueName=name, Attributes=attributes, tags=tags),
            created_with=frozenset({*ATTRIBUTES, "tags"}),
            updates=[
                Update(
                    frozenset(ATTRIBUTES),
                    lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes),
                ),
                Update(frozenset({"tags"}), lambda: sqs.tag_queue(QueueUrl=url, Tags=tags)),
            ],
        ),
    )


def remove_queue(account: Account, name: str) -> bool:
    """Remove a queue with what is in it; return whether there was one."""
    sqs = account.clients.sqs
    return remove(
        account,
        lambda: sqs.get_queue_url(QueueName=name),
        lambda: sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"]),
        *ABSENT,
    )


def count_messages(account: Account, name: str) -> int | None:
    """Return about how many messages are in a queue, None when there is no such queue."""
    sqs = account.clients.sqs
    answer = found(lambda: sqs.get_queue_url(QueueName=name), *ABSENT)
    if answer is None:
        return None
    attributes = sqs.get_queue_attributes(
        QueueUrl=answer["QueueUrl"], AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


def _read(account: Account, url: str) -> dict[str, Any]:
    sqs = account.clients.sqs
    names: Any = list(ATTRIBUTES)
    attributes: Any = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    present = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
    return {**attributes, "tags": present}
