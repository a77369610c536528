"""Calls of a deployment as IAM sees them: an action, a resource, and what conditions ask for.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from botocore.model import OperationModel

from deployer.aws.account import Account
from deployer.resources.resource_policies import Policy

REGION, ACCOUNT = "eu-west-2", "123456789012"
# Actions that are not called as their operation is.
S3_ACTIONS = {
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "HeadObject": "GetObject",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
}
VERBS = {"Get": "GET", "Create": "POST", "Update": "PATCH", "Delete": "DELETE"}
# Without it GetFunction succeeds, and answers without the tags.
TAGS_OF_FUNCTIONS = "lambda:ListTags"


BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
# What changes the rights of a role may be allowed for roles with a boundary alone.
LIMITED = ("CreateRole", "PutRolePolicy", "PutRolePermissionsBoundary")


@dataclass(frozen=True)
class Asked:
    """What a call asks IAM for."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


def _s3(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    arn = f"arn:aws:s3:::{given['Bucket']}"
    if operation == "DeleteObjects":
        for item in given["Delete"]["Objects"]:
            yield Asked("s3:DeleteObject", f"{arn}/{item['Key']}")
            if "VersionId" in item:
                yield Asked("s3:DeleteObjectVersion", f"{arn}/{item['Key']}")
        return
    action = S3_ACTIONS.get(operation, operation)
    yield Asked(f"s3:{action}", f"{arn}/{given['Key']}" if "Key" in given else arn)


def _iam(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    if "RoleName" not in given:
        yield Asked(f"iam:{operation}", "*")
        return
    name = given["RoleName"]
    # A call names a role without its path: this is where the test's roles are.
    path = "/teams/data/" if name.startswith("market-") else "/"
    context = (("iam:PermissionsBoundary", BOUNDARY),) if operation in LIMITED else ()
    yield Asked(f"iam:{operation}", f"arn:aws:iam::{ACCOUNT}:role{path}{name}", context)


def _lambda(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    function = given.get("FunctionName", "")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}"
    function_arn = function if function.startswith("arn:") else f"{arn}:function:{function}"
    action = "lambda:InvokeFunction" if operation == "Invoke" else f"lambda:{operation}"
    if operation.startswith(("GetAccount", "List")) and "Layer" not in operation:
        yield Asked(action, "*")
    elif "EventSource" in operation:
        context = (("lambda:FunctionArn", function_arn),)
        yield Asked(action, "*", context)
    elif operation in ("PublishLayerVersion", "ListLayerVersions"):
        yield Asked(action, f"{arn}:layer:{given['LayerName']}")
    elif "Layer" in operation:
        yield Asked(action, f"{arn}:layer:{given['LayerName']}:{given['VersionNumber']}")
    else:
        yield Asked(action, given.get("Resource", function_arn))
    yield from _beside(operation, given, function_arn)


def _beside(operation: str, given: Mapping[str, Any], function_arn: str) -> Iterator[Asked]:
    """Yield what Lambda asks for beside the action of a call."""
    if operation == "GetFunction":
        yield Asked(TAGS_OF_FUNCTIONS, function_arn)
    if role := given.get("Role"):
        yield Asked("iam:PassRole", role, (("iam:PassedToService", "lambda.amazonaws.com"),))
    if "VpcConfig" in given:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
        for looks in ("DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"):
            yield Asked(f"ec2:{looks}", "*")
    if operation == "PublishLayerVersion":
        stored = given["Content"]
        version = "Version" if "S3ObjectVersion" in stored else ""
        yield Asked(
            f"s3:GetObject{version}", f"arn:aws:s3:::{stored['S3Bucket']}/{stored['S3Key']}"
        )
    if given.get("Tags") and operation == "CreateEventSourceMapping":
        yield Asked(
            "lambda:TagResource", f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:1a2b"
        )
    for layer in given.get("Layers", ()):
        yield Asked("lambda:GetLayerVersion", layer)
    if given.get("Tags") and operation == "CreateFunction":
        yield Asked("lambda:TagResource", function_arn)


def _logs(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group"
    named = given.get("logGroupName")
    if operation == "DescribeLogGroups":
        yield Asked("logs:DescribeLogGroups", f"{arn}:*")
    else:
        yield Asked(f"logs:{operation}", f"{arn}:{named}" if named else given["resourceArn"])
    if given.get("tags") and operation == "CreateLogGroup":
        yield Asked("logs:TagResource", f"{arn}:{named}")


def _events(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    name = given.get("Rule") or given.get("Name")
    arn = given.get("ResourceARN") or f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}"
    yield Asked(f"events:{operation}", arn)
    if operation == "PutRule" and given.get("Tags"):
        yield Asked("events:TagResource", arn)


def _secrets(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    if operation == "ListSecrets":
        yield Asked("secretsmanager:ListSecrets", "*")
        return
    name = given.get("SecretId") or given["Name"]
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf"
    yield Asked(f"secretsmanager:{operation}", arn)
    if operation == "CreateSecret":
        yield Asked("secretsmanager:TagResource", arn)


def _sqs(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    name = given.get("QueueName") or given["QueueUrl"].rpartition("/")[2]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    yield Asked(f"sqs:{operation}", arn)
    if operation == "CreateQueue" and given.get("tags"):
        yield Asked("sqs:TagQueue", arn)


def _sns(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    if operation == "Unsubscribe":
        yield Asked("sns:Unsubscribe", "*")
        return
    topic = given.get("TopicArn") or given.get("ResourceArn")
    arn = topic or f"arn:aws:sns:{REGION}:{ACCOUNT}:{given['Name']}"
    yield Asked(f"sns:{operation}", arn)
    if operation == "CreateTopic" and given.get("Tags"):
        yield Asked("sns:TagResource", arn)


def _cloudwatch(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm"
    dashboards = f"arn:aws:cloudwatch::{ACCOUNT}:dashboard"
    if operation == "DescribeAlarms":
        yield Asked("cloudwatch:DescribeAlarms", "*")
        return
    names = [
        *(
            f"{arn}:{name}"
            for name in [given.get("AlarmName"), *given.get("AlarmNames", ())]
            if name
        ),
        *(
            f"{dashboards}/{name}"
            for name in [given.get("DashboardName"), *given.get("DashboardNames", ())]
            if name
        ),
        *([given["ResourceARN"]] if "ResourceARN" in given else []),
    ]
    for name in names:
        yield Asked(f"cloudwatch:{operation}", name)
    if operation in ("PutMetricAlarm", "PutDashboard") and given.get("Tags"):
        yield Asked("cloudwatch:TagResource", names[0])


def _apigateway(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    arn = f"arn:aws:apigateway:{REGION}::"
    if operation.startswith(("Tag", "Untag")):
        verb = "POST" if operation.startswith("Tag") else "DELETE"
        yield Asked(f"apigateway:{verb}", f"{arn}/tags/{given['ResourceArn']}")
        return
    [verb] = [verb for prefix, verb in VERBS.items() if operation.startswith(prefix)]
    path = f"/apis/{given['ApiId']}" if "ApiId" in given else "/apis"
    yield Asked(f"apigateway:{verb}", f"{arn}{path}")
    if operation == "CreateApi" and given.get("Tags"):
        yield Asked("apigateway:POST", f"{arn}/tags/*")


def _ec2(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    yield Asked(f"ec2:{operation}", "*")


def _glue(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    """Glue checks a catalogue, and what is in it, each."""
    arn = f"arn:aws:glue:{REGION}:{ACCOUNT}:"
    if "ResourceArn" in given:
        yield Asked(f"glue:{operation}", given["ResourceArn"])
        return
    name = given.get("DatabaseName") or given.get("Name") or given["DatabaseInput"]["Name"]
    table = [f"table/{name}/{given.get('Name', '*')}"] if "Table" in operation else []
    if operation == "DeleteDatabase":  # with all that is in it
        table = [f"table/{name}/*", f"userDefinedFunction/{name}/*"]
    for what in ("catalog", f"database/{name}", *table):
        yield Asked(f"glue:{operation}", f"{arn}{what}")
    if given.get("Tags"):
        yield Asked("glue:TagResource", f"{arn}database/{name}")


def _tagging(operation: str, given: Mapping[str, Any]) -> Iterator[Asked]:
    yield Asked(f"tag:{operation}", "*")


SERVICES: Mapping[str, Callable[[str, Mapping[str, Any]], Iterator[Asked]]] = {
    "s3": _s3,
    "iam": _iam,
    "lambda": _lambda,
    "logs": _logs,
    "events": _events,
    "secretsmanager": _secrets,
    "sqs": _sqs,
    "sns": _sns,
    "cloudwatch": _cloudwatch,
    "apigatewayv2": _apigateway,
    "resourcegroupstaggingapi": _tagging,
    "ec2": _ec2,
    "glue": _glue,
}


def asked_by(service: str, operation: str, given: Mapping[str, Any]) -> list[Asked]:
    """Return what a call asks for."""
    return list(SERVICES[service](operation, given))


def record(account: Account, asked: set[Asked]) -> None:
    """Have all calls of an account noted as what they ask for."""
    mapped: dict[str, str] = {}  # the function of the event source, which later calls do not name

    def note(params: Mapping[str, Any], model: OperationModel, **_: object) -> None:
        if model.name == "CreateEventSourceMapping":
            mapped["FunctionName"] = params["FunctionName"]
        given = {**mapped, **params} if model.name.endswith("EventSourceMapping") else params
        asked.update(asked_by(model.service_model.service_name, model.name, given))

    for client in vars(account.clients).values():
        client.meta.events.register("provide-client-params.*.*", note)


def allowing(policy: Policy, asked: Asked) -> list[str]:
    """Return the statements of a policy that allow what is asked for."""
    return [
        statement["Sid"]
        for statement in policy["Statement"]
        if asked.action in statement["Action"]
        and any(fnmatchcase(asked.resource, resource) for resource in statement["Resource"])
        and _holds(statement.get("Condition", {}), dict(asked.context))
    ]


def _holds(condition: Mapping[str, Mapping[str, str]], context: Mapping[str, str]) -> bool:
    return all(
        fnmatchcase(context.get(key, ""), pattern)
        for operator in condition.values()
        for key, pattern in operator.items()
    )
