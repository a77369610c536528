"""Answers of AWS to a removal: late, refusing inside a success, or not yet true."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from deployer.aws import lambda_functions, logs, s3
from deployer.aws import schedules as events
from deployer.aws.account import Account
from deployer.aws.waiting import Waited
from deployer.errors import AwsError
from deployer.receipt import Entry
from deployer.resources.names import FunctionUse, Names
from deployer.teardown import Teardown
from tests.aws.faults import Faults, stubbed
from tests.aws.sandbox import Sandbox

NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
DATABASES = ("source", "warehouse")
LOAD = "totesys-etl-dev-load"
# The first answer to each of these, in the words of AWS.
LATE = {
    "DeleteBucket": ("BucketNotEmpty", "The bucket you tried to delete is not empty"),
    "DeleteFunction": (
        "ResourceConflictException",
        f"The operation cannot be performed at this time. An update is in progress for {LOAD}",
    ),
    "DeleteLogGroup": (
        "OperationAbortedException",
        "A conflicting operation is currently in progress against this resource.",
    ),
    "DeleteRole": ("DeleteConflict", "Cannot delete entity, must delete policies first."),
    "DeleteRule": ("ValidationException", "Rule can't be deleted since it has targets."),
    "PutBucketNotificationConfiguration": (
        "OperationAborted",
        "A conflicting conditional operation is currently in progress against this resource.",
    ),
    "RemoveTargets": (
        "ConcurrentModificationException",
        f"Rule {LOAD}-schedule was concurrently modified",
    ),
}


def teardown(sandbox: Sandbox) -> Teardown:
    return Teardown(sandbox.account, NAMES, sandbox.events.append, DATABASES)


def test_every_removal_may_come_too_early_once(sandbox: Sandbox, waits: list[Waited]) -> None:
    """Each removal fails once with the error that AWS gives, and nothing is left all the same."""
    sandbox.start_deployed()
    faults = Faults(LATE)
    faults.inject(sandbox, "before-call")

    receipt = teardown(sandbox).remove()

    assert faults.given == dict.fromkeys(LATE, 1)
    assert {entry.outcome for entry in receipt.entries} == {"removed"}
    assert {wait.waiting_for for wait in waits} >= {
        "EventBridge to see that the rule's targets are gone",
        "IAM to see that the role's policies are gone",
        "S3 to finish an earlier change of the bucket",
        "another change of the log group",
        "the function's update in progress",
        "the last objects to be written to the bucket",
    }


@pytest.mark.parametrize("moments", [3, None])
def test_gone_is_what_is_not_found_any_more(
    sandbox: Sandbox, sleeps: list[float], waits: list[Waited], moments: int | None
) -> None:
    """AWS agreeing to a removal is not its end: the thing is waited for, until patience ends."""
    sandbox.start_deployed()
    client = sandbox.account.clients.lambda_
    pretend: Any = (AWSResponse("", 204, HTTPHeaders(), None), {})
    agreed = iter([pretend])

    def agree(params: dict[str, Any], **_: object) -> Any:
        return next(agreed, None) if LOAD in params["url_path"] else None

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == moments:
            client.delete_function(FunctionName=LOAD)

    sleeps.clear()
    client.meta.events.register("before-call.lambda.DeleteFunction", agree)
    patience = replace(sandbox.account.patience, sleep=sleep)
    sandbox.account = replace(sandbox.account, patience=patience)

    receipt = teardown(sandbox).remove()

    (load,) = (e for e in receipt.entries if e.kind == "function" and e.name == LOAD)
    if moments:
        assert load.outcome == "removed"
        assert Waited(f"function {LOAD} to disappear", 3.5) in waits
    else:
        assert load.why == f"Waited 186 s for function {LOAD} to disappear. Run again to continue."


def test_a_target_can_stay_inside_a_success(account: Account) -> None:
    """A target that EventBridge does not remove, in a 200 answer, is an error with its reason."""
    with stubbed(account.clients.events) as stubber:
        stubber.add_response("describe_rule", {"Name": "every-minute"})
        stubber.add_response(
            "list_targets_by_rule", {"Targets": [{"Id": "function", "Arn": "arn:aws:lambda"}]}
        )
        failed = {
            "TargetId": "function",
            "ErrorCode": "ManagedRuleException",
            "ErrorMessage": "Not yours.",
        }
        stubber.add_response("remove_targets", {"FailedEntryCount": 1, "FailedEntries": [failed]})
        with pytest.raises(AwsError) as caught:
            events.remove_rule(account, "every-minute")

    assert str(caught.value) == (
        "rule every-minute: its target was not removed (ManagedRuleException): Not yours. Run "
        "again."
    )


def test_an_object_can_stay_inside_a_success(account: Account) -> None:
    """An object that S3 does not delete, in a 200 answer, is an error with its key and reason."""
    ours = {"Bucket": "lake", "ExpectedBucketOwner": "123456789012"}
    versions = [{"Key": "a", "VersionId": "1"}, {"Key": "b", "VersionId": "2"}]
    with stubbed(account.clients.s3) as stubber:
        stubber.add_response("head_bucket", {}, ours)
        stubber.add_response(
            "list_object_versions", {"Versions": versions[:1], "DeleteMarkers": versions[1:]}, ours
        )
        refused = {"Key": "b", "VersionId": "2", "Code": "AccessDenied", "Message": "Locked."}
        stubber.add_response(
            "delete_objects",
            {"Errors": [refused]},
            {**ours, "Delete": {"Objects": versions, "Quiet": True}},
        )
        with pytest.raises(AwsError) as caught:
            s3.remove_bucket(account, "lake")

    assert str(caught.value) == (
        "bucket lake: 1 objects cannot be deleted, the first is b (AccessDenied): Locked."
    )


def test_what_somebody_else_removes_meanwhile_is_gone(account: Account) -> None:
    """A thing that goes between our look and our removal is no error."""
    with stubbed(account.clients.lambda_) as stubber:
        stubber.add_response("get_function", {})
        stubber.add_client_error("delete_function", "ResourceNotFoundException")

        assert lambda_functions.remove_function(account, "load")


def test_an_unconfirmed_subscription_is_let_go(account: Account) -> None:
    """SNS cannot remove an e-mail address that never answered: that is a note, and no failure."""
    arn = NAMES.topic_arn

    def subscription(email: str, subscription_arn: str) -> dict[str, str]:
        return {"Protocol": "email", "Endpoint": email, "SubscriptionArn": subscription_arn}

    there = {
        "Subscriptions": [
            subscription("new@example.com", "PendingConfirmation"),
            subscription("team@example.com", f"{arn}:1"),
        ]
    }
    with stubbed(account.clients.sns) as stubber:
        stubber.add_response("list_subscriptions_by_topic", there, {"TopicArn": arn})
        stubber.add_response("get_topic_attributes", {"Attributes": {}}, {"TopicArn": arn})
        stubber.add_response("list_subscriptions_by_topic", there, {"TopicArn": arn})
        stubber.add_response("unsubscribe", {}, {"SubscriptionArn": f"{arn}:1"})
        stubber.add_response("delete_topic", {}, {"TopicArn": arn})
        for _ in ("gone", "after a quiet time"):
            stubber.add_client_error("get_topic_attributes", "NotFound")
        receipt = Teardown(account, NAMES, lambda _: None, DATABASES).remove()

    assert receipt.is_complete
    assert [entry for entry in receipt.entries if entry.outcome != "already gone"] == [
        Entry("topic", "totesys-etl-dev-alerts", "removed"),
        Entry(
            "subscription",
            "new@example.com",
            "lapses",
            "it was never confirmed and cannot be removed; SNS removes it within 48 hours",
        ),
    ]


def test_what_we_do_not_make_is_left_to_its_owner(account: Account) -> None:
    """A thing of another kind that carries our tags is not removed, and not ignored."""
    database = "arn:aws:rds:eu-west-2:123456789012:db:totesys"
    with stubbed(account.clients.tagging) as stubber:
        filters = [
            {"Key": "project", "Values": ["totesys-etl"]},
            {"Key": "stage", "Values": ["dev"]},
            {"Key": "managed-by", "Values": ["source-to-warehouse"]},
        ]
        stubber.add_response(
            "get_resources",
            {"ResourceTagMappingList": [{"ResourceARN": database}]},
            {"TagFilters": filters},
        )
        receipt = Teardown(account, NAMES, lambda _: None, DATABASES).remove()

    assert [entry for entry in receipt.entries if entry.outcome != "already gone"] == [
        Entry(
            "other",
            database,
            "stays",
            f"{database}: it has the tags of this deployment, but no deployment creates such a "
            "resource. Remove it, or its tags, yourself.",
        )
    ]


def test_a_function_runs_from_start_to_report(account: Account) -> None:
    """A request with a START line and no REPORT line is running; other lines say nothing."""
    lines = [
        "START RequestId: one Version: $LATEST",
        "START RequestId: two Version: $LATEST",
        "END RequestId: one",
        "REPORT RequestId: one Duration: 2 ms",
        '{"message": "RequestId: three"}',
        "RequestId:",
    ]
    with stubbed(account.clients.logs) as stubber:
        stubber.add_response(
            "filter_log_events",
            {"events": [{"message": line} for line in lines]},
            {"logGroupName": "/logs", "startTime": 1500, "filterPattern": '"RequestId:"'},
        )

        assert logs.running_requests(account, "/logs", since=1.5) == {"two"}


def test_a_log_that_may_not_be_read_stops_nothing(sandbox: Sandbox) -> None:
    """Without the right to see which functions run, they are not waited for."""
    sandbox.start_deployed()
    faults = Faults({"FilterLogEvents": ("AccessDeniedException", "No.")}, times=None)
    faults.inject(sandbox, "before-call")

    assert teardown(sandbox).remove().is_complete
    assert faults.given == {"FilterLogEvents": len(get_args(FunctionUse))}
