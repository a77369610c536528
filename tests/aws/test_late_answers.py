"""Errors of AWS that go away by themselves do not change where a deployment ends.

moto never answers late, so the answers are put in before or after its own.
"""

import pytest

from deployer.aws.changes import Change
from deployer.aws.waiting import Waited
from deployer.errors import AwsError
from tests.aws.faults import Faults
from tests.aws.sandbox import Sandbox, pending

NO_BUCKET = ("NoSuchBucket", "The specified bucket does not exist")
CONCURRENT = (
    "ConcurrentModificationException",
    "Rule totesys-etl-dev-load-schedule was concurrently modified",
)
ABORTED_LOGS = (
    "OperationAbortedException",
    "A conflicting operation is currently in progress against this resource. Please try again.",
)
ROLE_UNKNOWN = (
    "InvalidParameterValueException",
    "The role defined for the function cannot be assumed by Lambda.",
)
LATE = {
    "AddPermission": (
        "ResourceConflictException",
        (
            "The operation cannot be performed at this time. An update is in progress for "
            "resource: arn:aws:lambda:eu-west-2:123456789012:function:totesys-etl-dev-load"
        ),
    ),
    "CreateBucket": (
        "OperationAborted",
        (
            "A conflicting conditional operation is currently in progress against this resource. "
            "Please try again."
        ),
    ),
    "CreateFunction": ROLE_UNKNOWN,
    "CreateLogGroup": ABORTED_LOGS,
    "CreateQueue": (
        "AWS.SimpleQueueService.QueueDeletedRecently",
        (
            "You must wait 60 seconds after deleting a queue before you can create another with "
            "the same name."
        ),
    ),
    "CreateRole": ("MalformedPolicyDocument", "Invalid principal in policy: SERVICE"),
    "CreateSecret": (
        "InvalidRequestException",
        (
            "You can't create this secret because a secret with this name is already scheduled for "
            "deletion."
        ),
    ),
    "PutBucketEncryption": NO_BUCKET,
    "PutBucketLifecycleConfiguration": NO_BUCKET,
    "PutBucketNotificationConfiguration": (
        "InvalidArgument",
        "Unable to validate the following destination configurations",
    ),
    "PutBucketPolicy": NO_BUCKET,
    "PutBucketTagging": NO_BUCKET,
    "PutBucketVersioning": NO_BUCKET,
    "PutFunctionEventInvokeConfig": (
        "InvalidParameterValueException",
        (
            "The function's execution role does not have permissions to call SendMessage on "
            "arn:aws:sqs:eu-west-2:123456789012:totesys-etl-dev-failed-events"
        ),
    ),
    "PutObject": NO_BUCKET,
    "PutPublicAccessBlock": NO_BUCKET,
    "PutRetentionPolicy": ABORTED_LOGS,
    "PutRolePolicy": ("NoSuchEntity", "The role with name x cannot be found."),
    "PutRule": CONCURRENT,
    "PutTargets": CONCURRENT,
    "SetAlarmState": ("ResourceNotFound", ""),
    "Subscribe": ("NotFound", "Topic does not exist"),
    "UpdateFunctionCode": (
        "ResourceConflictException",
        (
            "The operation cannot be performed at this time. An update is in progress for "
            "resource: arn:aws:lambda:eu-west-2:123456789012:function:totesys-etl-dev-load"
        ),
    ),
}
# Answers to the second attempt of a create, when that to the first was lost on the way.
MADE_ALREADY = {
    "AddPermission": (
        "ResourceConflictException",
        (
            "The statement id (rule-load-schedule) provided already exists. Please provide a new "
            "statement id, or remove the existing statement."
        ),
    ),
    "CreateBucket": (
        "BucketAlreadyOwnedByYou",
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "CreateFunction": (
        "ResourceConflictException",
        "Function already exist: totesys-etl-dev-load",
    ),
    "CreateLogGroup": ("ResourceAlreadyExistsException", "The specified log group already exists"),
    "CreateRole": (
        "EntityAlreadyExists",
        "Role with name totesys-etl-dev-eu-west-2-load already exists.",
    ),
    "CreateSecret": (
        "ResourceExistsException",
        "The operation failed because the secret totesys-etl/dev/source already exists.",
    ),
    "CreateTopic": (
        "InvalidParameter",
        "Invalid parameter: Tags Reason: Topic already exists with different tags",
    ),
}


def test_every_write_may_come_too_early_once(sandbox: Sandbox, waits: list[Waited]) -> None:
    """Each write fails once with the error that AWS gives, and everything is deployed."""
    faults = Faults(LATE)
    faults.inject(sandbox, "before-call")

    changes = sandbox.deploy()
    sandbox.packages.code["load"] = "second"
    sandbox.deploy()

    assert faults.given == dict.fromkeys(LATE, 1)
    assert {change.action for change in changes} == {"created"}
    assert pending(sandbox.plan()) == []
    assert {wait.waiting_for for wait in waits} == {
        "CloudWatch to see the new alarm",
        "IAM to see its new role",
        "IAM to see the principal",
        "Lambda to see the new role",
        "S3 to finish an earlier change of the bucket",
        "S3 to see the new bucket",
        "S3 to see the new permission",
        "SNS to see the new topic",
        "another change of the log group",
        "another change of the rule",
        "the deleted queue to disappear (60 s)",
        "the deleted secret to disappear",
        "the function's update in progress",
    }


def test_an_answer_may_get_lost(sandbox: Sandbox) -> None:
    """A create that was made, but is answered with "exists already", is no error."""
    faults = Faults(MADE_ALREADY)
    faults.inject(sandbox, "after-call")

    sandbox.deploy()

    assert faults.given == dict.fromkeys(MADE_ALREADY, 1)
    assert pending(sandbox.plan()) == []


def test_a_replaced_permission_survives_an_update_in_progress(sandbox: Sandbox) -> None:
    """A statement that is removed, and cannot be added at once, is added later."""
    sandbox.start_deployed()
    client = sandbox.account.clients.lambda_
    client.remove_permission(FunctionName="totesys-etl-dev-load", StatementId="rule-load-schedule")
    client.add_permission(
        FunctionName="totesys-etl-dev-load",
        StatementId="rule-load-schedule",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
    )
    Faults({"AddPermission": LATE["AddPermission"]}).inject(sandbox, "before-call")

    sandbox.deploy()

    assert pending(sandbox.plan()) == []


def test_a_slow_role_is_waited_for_and_the_wait_is_reported(
    sandbox: Sandbox, waits: list[Waited]
) -> None:
    """A role that takes minutes to reach Lambda delays the deployment, and nothing else."""
    Faults({"CreateFunction": ROLE_UNKNOWN}, times=40).inject(sandbox, "before-call")

    sandbox.deploy()

    assert pending(sandbox.plan()) == []
    reported = [wait for wait in waits if wait.waiting_for == "Lambda to see the new role"]
    assert max(wait.seconds for wait in reported) > 60


def test_a_role_that_never_arrives_ends_in_what_aws_said(
    sandbox: Sandbox, sleeps: list[float]
) -> None:
    """After 15 minutes the last answer of AWS is passed on, with what to do."""
    Faults({"CreateFunction": ROLE_UNKNOWN}, times=None).inject(sandbox, "before-call")

    with pytest.raises(AwsError) as caught:
        sandbox.deploy()

    assert str(caught.value) == (
        "function totesys-etl-dev-extract: CreateFunction answered "
        "InvalidParameterValueException: The role defined for the function cannot be assumed by "
        "Lambda. Completed steps are kept; run again to continue."
    )
    assert sum(sleeps) >= 900


def test_a_failure_half_way_can_be_continued(sandbox: Sandbox) -> None:
    """The next run after an error leaves what was done before, and does the rest."""
    faults = Faults({"PutTargets": ("LimitExceededException", "Too many targets")})
    faults.inject(sandbox, "before-call")
    with pytest.raises(AwsError):
        sandbox.deploy()
    reported = [event for event in sandbox.events if isinstance(event, Change)]

    continued = sandbox.deploy()

    left = {(change.kind, change.name) for change in continued if change.action == "left"}
    assert left == {(change.kind, change.name) for change in reported}
    assert pending(sandbox.plan()) == []


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("ExpiredTokenException", "Fetch new credentials and run again."),
        ("AccessDeniedException", "Ask for this permission, then run again."),
    ],
)
def test_what_does_not_go_away_fails_at_once(
    sandbox: Sandbox, sleeps: list[float], code: str, says: str
) -> None:
    """Expired credentials and missing rights are one line, without any waiting."""
    Faults({"CreateSecret": (code, "No.")}, times=None).inject(sandbox, "before-call")

    with pytest.raises(Exception, match=says) as caught:
        sandbox.deploy()

    assert "\n" not in str(caught.value)
    assert sleeps == []
