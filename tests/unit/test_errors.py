"""Errors of boto3 become one line that says where, what, and the next step."""

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
)

from deployer.errors import AwsError, CredentialsError, DeployError, explaining


def answered(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "CreateBucket")


@pytest.mark.parametrize(
    ("error", "kind", "line"),
    [
        (
            answered("ExpiredToken", "The provided token has expired."),
            CredentialsError,
            (
                "bucket b: AWS does not accept the credentials (ExpiredToken). They have expired, "
                "and the sandbox may have expired too. Fetch new credentials and run again."
            ),
        ),
        (
            answered("AccessDenied", "User x is not authorized to perform: s3:CreateBucket."),
            AwsError,
            (
                "bucket b: CreateBucket answered AccessDenied: User x is not authorized to "
                "perform: s3:CreateBucket. `deploy.py policy` prints all permissions that are "
                "needed. Ask for this permission, then run again."
            ),
        ),
        (
            answered("TooManyBuckets", "You have attempted to create more buckets than allowed"),
            AwsError,
            (
                "bucket b: CreateBucket answered TooManyBuckets: You have attempted to create more "
                "buckets than allowed. Completed steps are kept; run again to continue."
            ),
        ),
        (
            NoCredentialsError(),
            CredentialsError,
            "bucket b: Unable to locate credentials. Set AWS_PROFILE or AWS_ACCESS_KEY_ID.",
        ),
        (
            EndpointConnectionError(endpoint_url="http://127.0.0.1:1/"),
            AwsError,
            (
                'bucket b: Could not connect to the endpoint URL: "http://127.0.0.1:1/". Check the '
                "network and AWS_ENDPOINT_URL, then run again."
            ),
        ),
    ],
)
def test_each_kind_of_failure_says_what_to_do(
    error: ClientError | BotoCoreError, kind: type[DeployError], line: str
) -> None:
    """Expired, refused, failed or unreachable: one line each, and exit status 1."""
    with pytest.raises(kind) as caught, explaining("bucket b"):
        raise error

    assert (str(caught.value), caught.value.exit_status) == (line, 1)
