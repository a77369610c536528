"""Event sources: queues whose messages Lambda passes to a function in batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found, remove

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef

ABSENT = "ResourceNotFoundException"
SETTLE_SECONDS = 180
CHANGING = ("Creating", "Enabling", "Disabling", "Updating")
DELETING = "Deleting"


@dataclass(frozen=True)
class EventSource:
    """A queue whose messages Lambda passes to a function.

    At most `batch` messages at once, for which Lambda waits up to `window` seconds, and at most
    `concurrency` runs at a time. The function reports which messages it failed to process.
    """

    queue: str
    function: str
    batch: int = 10_000
    window: int = 5
    concurrency: int = 2

    @property
    def name(self) -> str:
        """What identifies it."""
        return f"{self.queue}/{self.function}"

    @property
    def configuration(self) -> dict[str, Any]:
        """The parameters that create and update share."""
        return {
            "BatchSize": self.batch,
            "MaximumBatchingWindowInSeconds": self.window,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": self.concurrency},
        }


def ensure_event_source(account: Account, source: EventSource, tags: Mapping[str, str]) -> Change:
    """Make a queue an event source of a function, and wait until it is ready.

    One that was disabled is enabled again, and one that is being removed is created again once it
    is gone. Its tags are not compared.
    """
    client = account.clients.lambda_
    configuration = source.configuration
    actual = _find(account, source.name)

    def create() -> None:
        account.patience.until(
            lambda: not _mappings(account, source.name),
            f"the removal of event source {source.name}",
            SETTLE_SECONDS,
        )
        client.create_event_source_mapping(
            EventSourceArn=_queue_arn(account, source.queue),
            FunctionName=source.function,
            Enabled=True,
            Tags=tags,
            **configuration,
        )
        _settle(account, source)

    def update() -> None:
        _settle(account, source)
        client.update_event_source_mapping(
            UUID=actual["UUID"] if actual else "", Enabled=True, **configuration
        )
        _settle(account, source)

    wanted = {**configuration, "enabled": True}
    return converge(
        account,
        Resource(
            kind="event source",
            name=source.name,
            wanted=wanted,
            actual=None if actual is None else _read(actual),
            create=create,
            created_with=frozenset(wanted),
            updates=[] if actual is None else [Update(frozenset(wanted), update)],
        ),
    )


def remove_event_source(account: Account, name: str) -> bool:
    """Remove an event source, named <queue>/<function>; return whether it existed."""
    client = account.clients.lambda_

    def delete() -> None:
        if there := _find(account, name):
            client.delete_event_source_mapping(UUID=there["UUID"])

    return remove(account, lambda: _mappings(account, name) or None, delete, ABSENT)


def is_enabled(account: Account, name: str) -> bool | None:
    """Return whether an event source invokes its function; None if it does not exist."""
    mapping = _find(account, name)
    return None if mapping is None else bool(_read(mapping)["enabled"])


def name_of(account: Account, uuid: str) -> str | None:
    """Return the name of an event source, None if there is none."""
    client = account.clients.lambda_
    answer = found(lambda: client.get_event_source_mapping(UUID=uuid), ABSENT)
    if answer is None:
        return None
    return "/".join(answer[arn].rpartition(":")[2] for arn in ("EventSourceArn", "FunctionArn"))


def _find(account: Account, name: str) -> "EventSourceMappingConfigurationTypeDef | None":
    """Return an event source; one that is being removed does not count."""
    there = (each for each in _mappings(account, name) if each["State"] != DELETING)
    return next(there, None)


def _mappings(account: Account, name: str) -> list["EventSourceMappingConfigurationTypeDef"]:
    queue, _, function = name.partition("/")
    pages = account.clients.lambda_.get_paginator("list_event_source_mappings")
    return [
        mapping
        for page in pages.paginate(EventSourceArn=_queue_arn(account, queue))
        for mapping in page["EventSourceMappings"]
        if mapping["FunctionArn"].rpartition(":")[2] == function
    ]


def _read(mapping: "EventSourceMappingConfigurationTypeDef") -> dict[str, Any]:
    return {
        "BatchSize": mapping.get("BatchSize"),
        "MaximumBatchingWindowInSeconds": mapping.get("MaximumBatchingWindowInSeconds"),
        "FunctionResponseTypes": mapping.get("FunctionResponseTypes"),
        "ScalingConfig": mapping.get("ScalingConfig"),
        "enabled": mapping["State"] not in ("Disabled", "Disabling"),
    }


def _settle(account: Account, source: EventSource) -> None:
    def is_settled() -> bool:
        there = _find(account, source.name)
        return there is not None and there["State"] not in CHANGING

    account.patience.until(
        is_settled,
        f"event source {source.name} to become ready",
        SETTLE_SECONDS,
    )


def _queue_arn(account: Account, queue: str) -> str:
    return f"arn:{account.partition}:sqs:{account.region}:{account.id}:{queue}"
