"""The files of a pipeline's sample: dropped, or in buckets that stand in for somebody else's.

Those belong to another account of the local AWS, and let ours read them, as somebody else would.
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from botocore.exceptions import ClientError

from deployer.aws.account import Account, connect
from etl import Files

OTHERS_ACCOUNT = "210987654321"
READING = ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetObject", "s3:GetObjectVersion"]


def stand_in(source: Files) -> str:
    """Return the name of the bucket that is somebody else's."""
    return f"somebody-elses-{source.name.replace('_', '-')}"


def stand_in_settings(sources: Iterable[Files], provided: Iterable[Files]) -> dict[str, str]:
    """Return the settings by which sources find their stand-ins; those of the others are empty."""
    found: dict[str, str] = {}
    for source in sources:
        if source.remote:
            found[source.bucket_setting] = stand_in(source) if source in provided else ""
            found[source.prefix_setting] = found[source.region_setting] = ""
    return found


def put_stand_in(
    environment: Mapping[str, str], reader: str, bucket: str, files: Mapping[str, bytes]
) -> None:
    """Put files into a bucket of somebody else's, which the account `reader` may read."""
    owner = connect({**environment, "AWS_ACCESS_KEY_ID": OTHERS_ACCOUNT})
    s3 = owner.clients.s3
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError:
        location = owner.region
        s3.create_bucket(
            Bucket=bucket,
            CreateBucketConfiguration={"LocationConstraint": location},  # type: ignore[typeddict-item]
        )
    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{reader}:root"},
        "Action": READING,
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    drop(owner, bucket, files)


def drop(account: Account, bucket: str, files: Mapping[str, bytes]) -> None:
    """Put files into a bucket."""
    for key, body in files.items():
        account.clients.s3.put_object(Bucket=bucket, Key=key, Body=body)


def first_lines(account: Account, url: str, number: int) -> Iterator[str]:
    """Yield the first lines of an object of text."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    body = account.clients.s3.get_object(Bucket=bucket, Key=key)["Body"]
    for _, line in zip(range(number), body.iter_lines(), strict=False):
        yield line.decode("utf-8", "backslashreplace")
