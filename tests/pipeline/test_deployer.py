"""Deployment into the local AWS, where IAM is enforced as on AWS itself."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from deployer.aws.account import Account, connect
from deployer.configuration.settings import Settings
from deployer.resources.alarm_specs import alarms
from deployer.resources.names import FunctionUse, Names
from local.emulator import ACCOUNT, REGION
from tests.aws.sandbox import Sandbox, TinyPackages, pending
from tests.pipeline.local_process import throwaway_aws

NAMES = Names("totesys-etl", "dev", ACCOUNT, REGION)
INGESTION, PROCESSED = NAMES.bucket("ingestion"), NAMES.bucket("processed")
(FRESHNESS,) = (alarm for alarm in alarms(NAMES) if alarm.name == NAMES.alarm("freshness"))
SETTINGS = {
    "SOURCE_DATABASE_URL": "postgresql://reader:one@localhost/totesys",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:two@localhost/warehouse",
    "EXTRACT_SCHEDULE": "rate(1 day)",
    "LOAD_SCHEDULE": "rate(1 day)",
    "ALERT_EMAIL": "team@example.com",
    "NOTIFY": "every-batch",
}
# Makes the calls of its event, and answers "allowed" or the code of the error for each.
CALLER = """
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    return [attempt(*call) for call in event["calls"]] if "calls" in event else None

def attempt(service, operation, parameters):
    try:
        getattr(boto3.client(service), operation)(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "allowed"
"""

Call = tuple[str, str, dict[str, object]]


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with throwaway_aws() as emulator:
        yield connect(emulator.environment)


@pytest.fixture(scope="module")
def sandbox(account: Account, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """The deployed pipeline, whose functions make the calls that a test asks for."""
    packages = TinyPackages(tmp_path_factory.mktemp("packages"))
    packages.code = dict.fromkeys(get_args(FunctionUse), CALLER)
    sandbox = Sandbox(account, Settings.read(SETTINGS), packages)
    sandbox.deploy()
    sandbox.count_writes()
    return sandbox


def test_a_second_deployment_writes_nothing(sandbox: Sandbox) -> None:
    """The local AWS reads back exactly what was written, down to the last attribute."""
    sandbox.writes.clear()

    assert pending(sandbox.deploy()) == []
    assert sandbox.writes == []


def put(bucket: str, key: str) -> Call:
    return "s3", "put_object", {"Bucket": bucket, "Key": key, "Body": "x", "IfNoneMatch": "*"}


def get(bucket: str, key: str) -> Call:
    return "s3", "get_object", {"Bucket": bucket, "Key": key}


def listing(bucket: str, prefix: str) -> Call:
    return "s3", "list_objects_v2", {"Bucket": bucket, "Prefix": prefix}


def remove(bucket: str, key: str) -> Call:
    return "s3", "delete_object", {"Bucket": bucket, "Key": key}


def publish(topic_arn: str) -> Call:
    return "sns", "publish", {"TopicArn": topic_arn, "Message": "x"}


def secret(name: str) -> Call:
    return "secretsmanager", "get_secret_value", {"SecretId": name}


ALLOWED: dict[FunctionUse, list[Call]] = {
    "extract": [
        secret(NAMES.secret("source")),
        put(INGESTION, "source/sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        put(INGESTION, "tombstones/source/staff/2025-01-31/0000000001-0000000000001.parquet"),
        put(INGESTION, "keys/source/2025-01-31/0000000001-0000000000001.parquet"),
        put(INGESTION, "batches/source/0000000001.json"),
        get(INGESTION, "keys/source/2025-01-31/0000000001-0000000000001.parquet"),
        get(INGESTION, "batches/source/0000000001.json"),
        get(INGESTION, "source/sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        listing(INGESTION, "batches/source/"),
    ],
    "transform": [
        get(INGESTION, "source/sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        get(INGESTION, "batches/source/0000000001.json"),
        listing(INGESTION, "batches/source/"),
        put(PROCESSED, "fact_sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        put(PROCESSED, "tombstones/dim_staff/2025-01-31/0000000001-0000000000001.parquet"),
        put(PROCESSED, "quarantine/source/sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        put(PROCESSED, "batches/source/0000000001.json"),
        get(PROCESSED, "quarantine/source/sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        get(PROCESSED, "batches/source/0000000001.json"),
        listing(PROCESSED, "batches/source/"),
        listing(INGESTION, "source/sales_order/"),
        listing(INGESTION, "keys/source/2025-01-31/"),
        remove(INGESTION, "source/sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        remove(INGESTION, "keys/source/2025-01-31/0000000001-0000000000002.parquet"),
        listing(PROCESSED, "quarantine/source/staff/"),
        remove(PROCESSED, "quarantine/source/staff/2025-01-31/0000000001-0000000000001.parquet"),
        listing(PROCESSED, "swept/source/ingestion/"),
        put(PROCESSED, "swept/source/ingestion/2025-01-31.json"),
    ],
    "load": [
        secret(NAMES.secret("warehouse")),
        get(PROCESSED, "fact_sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        get(PROCESSED, "batches/source/0000000001.json"),
        listing(PROCESSED, "batches/source/"),
        put(PROCESSED, "loaded/source/0000000001.json"),
        get(PROCESSED, "loaded/source/0000000001.json"),
        listing(PROCESSED, "loaded/source/"),
        put(PROCESSED, "refused/dim_staff/2025-01-31/0000000001-0000000000001.parquet"),
        get(PROCESSED, "refused/dim_staff/2025-01-31/0000000001-0000000000001.parquet"),
        publish(NAMES.topic_arn),
    ],
    "reconcile": [
        secret(NAMES.secret("source")),
        secret(NAMES.secret("warehouse")),
        get(INGESTION, "batches/source/0000000001.json"),
        get(INGESTION, "keys/source/2025-01-31/0000000001-0000000000001.parquet"),
        listing(INGESTION, "batches/source/"),
        get(PROCESSED, "batches/source/0000000001.json"),
        get(PROCESSED, "loaded/source/0000000001.json"),
        get(PROCESSED, "quarantine/source/sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        get(PROCESSED, "tombstones/dim_staff/2025-01-31/0000000001-0000000000001.parquet"),
        listing(PROCESSED, "batches/source/"),
        listing(PROCESSED, "loaded/source/"),
        listing(PROCESSED, "tombstones/dim_staff/"),
        put(PROCESSED, "proofs/2025-01-31.json"),
    ],
    "page": [
        secret(NAMES.secret("warehouse")),
        get(INGESTION, "batches/source/0000000001.json"),
        listing(INGESTION, "batches/source/"),
        get(PROCESSED, "batches/source/0000000001.json"),
        get(PROCESSED, "loaded/source/0000000001.json"),
        get(PROCESSED, "quarantine/source/sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        listing(PROCESSED, "batches/source/"),
        listing(PROCESSED, "loaded/source/"),
        put(PROCESSED, "page/index.html"),
        get(PROCESSED, "page/index.html"),
    ],
}
REFUSED: dict[FunctionUse, list[Call]] = {
    "extract": [
        secret(NAMES.secret("warehouse")),
        put(INGESTION, "elsewhere/x"),
        put(PROCESSED, "batches/source/0000000009.json"),
        get(PROCESSED, "batches/source/0000000001.json"),
        listing(INGESTION, ""),
        listing(INGESTION, "source/sales_order/"),
        ("s3", "delete_object", {"Bucket": INGESTION, "Key": "batches/source/0000000001.json"}),
        ("s3", "list_buckets", {}),
        ("iam", "list_roles", {}),
        ("logs", "create_log_group", {"logGroupName": NAMES.log_group("extract")}),
        publish(NAMES.topic_arn),
    ],
    "transform": [
        secret(NAMES.secret("source")),
        secret(NAMES.secret("warehouse")),
        put(INGESTION, "batches/source/0000000009.json"),
        put(PROCESSED, "loaded/source/0000000009.json"),
        get(PROCESSED, "fact_sales_order/2025-01-31/0000000001-0000000000001.parquet"),
        listing(PROCESSED, "loaded/source/"),
        remove(INGESTION, "batches/source/0000000001.json"),
        ("s3", "delete_object", {"Bucket": PROCESSED, "Key": "batches/source/0000000001.json"}),
    ],
    "load": [
        secret(NAMES.secret("source")),
        put(PROCESSED, "batches/source/0000000009.json"),
        get(INGESTION, "batches/source/0000000001.json"),
        listing(INGESTION, "batches/source/"),
        listing(PROCESSED, "fact_sales_order/"),
        ("s3", "delete_object", {"Bucket": PROCESSED, "Key": "loaded/source/0000000001.json"}),
        publish(f"{NAMES.topic_arn}-of-others"),
    ],
    "reconcile": [
        put(PROCESSED, "loaded/source/0000000009.json"),
        put(INGESTION, "batches/source/0000000009.json"),
        get(PROCESSED, "fact_payment/2025-01-31/0000000001-0000000000001.parquet"),
        get(INGESTION, "source/payment/2025-01-31/0000000001-0000000000001.parquet"),
        listing(INGESTION, "source/payment/"),
        remove(PROCESSED, "proofs/2025-01-31.json"),
        publish(NAMES.topic_arn),
    ],
    "page": [
        secret(NAMES.secret("source")),
        put(PROCESSED, "loaded/source/0000000009.json"),
        put(PROCESSED, "exports/x.csv"),
        get(PROCESSED, "fact_payment/2025-01-31/0000000001-0000000000001.parquet"),
        get(INGESTION, "source/payment/2025-01-31/0000000001-0000000000001.parquet"),
        ("s3", "delete_object", {"Bucket": PROCESSED, "Key": "page/index.html"}),
        publish(NAMES.topic_arn),
    ],
}


def answers(sandbox: Sandbox, use: FunctionUse, calls: list[Call]) -> list[str]:
    """Let a function make calls in its own role."""
    response = sandbox.account.clients.lambda_.invoke(
        FunctionName=NAMES.function(use), Payload=json.dumps({"calls": calls})
    )
    answer: Any = json.loads(response["Payload"].read())
    return list(answer)


def test_functions_may_do_what_they_need(sandbox: Sandbox) -> None:
    """Every call that the three functions make is allowed to their roles, one after the other."""
    for use, calls in ALLOWED.items():
        assert answers(sandbox, use, calls) == ["allowed"] * len(calls)


def test_functions_may_do_nothing_else(sandbox: Sandbox) -> None:
    """A neighbour's bucket, prefix or secret is refused, and so is everything unrelated."""
    for use, calls in REFUSED.items():
        refusals = set(answers(sandbox, use, calls))
        assert refusals <= {"AccessDenied", "AccessDeniedException", "AuthorizationError"}


def test_a_function_writes_its_log_in_the_group_made_for_it(
    sandbox: Sandbox,
) -> None:
    """A function's output is in its log group, with the retention that we set."""
    answers(sandbox, "load", [])

    logs = sandbox.account.clients.logs
    (group,) = logs.describe_log_groups(logGroupNamePrefix=NAMES.log_group("load"))["logGroups"]
    streams = logs.describe_log_streams(logGroupName=NAMES.log_group("load"))["logStreams"]
    assert group.get("retentionInDays") == 14
    assert len(streams) > 0
