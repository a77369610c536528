"""A function on the local AWS that says what it can see and do."""

import io
import json
import zipfile
from typing import Any

import boto3

from local.emulator import REGION

BUCKET = "a-bucket"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
MAY_WRITE = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/own/*"}
    ],
}
HANDLER = """
import os, time
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    s3 = boto3.client("s3")
    try:
        s3.put_object(Bucket=event["bucket"], Key=event["key"], Body=str(os.getpid()))
    except ClientError as error:
        return error.response["Error"]["Code"]
    time.sleep(event.get("seconds", 0))
    if "read" in event:
        return open(event["read"]).read()
    return dict(os.environ, uid=str(os.geteuid()))
"""


def client(service: Any) -> Any:
    return boto3.session.Session().client(service)


def packed(code: str) -> bytes:
    """Return the zip of a function whose handler is `code.handler`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("code.py", code)
    return packed.getvalue()


def function(bucket: str = BUCKET) -> str:
    """Return the name of a function that may write below `own/` in the bucket, made if needed."""
    if "a-function" in [f["FunctionName"] for f in client("lambda").list_functions()["Functions"]]:
        return "a-function"
    client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    iam = client("iam")
    role = iam.create_role(RoleName="a-role", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="a-role", PolicyName="own", PolicyDocument=json.dumps(MAY_WRITE))
    client("lambda").create_function(
        FunctionName="a-function",
        Runtime="python3.13",
        Role=role["Role"]["Arn"],
        Handler="code.handler",
        Code={"ZipFile": packed(HANDLER)},
        Timeout=60,
    )
    client("lambda").get_waiter("function_active_v2").wait(
        FunctionName="a-function", WaiterConfig={"Delay": 1}
    )
    return "a-function"


def invoke(**event: Any) -> Any:
    answer = client("lambda").invoke(FunctionName=function(), Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())
