"""Manual changes are named by the plan and repaired by the deployment."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from deployer.aws.account import Clients
from tests.aws.sandbox import Sandbox, pending

BUCKET = "totesys-etl-dev-123456789012-eu-west-2-ingestion"
ROLE = "totesys-etl-dev-eu-west-2-load"
FUNCTION = "totesys-etl-dev-load"
RULE = "totesys-etl-dev-load-schedule"
QUEUE = "totesys-etl-dev-failed-events"
SECRET = "totesys-etl/dev/warehouse"
LOG_GROUP = "/aws/lambda/totesys-etl-dev-load"
ALLOW_ALL = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
    }
)
TRUST_EC2 = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)

# Manual changes to a deployment, and the repairs that follow.
TAMPERINGS: dict[str, tuple[Callable[[Clients], object], tuple[str, str, list[str]]]] = {
    "bucket is public": (
        lambda aws: aws.s3.delete_public_access_block(Bucket=BUCKET),
        ("bucket", "updated", ["public access block"]),
    ),
    "bucket encryption": (
        lambda aws: aws.s3.put_bucket_encryption(
            Bucket=BUCKET,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
            },
        ),
        ("bucket", "updated", ["encryption"]),
    ),
    "bucket versioning": (
        lambda aws: aws.s3.put_bucket_versioning(
            Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}
        ),
        ("bucket", "updated", ["versioning"]),
    ),
    "bucket policy": (
        lambda aws: aws.s3.delete_bucket_policy(Bucket=BUCKET),
        ("bucket", "updated", ["policy"]),
    ),
    "bucket lifecycle": (
        lambda aws: aws.s3.delete_bucket_lifecycle(Bucket=BUCKET),
        ("bucket", "updated", ["lifecycle"]),
    ),
    "bucket tags": (
        lambda aws: aws.s3.delete_bucket_tagging(Bucket=BUCKET),
        ("bucket", "updated", ["tags"]),
    ),
    "bucket notification": (
        lambda aws: aws.s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={}
        ),
        ("notification", "created", ["events", "function", "prefix"]),
    ),
    "secret value": (
        lambda aws: aws.secrets.put_secret_value(SecretId=SECRET, SecretString="{}"),
        ("secret", "updated", ["value"]),
    ),
    "secret is no JSON": (
        lambda aws: aws.secrets.put_secret_value(SecretId=SECRET, SecretString="mine"),
        ("secret", "updated", ["value"]),
    ),
    "secret tags": (
        lambda aws: aws.secrets.untag_resource(SecretId=SECRET, TagKeys=["stage"]),
        ("secret", "updated", ["tags"]),
    ),
    "log retention": (
        lambda aws: aws.logs.delete_retention_policy(logGroupName=LOG_GROUP),
        ("log group", "updated", ["retention"]),
    ),
    "log group is gone": (
        lambda aws: aws.logs.delete_log_group(logGroupName=LOG_GROUP),
        ("log group", "created", ["retention", "tags"]),
    ),
    "role policy": (
        lambda aws: aws.iam.put_role_policy(
            RoleName=ROLE, PolicyName="least-privilege", PolicyDocument=ALLOW_ALL
        ),
        ("role", "updated", ["policy"]),
    ),
    "further role policy": (
        lambda aws: aws.iam.put_role_policy(
            RoleName=ROLE, PolicyName="more", PolicyDocument=ALLOW_ALL
        ),
        ("role", "updated", ["other inline policies"]),
    ),
    "managed role policy": (
        lambda aws: aws.iam.attach_role_policy(
            RoleName=ROLE,
            PolicyArn=aws.iam.create_policy(PolicyName="more", PolicyDocument=ALLOW_ALL)["Policy"][
                "Arn"
            ],
        ),
        ("role", "updated", ["managed policies"]),
    ),
    "role trust": (
        lambda aws: aws.iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=TRUST_EC2),
        ("role", "updated", ["trust policy"]),
    ),
    "role tags": (
        lambda aws: aws.iam.untag_role(RoleName=ROLE, TagKeys=["project"]),
        ("role", "updated", ["tags"]),
    ),
    "function memory": (
        lambda aws: aws.lambda_.update_function_configuration(
            FunctionName=FUNCTION, MemorySize=128
        ),
        ("function", "updated", ["MemorySize"]),
    ),
    "function environment": (
        lambda aws: aws.lambda_.update_function_configuration(
            FunctionName=FUNCTION, Environment={"Variables": {"STAGE": "prod"}}
        ),
        ("function", "updated", ["Environment"]),
    ),
    "function code": (
        lambda aws: aws.lambda_.update_function_code(
            FunctionName=FUNCTION,
            ZipFile=b"PK\x05\x06" + bytes(18),
        ),
        ("function", "updated", ["code"]),
    ),
    "function retries": (
        lambda aws: aws.lambda_.delete_function_event_invoke_config(FunctionName=FUNCTION),
        (
            "function",
            "updated",
            ["MaximumEventAgeInSeconds", "MaximumRetryAttempts"],
        ),
    ),
    "function permission": (
        lambda aws: aws.lambda_.remove_permission(
            FunctionName=FUNCTION, StatementId="rule-load-schedule"
        ),
        ("permission", "created", ["account", "action", "principal", "source"]),
    ),
    "rule schedule": (
        lambda aws: aws.events.put_rule(Name=RULE, ScheduleExpression="rate(1 day)"),
        ("rule", "updated", ["schedule"]),
    ),
    "rule is off": (
        lambda aws: aws.events.disable_rule(Name=RULE),
        ("rule", "updated", ["state"]),
    ),
    "rule tags": (
        lambda aws: aws.events.untag_resource(
            ResourceARN=f"arn:aws:events:eu-west-2:123456789012:rule/{RULE}", TagKeys=["stage"]
        ),
        ("rule", "updated", ["tags"]),
    ),
    "rule target": (
        lambda aws: aws.events.remove_targets(Rule=RULE, Ids=["function"]),
        ("target", "created", ["function", "retries"]),
    ),
    "queue retention": (
        lambda aws: aws.sqs.set_queue_attributes(
            QueueUrl=aws.sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"],
            Attributes={"MessageRetentionPeriod": "60"},
        ),
        ("queue", "updated", ["MessageRetentionPeriod"]),
    ),
    "queue is gone": (
        lambda aws: aws.sqs.delete_queue(
            QueueUrl=aws.sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
        ),
        ("queue", "created", ["MessageRetentionPeriod", "SqsManagedSseEnabled", "tags"]),
    ),
}


@pytest.mark.parametrize("case", TAMPERINGS)
def test_tampering_is_named_and_repaired(sandbox: Sandbox, case: str) -> None:
    """One attribute changed behind our back: plan names it, deploy repairs exactly it."""
    tamper, expected = TAMPERINGS[case]
    sandbox.deploy()
    tamper(sandbox.account.clients)

    assert pending(sandbox.plan()) == [expected]
    assert pending(sandbox.deploy()) == [expected]
    assert pending(sandbox.plan()) == []


def test_a_replaced_permission_is_put_right(sandbox: Sandbox) -> None:
    """A statement of ours that lets somebody else in is replaced by the right one."""
    sandbox.deploy()
    client = sandbox.account.clients.lambda_
    client.remove_permission(FunctionName=FUNCTION, StatementId="rule-load-schedule")
    client.add_permission(
        FunctionName=FUNCTION,
        StatementId="rule-load-schedule",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
    )

    expected = [("permission", "updated", ["account", "principal", "source"])]
    assert pending(sandbox.plan()) == expected
    assert pending(sandbox.deploy()) == expected
    assert pending(sandbox.plan()) == []


def test_what_is_not_ours_stays(sandbox: Sandbox) -> None:
    """Tags and notifications that others added survive a deployment."""
    sandbox.deploy()
    s3 = sandbox.account.clients.s3
    configuration: Any = s3.get_bucket_notification_configuration(Bucket=BUCKET)
    configuration.pop("ResponseMetadata")
    theirs: Any = {
        "Id": "theirs",
        "QueueArn": f"arn:aws:sqs:eu-west-2:123456789012:{QUEUE}",
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "staff/"}]}},
    }
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"QueueConfigurations": [theirs]}
    )
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "team", "Value": "data"}]})

    sandbox.deploy()

    after: Any = s3.get_bucket_notification_configuration(Bucket=BUCKET)
    assert [entry["Id"] for entry in after["QueueConfigurations"]] == ["theirs"]
    assert after["LambdaFunctionConfigurations"] == configuration["LambdaFunctionConfigurations"]
    tags = s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {
        "team": "data",
        "project": "totesys-etl",
        "stage": "dev",
        "managed-by": "source-to-warehouse",
        "expires-at": "2025-01-31T18:00:00+00:00",
    }
