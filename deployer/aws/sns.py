"""The topic of alarms and notices, and the e-mail address that is subscribed to it.

Without a key of the user's the topic is not encrypted: alarms cannot use the key that AWS manages
for SNS, and a key of our own would cost money for messages that contain no data.
https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found, one_each, remove
from deployer.resources.resource_policies import Policy

ABSENT = "NotFound"
KEY = "KmsMasterKeyId"
MAX_SENDER = 100
# Listed instead of the ARN of a subscription whose owner has not confirmed it.
UNCONFIRMED = "PendingConfirmation"
DELETED = "Deleted"
# The tag of the topic with a hash of the address that this deployment has subscribed.
MARK = "alert-email"


def ensure_topic(
    account: Account,
    name: str,
    arn: str,
    policy: Policy,
    tags: Mapping[str, str],
    *,
    key: str | None = None,
) -> Change:
    """Create or update a topic; its name is the sender of its e-mails, tags of others are kept.

    It is encrypted by the `key` with an ARN, if there is one.
    """
    sns = account.clients.sns
    actual = _read_topic(account, arn)
    sender = name[:MAX_SENDER]
    attributes = {"DisplayName": sender, "Policy": json.dumps(policy)}
    attributes |= {KEY: key} if key else {}
    tag_list: Any = [{"Key": key, "Value": value} for key, value in tags.items()]

    def set_attribute(attribute: str) -> None:
        sns.set_topic_attributes(
            TopicArn=arn, AttributeName=attribute, AttributeValue=attributes[attribute]
        )

    return converge(
        account,
        Resource(
            kind="topic",
            name=name,
            wanted={
                "sender": sender,
                "policy": policy,
                **({"key": key} if key else {}),
                "tags": {**(actual or {}).get("tags", {}), **tags},
            },
            actual=actual,
            create=lambda: sns.create_topic(Name=name, Attributes=attributes, Tags=tag_list),
            created_with=frozenset({"sender", "policy", "key", "tags"}),
            updates=one_each(
                {
                    "sender": lambda: set_attribute("DisplayName"),
                    "policy": lambda: set_attribute("Policy"),
                    "key": lambda: set_attribute(KEY),
                    "tags": lambda: sns.tag_resource(ResourceArn=arn, Tags=tag_list),
                }
            ),
        ),
    )


def ensure_subscription(account: Account, topic: str, arn: str, email: str | None) -> Change:
    """Subscribe an e-mail address, which replaces the one that was subscribed here before.

    None subscribes nobody. Subscriptions of others are kept. A former address that was never
    confirmed cannot be removed: SNS removes it after 48 hours.
    """
    mark, wanted_mark = _read_mark(account, arn), mark_of(email) if email else None
    there = _read_emails(account, arn) if mark or email else {}
    ours = next((address for address in there if mark_of(address) == mark), None)
    former = ours if mark != wanted_mark else None
    before = email if ours and not former else _shown(former, there)

    def replace() -> None:
        _subscribe(account, arn, email, there)
        if former and there[former] != UNCONFIRMED:
            account.clients.sns.unsubscribe(SubscriptionArn=there[former])
        # Last, so that a deployment that continues from here recognises the former address as ours.
        _set_mark(account, arn, email)

    return converge(
        account,
        Resource(
            kind="subscription",
            name=topic,
            wanted={"e-mail": email},
            actual={"e-mail": before} if before or not email else None,
            create=replace,
            created_with=frozenset({"e-mail"}),
            updates=[Update(frozenset({"e-mail"}), replace)],
        ),
    )


def unconfirmed(account: Account, arn: str) -> list[str]:
    """Return the addresses that have not confirmed their subscription."""
    return [email for email, there in _read_emails(account, arn).items() if there == UNCONFIRMED]


def remove_topic(account: Account, arn: str) -> bool:
    """Remove a topic with its subscriptions; return whether it existed.

    Unconfirmed ones cannot be removed: SNS removes them after 48 hours.
    """
    sns = account.clients.sns

    def unsubscribe_and_delete() -> None:
        pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
        subscriptions = [
            entry["SubscriptionArn"] for page in pages for entry in page["Subscriptions"]
        ]
        # Otherwise SNS lists them, without their topic, until it removes them.
        for subscription in subscriptions:
            if subscription not in (UNCONFIRMED, DELETED):
                sns.unsubscribe(SubscriptionArn=subscription)
        sns.delete_topic(TopicArn=arn)

    return remove(
        account, lambda: sns.get_topic_attributes(TopicArn=arn), unsubscribe_and_delete, ABSENT
    )


def _read_topic(account: Account, arn: str) -> dict[str, Any] | None:
    sns = account.clients.sns
    answer = found(lambda: sns.get_topic_attributes(TopicArn=arn), ABSENT)
    if answer is None:
        return None
    attributes = answer["Attributes"]
    return {
        "sender": attributes.get("DisplayName"),
        "policy": json.loads(attributes["Policy"]) if attributes.get("Policy") else None,
        "key": attributes.get(KEY),
        "tags": _read_tags(account, arn),
    }


def _read_tags(account: Account, arn: str) -> dict[str, str]:
    tags = account.clients.sns.list_tags_for_resource(ResourceArn=arn).get("Tags", [])
    return {tag["Key"]: tag["Value"] for tag in tags}


def _read_mark(account: Account, arn: str) -> str | None:
    tags = found(lambda: _read_tags(account, arn), "ResourceNotFound", "ResourceNotFoundException")
    return tags.get(MARK) if tags else None


def _read_emails(account: Account, arn: str) -> dict[str, str]:
    """Return the ARN of each subscription, or UNCONFIRMED, by its address."""
    pages = account.clients.sns.get_paginator("list_subscriptions_by_topic")
    subscriptions = found(
        lambda: [
            subscription
            for page in pages.paginate(TopicArn=arn)
            for subscription in page["Subscriptions"]
        ],
        ABSENT,
    )
    return {
        subscription["Endpoint"]: subscription["SubscriptionArn"]
        for subscription in subscriptions or []
        if subscription["Protocol"] == "email" and subscription["SubscriptionArn"] != DELETED
    }


def _subscribe(account: Account, arn: str, email: str | None, there: Mapping[str, str]) -> None:
    """Subscribe an address unless it is subscribed: SNS would send it another e-mail."""
    if email and mark_of(email) not in {mark_of(address) for address in there}:
        account.clients.sns.subscribe(TopicArn=arn, Protocol="email", Endpoint=email)


def _set_mark(account: Account, arn: str, email: str | None) -> None:
    sns = account.clients.sns
    if email:
        sns.tag_resource(ResourceArn=arn, Tags=[{"Key": MARK, "Value": mark_of(email)}])
    else:
        sns.untag_resource(ResourceArn=arn, TagKeys=[MARK])


def mark_of(email: str) -> str:
    """Return the tag value that marks an address as ours: a hash, as tags allow few characters."""
    return hashlib.sha256(email.lower().encode()).hexdigest()[:16]


def _shown(email: str | None, there: Mapping[str, str]) -> str | None:
    if email and there[email] == UNCONFIRMED:
        return f"{email} (never confirmed: SNS removes it within 48 hours)"
    return email
