"""Calls of the AWS API, as policies see them."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError

from deployer.resources.names import FunctionUse, Names

ACTIONS = {
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "HeadObject": "GetObject",
    "DeleteObjects": "DeleteObject",
}
REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}


@dataclass(frozen=True)
class Call:
    """A call of the AWS API, and what a policy calls its action and its resource."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    action: str
    resource: str
    prefix: str | None = None


def calls_of(
    account: str, service: str, operation: str, parameters: Mapping[str, Any]
) -> list[Call]:
    """Return a call as a policy sees it; one that removes many objects is many."""
    known = deepcopy(dict(parameters))
    action = f"{service}:{ACTIONS.get(operation, operation)}"
    if operation == "GetObject" and "VersionId" in known:
        action = "s3:GetObjectVersion"
    if service == "secretsmanager":
        secret = f"arn:aws:secretsmanager:eu-west-2:{account}:secret:{known['SecretId']}-abcdef"
        return [Call(service, operation, known, action, secret)]
    if service == "sqs":
        queue = str(known["QueueUrl"]).rpartition("/")[2]
        arn = f"arn:aws:sqs:eu-west-2:{account}:{queue}"
        return [Call(service, operation, known, action, arn)]
    if service == "glue":
        database, table = known["DatabaseName"], known.get("TableInput", known)["Name"]
        arn = f"arn:aws:glue:eu-west-2:{account}:"
        resources = ("catalog", f"database/{database}", f"table/{database}/{table}")
        return [Call(service, operation, known, action, f"{arn}{each}") for each in resources]
    if service == "sns":
        return [Call(service, operation, known, action, known["TopicArn"])]
    bucket = f"arn:aws:s3:::{known['Bucket']}"
    if operation == "DeleteObjects":
        return [
            Call(service, "DeleteObject", single, action, f"{bucket}/{single['Key']}")
            for item in known["Delete"]["Objects"]
            for single in [{"Bucket": known["Bucket"], "Key": item["Key"]}]
        ]
    resource = bucket if operation.startswith("List") else f"{bucket}/{known['Key']}"
    return [Call(service, operation, known, action, resource, known.get("Prefix"))]


def of_lambda_itself(use: FunctionUse, names: Names) -> list[Call]:
    """Return the calls that Lambda makes with a function's role."""
    group, queue = names.log_group(use), names.queue
    stream = {"logGroupName": group, "logStreamName": "trial"}
    arn = f"{names.log_group_arn(use)}:log-stream:trial"
    url = f"http://queue/{names.account}/{queue}"
    return [
        Call("logs", "CreateLogStream", stream, "logs:CreateLogStream", arn),
        Call(
            "logs",
            "PutLogEvents",
            {**stream, "logEvents": [{"timestamp": 1, "message": "-"}]},
            "logs:PutLogEvents",
            arn,
        ),
        Call(
            "sqs",
            "SendMessage",
            {"QueueUrl": url, "MessageBody": "{}"},
            "sqs:SendMessage",
            names.queue_arn,
        ),
    ]


def of_lambda_for_collect(names: Names) -> list[Call]:
    """Return the calls that Lambda makes, with the role of collect, to pass messages to it."""
    arn, queue = names.events_queue_arn, {"QueueUrl": names.events_queue_url}
    return [
        Call("sqs", operation, {**queue, **more}, f"sqs:{operation}", arn)
        for operation, more in (
            ("ReceiveMessage", {}),
            ("DeleteMessage", {"ReceiptHandle": "trial"}),
            ("GetQueueAttributes", {"AttributeNames": ["All"]}),
        )
    ]


def refusal(session: boto3.Session, call: Call) -> str | None:
    """Make a call; return the code with which it is refused, None if it is not."""
    client: Any = session.client(call.service)  # type: ignore[call-overload]
    try:
        getattr(client, xform_name(call.operation))(**call.parameters)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return code if code in REFUSED or code == "403" else None
    return None
