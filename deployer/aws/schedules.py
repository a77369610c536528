"""Rules that fire on a schedule, and the function that each invokes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found, remove
from deployer.errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import (
        PutTargetsResponseTypeDef,
        RemoveTargetsResponseTypeDef,
    )

TARGET_ID = "function"
# The rule fires again soon: an older event is superseded.
RETRY_POLICY = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 300}
ABSENT = "ResourceNotFoundException"


def ensure_rule(
    account: Account, name: str, arn: str, schedule: str, tags: Mapping[str, str]
) -> Change:
    """Create or update a rule that fires on `schedule`, such as `rate(1 minute)`.

    Tags of others are kept.
    """
    events = account.clients.events
    actual = _read_rule(account, name, arn)
    tag_list: Any = [{"Key": key, "Value": value} for key, value in tags.items()]

    def put() -> None:
        events.put_rule(Name=name, ScheduleExpression=schedule, State="ENABLED")

    return converge(
        account,
        Resource(
            kind="rule",
            name=name,
            wanted={
                "schedule": schedule,
                "state": "ENABLED",
                "tags": {**(actual or {}).get("tags", {}), **tags},
            },
            actual=actual,
            create=lambda: events.put_rule(
                Name=name, ScheduleExpression=schedule, State="ENABLED", Tags=tag_list
            ),
            created_with=frozenset({"schedule", "state", "tags"}),
            updates=[
                Update(frozenset({"schedule", "state"}), put),
                Update(
                    frozenset({"tags"}),
                    lambda: events.tag_resource(ResourceARN=arn, Tags=tag_list),
                ),
            ],
        ),
    )


def ensure_target(account: Account, rule: str, function_arn: str) -> Change:
    """Set a function as the target of a rule; other targets are kept."""
    target: Any = {"Id": TARGET_ID, "Arn": function_arn, "RetryPolicy": RETRY_POLICY}

    def put() -> None:
        answer = account.clients.events.put_targets(Rule=rule, Targets=[target])
        _check(answer, rule, "set")

    wanted = {"function": function_arn, "retries": RETRY_POLICY}
    return converge(
        account,
        Resource(
            kind="target",
            name=f"{rule}/{TARGET_ID}",
            wanted=wanted,
            actual=_read_target(account, rule),
            create=put,
            created_with=frozenset(wanted),
            updates=[Update(frozenset(wanted), put)],
        ),
    )


def remove_rule(account: Account, name: str) -> bool:
    """Remove a rule with all its targets; return whether it existed."""
    events = account.clients.events

    def clear_and_delete() -> None:
        targets = events.list_targets_by_rule(Rule=name)["Targets"]
        if targets:
            ids = [target["Id"] for target in targets]
            _check(events.remove_targets(Rule=name, Ids=ids), name, "removed")
        events.delete_rule(Name=name)

    return remove(account, lambda: events.describe_rule(Name=name), clear_and_delete, ABSENT)


def _read_rule(account: Account, name: str, arn: str) -> dict[str, Any] | None:
    events = account.clients.events
    rule = found(lambda: events.describe_rule(Name=name), ABSENT)
    if rule is None:
        return None
    tags = events.list_tags_for_resource(ResourceARN=arn)["Tags"]
    return {
        "schedule": rule.get("ScheduleExpression"),
        "state": rule.get("State"),
        "tags": {tag["Key"]: tag["Value"] for tag in tags},
    }


def _read_target(account: Account, rule: str) -> dict[str, object] | None:
    events = account.clients.events
    answer = found(lambda: events.list_targets_by_rule(Rule=rule), ABSENT)
    for target in answer.get("Targets", []) if answer else []:
        if target["Id"] == TARGET_ID:
            return {"function": target["Arn"], "retries": target.get("RetryPolicy")}
    return None


def _check(
    answer: "PutTargetsResponseTypeDef | RemoveTargetsResponseTypeDef", rule: str, what: str
) -> None:
    """Raise the error inside an answer that has the status of a success."""
    if answer["FailedEntryCount"]:
        failed = answer["FailedEntries"][0]
        code, message = failed.get("ErrorCode"), failed.get("ErrorMessage")
        raise AwsError(f"rule {rule}: its target was not {what} ({code}): {message} Run again.")
