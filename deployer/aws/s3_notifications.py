"""Notifications by which a new object in a bucket invokes a function.

A bucket has one notification configuration for all: it is read, changed and written back, and what
is not ours is kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found, remove
from deployer.errors import ConflictError

KINDS = (
    "LambdaFunctionConfigurations",
    "QueueConfigurations",
    "TopicConfigurations",
)
CREATED = "s3:ObjectCreated:*"


@dataclass(frozen=True)
class Notification:
    """Invokes a function for every new object of `bucket` whose key begins with `prefix`.

    With an empty prefix, for every new object of the bucket.
    """

    id: str
    bucket: str
    prefix: str
    function_arn: str


def ensure_notification(account: Account, notification: Notification) -> Change:
    """Create or update a notification; the bucket must have the permission to invoke the function.

    Raises:
        ConflictError: another notification of the bucket overlaps with it, which S3 refuses.
    """
    s3 = account.clients.s3
    present = _read(account, notification.bucket)
    _refuse_overlaps(present, notification)
    ours = _find(present, notification.id)
    wanted = {
        "events": [CREATED],
        "prefix": notification.prefix,
        "function": notification.function_arn,
    }

    def put() -> None:
        configuration: Any = _merged(present, notification)
        s3.put_bucket_notification_configuration(
            Bucket=notification.bucket,
            ExpectedBucketOwner=account.id,
            NotificationConfiguration=configuration,
        )

    return converge(
        account,
        Resource(
            kind="notification",
            name=f"{notification.bucket}/{notification.id}",
            wanted=wanted,
            actual=ours and _meaning(ours),
            create=put,
            created_with=frozenset(wanted),
            updates=[Update(frozenset(wanted), put)],
        ),
    )


def remove_notification(account: Account, name: str) -> bool:
    """Remove a notification, named `<bucket>/<id>`; return whether it existed.

    Those of others are kept.
    """
    bucket, _, notification_id = name.partition("/")

    def put_the_others() -> None:
        configuration: Any = _without(_read(account, bucket), notification_id)
        account.clients.s3.put_bucket_notification_configuration(
            Bucket=bucket,
            ExpectedBucketOwner=account.id,
            NotificationConfiguration=configuration,
        )

    return remove(
        account,
        lambda: _find(_read(account, bucket), notification_id),
        put_the_others,
        "NoSuchBucket",
    )


def _read(account: Account, bucket: str) -> dict[str, Any]:
    """Return the configuration of a bucket, an empty one when there is no bucket."""
    s3 = account.clients.s3
    answer = found(
        lambda: s3.get_bucket_notification_configuration(
            Bucket=bucket, ExpectedBucketOwner=account.id
        ),
        "NoSuchBucket",
    )
    return {kind: part for kind, part in (answer or {}).items() if kind != "ResponseMetadata"}


def _merged(present: Mapping[str, Any], notification: Notification) -> dict[str, Any]:
    """Return the configuration with ours, which replaces an older one of ours."""
    others = _without(present, notification.id)
    rules = [{"Name": "prefix", "Value": notification.prefix}]
    ours = {
        "Id": notification.id,
        "LambdaFunctionArn": notification.function_arn,
        "Events": [CREATED],
        **({"Filter": {"Key": {"FilterRules": rules}}} if notification.prefix else {}),
    }
    functions = [*others["LambdaFunctionConfigurations"], ours]
    return {**others, "LambdaFunctionConfigurations": functions}


def _without(present: Mapping[str, Any], notification_id: str) -> dict[str, Any]:
    """Return the configuration without ours."""
    kind = "LambdaFunctionConfigurations"
    others = [entry for entry in present.get(kind, []) if entry.get("Id") != notification_id]
    return {**present, kind: others}


def _find(present: Mapping[str, Any], notification_id: str) -> Mapping[str, Any] | None:
    return next((entry for entry in _all(present) if entry.get("Id") == notification_id), None)


def _refuse_overlaps(present: Mapping[str, Any], notification: Notification) -> None:
    for other in _all(present):
        theirs = _prefix(other)
        overlap = theirs.startswith(notification.prefix) or notification.prefix.startswith(theirs)
        creates = any(event.startswith("s3:ObjectCreated") for event in other["Events"])
        if other.get("Id") != notification.id and overlap and creates:
            raise ConflictError(
                f"bucket {notification.bucket}: its notification {other.get('Id')!r} for the "
                f"prefix {theirs!r} overlaps with ours for {notification.prefix!r}, which S3 does "
                "not allow. Remove it or change its prefix, then run again."
            )


def _all(present: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (entry for kind in KINDS for entry in present.get(kind, []))


def _meaning(configuration: Mapping[str, Any]) -> dict[str, object]:
    return {
        "events": configuration["Events"],
        "prefix": _prefix(configuration),
        "function": configuration.get("LambdaFunctionArn"),
    }


def _prefix(configuration: Mapping[str, Any]) -> str:
    """Return the prefix of a configuration; S3 answers `Prefix` where it was given `prefix`."""
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return next((rule["Value"] for rule in rules if rule["Name"].lower() == "prefix"), "")
