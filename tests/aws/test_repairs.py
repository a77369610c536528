"""Manual changes are named by the plan and repaired by the deployment."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from deployer.aws.account import Clients
from deployer.aws.changes import Change
from tests.aws.sandbox import Sandbox, pending

OURS = "totesys-etl-dev"
BUCKETS = f"{OURS}-123456789012-eu-west-2"
BUCKET = f"{BUCKETS}-ingestion"
QUEUE = f"{OURS}-failed-events"
TOPIC_ARN = f"arn:aws:sns:eu-west-2:123456789012:{OURS}-alerts"
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
KMS: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}


def policy(**statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


ALLOW_ALL = policy(Action="s3:*", Resource="*")
TRUST_EC2 = policy(Action="sts:AssumeRole", Principal={"Service": "ec2.amazonaws.com"})


@dataclass(frozen=True)
class Tampering:
    """A manual change of one thing, and how the plan names it: action and attributes."""

    kind: str
    name: str
    change: Callable[[Clients], object]
    action: str
    attributes: list[str]


def changed(kind: str, name: str, change: Callable[[Clients], object], *what: str) -> Tampering:
    return Tampering(kind, name, change, "updated", sorted(what))


def removed(kind: str, name: str, change: Callable[[Clients], object], *what: str) -> Tampering:
    return Tampering(kind, name, change, "created", sorted(what))


def alarm(about: str, **parameters: Any) -> Tampering:
    """Put an alarm as it is, except for some of its parameters."""
    name = f"{OURS}-{about}"

    def change(aws: Clients) -> None:
        (found,) = aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        known = aws.cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape
        assert known is not None
        kept: Any = {
            key: value for key, value in found.items() if key in known.members and value != []
        }
        aws.cloudwatch.put_metric_alarm(**{**kept, **parameters})

    return changed("alarm", name, change, *parameters)


def queue_url(aws: Clients) -> str:
    return aws.sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]


def change_topic(aws: Clients) -> None:
    for name, value in {"Policy": '{"Statement": []}', "DisplayName": "somebody"}.items():
        aws.sns.set_topic_attributes(TopicArn=TOPIC_ARN, AttributeName=name, AttributeValue=value)
    aws.sns.untag_resource(ResourceArn=TOPIC_ARN, TagKeys=["stage"])


def attach_policy(aws: Clients) -> None:
    arn = aws.iam.create_policy(PolicyName="more", PolicyDocument=ALLOW_ALL)["Policy"]["Arn"]
    aws.iam.attach_role_policy(RoleName=f"{OURS}-eu-west-2-load", PolicyArn=arn)


def let_somebody_else_invoke(aws: Clients) -> None:
    statement: Any = {"FunctionName": f"{OURS}-extract", "StatementId": "rule-extract-schedule"}
    aws.lambda_.remove_permission(**statement)
    aws.lambda_.add_permission(
        **statement, Action="lambda:InvokeFunction", Principal="sns.amazonaws.com"
    )


# In each round no thing is changed twice, so that each change is seen by itself.
CHANGED = [
    changed("bucket", f"{BUCKETS}-code", lambda aws: aws.s3.put_bucket_encryption(
        Bucket=f"{BUCKETS}-code", ServerSideEncryptionConfiguration=KMS), "encryption"),
    changed("bucket", BUCKET, lambda aws: aws.s3.put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}), "versioning"),
    changed("bucket", f"{BUCKETS}-processed", lambda aws: aws.s3.put_bucket_policy(
        Bucket=f"{BUCKETS}-processed", Policy=policy(Principal="*", Action="s3:GetObject",
        Resource=f"arn:aws:s3:::{BUCKETS}-processed/*")), "policy"),
    changed("secret", "totesys-etl/dev/source", lambda aws: aws.secrets.put_secret_value(
        SecretId="totesys-etl/dev/source", SecretString="{}"), "value"),
    changed("secret", "totesys-etl/dev/warehouse", lambda aws: aws.secrets.put_secret_value(
        SecretId="totesys-etl/dev/warehouse", SecretString="no JSON"), "value"),
    changed("queue", QUEUE, lambda aws: aws.sqs.set_queue_attributes(
        QueueUrl=queue_url(aws), Attributes={"MessageRetentionPeriod": "60"}),
        "MessageRetentionPeriod"),
    changed("topic", f"{OURS}-alerts", change_topic, "policy", "sender", "tags"),
    removed("subscription", f"{OURS}-alerts", lambda aws: aws.sns.unsubscribe(
        SubscriptionArn=aws.sns.list_subscriptions()["Subscriptions"][0]["SubscriptionArn"]),
        "e-mail"),
    alarm("freshness", Threshold=86400.0),
    alarm("schema-drift", AlarmActions=[]),
    alarm("page-errors", OKActions=[]),
    alarm("disagreement", Statistic="Minimum"),
    alarm("rows-refused", MetricName="RowsLoaded"),
    alarm("rows-quarantined", Dimensions=[{"Name": "service", "Value": "load"}]),
    alarm("failed-events", EvaluationPeriods=3, DatapointsToAlarm=2),
    alarm("load-silence", TreatMissingData="notBreaching"),
    alarm("extract-silence", ComparisonOperator="GreaterThanThreshold"),
    changed("alarm", f"{OURS}-load-errors", lambda aws: aws.cloudwatch.disable_alarm_actions(
        AlarmNames=[f"{OURS}-load-errors"]), "ActionsEnabled"),
    changed("dashboard", f"{OURS}-eu-west-2", lambda aws: aws.cloudwatch.put_dashboard(
        DashboardName=f"{OURS}-eu-west-2", DashboardBody='{"widgets": []}'), "body"),
    changed("log group", f"/aws/lambda/{OURS}-load", lambda aws: aws.logs.put_retention_policy(
        logGroupName=f"/aws/lambda/{OURS}-load", retentionInDays=1), "retention"),
    changed("role", f"{OURS}-eu-west-2-extract", lambda aws: aws.iam.put_role_policy(
        RoleName=f"{OURS}-eu-west-2-extract", PolicyName="least-privilege",
        PolicyDocument=ALLOW_ALL), "policy"),
    changed("role", f"{OURS}-eu-west-2-transform", lambda aws: aws.iam.put_role_policy(
        RoleName=f"{OURS}-eu-west-2-transform", PolicyName="more", PolicyDocument=ALLOW_ALL),
        "other inline policies"),
    changed("role", f"{OURS}-eu-west-2-load", attach_policy, "managed policies"),
    changed("role", f"{OURS}-eu-west-2-page", lambda aws: aws.iam.update_assume_role_policy(
        RoleName=f"{OURS}-eu-west-2-page", PolicyDocument=TRUST_EC2), "trust policy"),
    changed("function", f"{OURS}-extract", lambda aws: aws.lambda_.update_function_configuration(
        FunctionName=f"{OURS}-extract", MemorySize=128), "MemorySize"),
    changed("function", f"{OURS}-transform", lambda aws: aws.lambda_.update_function_configuration(
        FunctionName=f"{OURS}-transform", Environment={"Variables": {"STAGE": "prod"}}),
        "Environment"),
    changed("function", f"{OURS}-load", lambda aws: aws.lambda_.update_function_code(
        FunctionName=f"{OURS}-load", ZipFile=EMPTY_ZIP), "code"),
    changed("permission", f"{OURS}-extract/rule-extract-schedule", let_somebody_else_invoke,
        "account", "principal", "source"),
    changed("rule", f"{OURS}-load-schedule", lambda aws: aws.events.put_rule(
        Name=f"{OURS}-load-schedule", ScheduleExpression="rate(1 day)"), "schedule"),
    changed("rule", f"{OURS}-extract-schedule", lambda aws: aws.events.disable_rule(
        Name=f"{OURS}-extract-schedule"), "state"),
]  # fmt: skip

REMOVED = [
    changed("bucket", f"{BUCKETS}-code", lambda aws: aws.s3.delete_public_access_block(
        Bucket=f"{BUCKETS}-code"), "public access block"),
    changed("bucket", BUCKET, lambda aws: aws.s3.delete_bucket_policy(Bucket=BUCKET), "policy"),
    changed("bucket", f"{BUCKETS}-processed", lambda aws: (
        aws.s3.delete_bucket_lifecycle(Bucket=f"{BUCKETS}-processed"),
        aws.s3.delete_bucket_tagging(Bucket=f"{BUCKETS}-processed")), "lifecycle", "tags"),
    removed("notification", f"{BUCKET}/{OURS}-transform",
        lambda aws: aws.s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={}), "events", "function", "prefix"),
    changed("secret", "totesys-etl/dev/source", lambda aws: aws.secrets.untag_resource(
        SecretId="totesys-etl/dev/source", TagKeys=["stage"]), "tags"),
    removed("queue", QUEUE, lambda aws: aws.sqs.delete_queue(QueueUrl=queue_url(aws)),
        "MessageRetentionPeriod", "SqsManagedSseEnabled", "tags"),
    removed("topic", f"{OURS}-alerts", lambda aws: aws.sns.delete_topic(TopicArn=TOPIC_ARN),
        "policy", "sender", "tags"),
    removed("subscription", f"{OURS}-alerts", lambda _: "it goes with the topic", "e-mail"),
    changed("alarm", f"{OURS}-freshness", lambda aws: aws.cloudwatch.untag_resource(
        ResourceARN=f"arn:aws:cloudwatch:eu-west-2:123456789012:alarm:{OURS}-freshness",
        TagKeys=["stage"]), "tags"),
    removed("dashboard", f"{OURS}-eu-west-2", lambda aws: aws.cloudwatch.delete_dashboards(
        DashboardNames=[f"{OURS}-eu-west-2"]), "body"),
    changed("log group", f"/aws/lambda/{OURS}-load", lambda aws: aws.logs.delete_retention_policy(
        logGroupName=f"/aws/lambda/{OURS}-load"), "retention"),
    removed("log group", f"/aws/lambda/{OURS}-page", lambda aws: aws.logs.delete_log_group(
        logGroupName=f"/aws/lambda/{OURS}-page"), "retention", "tags"),
    changed("role", f"{OURS}-eu-west-2-load", lambda aws: aws.iam.untag_role(
        RoleName=f"{OURS}-eu-west-2-load", TagKeys=["project"]), "tags"),
    changed("function", f"{OURS}-load",
        lambda aws: aws.lambda_.delete_function_event_invoke_config(FunctionName=f"{OURS}-load"),
        "MaximumEventAgeInSeconds", "MaximumRetryAttempts"),
    removed("permission", f"{OURS}-load/rule-load-schedule",
        lambda aws: aws.lambda_.remove_permission(
            FunctionName=f"{OURS}-load", StatementId="rule-load-schedule"),
        "account", "action", "principal", "source"),
    changed("rule", f"{OURS}-load-schedule", lambda aws: aws.events.untag_resource(
        ResourceARN=f"arn:aws:events:eu-west-2:123456789012:rule/{OURS}-load-schedule",
        TagKeys=["stage"]), "tags"),
    removed("target", f"{OURS}-extract-schedule/function", lambda aws: aws.events.remove_targets(
        Rule=f"{OURS}-extract-schedule", Ids=["function"]), "function", "retries"),
]  # fmt: skip


def named(changes: list[Change]) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """Return action and attributes of what is not as it should be, by kind and name."""
    return {
        (change.kind, change.name): (change.action, sorted(change.differences))
        for change in changes
        if change.action != "left"
    }


@pytest.mark.parametrize("tamperings", [CHANGED, REMOVED], ids=["changed", "removed"])
def test_tampering_is_named_and_repaired(sandbox: Sandbox, tamperings: list[Tampering]) -> None:
    """Of what was changed behind our back, plan names each attribute; deploy repairs just those."""
    sandbox.start_deployed()
    for tampering in tamperings:
        tampering.change(sandbox.account.clients)

    expected = {(each.kind, each.name): (each.action, each.attributes) for each in tamperings}
    assert len(expected) == len(tamperings)
    assert named(sandbox.plan()) == expected
    assert named(sandbox.deploy()) == expected
    assert pending(sandbox.plan()) == []


def test_what_is_not_ours_stays(sandbox: Sandbox) -> None:
    """Tags and notifications that others added survive a deployment."""
    sandbox.start_deployed()
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
