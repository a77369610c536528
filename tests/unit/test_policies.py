"""The rights of the functions, checked statement by statement."""

import json
from typing import get_args

import pytest

from deployer.resources.names import BucketUse, FunctionUse, Names
from deployer.resources.policies import function_policy
from deployer.resources.resource_policies import alarms_only, bucket_policy, trust_policy
from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest
from etl.loading import load

TOTESYS = load("totesys")
NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
LOGS = ("batches", "loaded", "swept")
USES: tuple[FunctionUse, ...] = get_args(FunctionUse)


def grants(use: FunctionUse) -> set[tuple[str, str]]:
    """Return every pair of action and resource that a function is allowed."""
    return {
        (action, resource)
        for statement in function_policy(use, NAMES, TOTESYS)["Statement"]
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
    }


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("use", USES)
def test_every_grant_names_its_action_and_our_resource(use: FunctionUse) -> None:
    """No action is a wildcard, and no resource belongs to anything but this deployment."""
    for action, resource in grants(use):
        assert "*" not in action
        assert NAMES.prefix in resource or f"{NAMES.project}/{NAMES.stage}/" in resource


@pytest.mark.parametrize("use", USES)
def test_a_function_writes_its_own_log_and_makes_no_group(use: FunctionUse) -> None:
    """Log streams are written in the function's own group; groups are the deployment's affair."""
    logging = {grant for grant in grants(use) if grant[0].startswith("logs:")}

    streams = f"{NAMES.log_group_arn(use)}:*"
    assert logging == {("logs:CreateLogStream", streams), ("logs:PutLogEvents", streams)}


def test_each_function_has_the_actions_it_needs_and_no_other() -> None:
    """Extract and load read a secret, each one its own; only transform, which has none, deletes."""
    common = {"logs:CreateLogStream", "logs:PutLogEvents"}
    objects = {"s3:GetObject", "s3:PutObject", "s3:ListBucket"}
    secret = "secretsmanager:GetSecretValue"

    assert {action for action, _ in grants("extract")} == {*common, *objects, secret}
    assert {action for action, _ in grants("transform")} == {
        *common,
        *objects,
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "sqs:SendMessage",
    }
    assert {action for action, _ in grants("load")} == {*common, *objects, secret}
    assert {arn for action, arn in grants("extract") if action == secret} == {
        NAMES.secret_arn("source")
    }
    assert {arn for action, arn in grants("load") if action == secret} == {
        NAMES.secret_arn("warehouse")
    }


def test_functions_write_where_the_next_one_reads() -> None:
    """Extract writes the lake, transform the stars and the quarantine, load only its markers."""
    written = {
        use: {arn for action, arn in grants(use) if action == "s3:PutObject"} for use in USES
    }
    ingestion, processed = NAMES.bucket_arn("ingestion"), NAMES.bucket_arn("processed")

    assert written["load"] == {f"{processed}/loaded/*", f"{processed}/refused/*"}
    lake = ("source", "tombstones", "batches", "keys")
    assert written["extract"] == {f"{ingestion}/{prefix}/*" for prefix in lake}
    assert len(written["transform"]) == 17
    assert {f"{processed}/fact_sales_order/*", f"{processed}/quarantine/*"} <= written["transform"]
    assert not written["transform"] & {f"{processed}/loaded/*", f"{ingestion}/batches/*"}


def test_reconcile_reads_the_logs_and_no_row_of_a_batch() -> None:
    """It reads manifests, keys, the quarantine and tombstones, and writes no object."""
    ingestion, processed = NAMES.bucket_arn("ingestion"), NAMES.bucket_arn("processed")
    objects = {grant for grant in grants("reconcile") if grant[0].startswith("s3:")}

    assert objects == {
        *(("s3:ListBucket", bucket) for bucket in (ingestion, processed)),
        *(("s3:GetObject", f"{ingestion}/{kept}/*") for kept in ("batches", "keys")),
        *(("s3:GetObject", f"{processed}/{kept}/*") for kept in ("batches", "loaded")),
        *(("s3:GetObject", f"{processed}/{kept}/*") for kept in ("quarantine", "tombstones")),
    }


def test_the_page_reads_the_logs_and_writes_itself_alone() -> None:
    """It sees no row of a batch but those in quarantine, whose reasons it counts."""
    ingestion, processed = NAMES.bucket_arn("ingestion"), NAMES.bucket_arn("processed")
    allowed = {grant for grant in grants("page") if not grant[0].startswith("logs:")}

    assert allowed == {
        *(("s3:ListBucket", bucket) for bucket in (ingestion, processed)),
        ("s3:GetObject", f"{ingestion}/batches/*"),
        *(("s3:GetObject", f"{processed}/{kept}/*") for kept in ("batches", "loaded")),
        *(("s3:GetObject", f"{processed}/{kept}/*") for kept in ("quarantine", "page")),
        ("s3:PutObject", f"{processed}/page/*"),
        ("secretsmanager:GetSecretValue", NAMES.secret_arn("warehouse")),
    }


def test_a_pipeline_of_many_tables_has_policies_that_aws_accepts() -> None:
    """With more tables than a policy has room for, a function still touches no other's objects."""
    tables = [
        Table(f"a_table_of_a_long_name_{number}", key="id", columns={"id": Integer()})
        for number in range(400)
    ]
    many = Pipeline(
        sources=[Postgres("source", tuple(tables))],
        targets=[PostgresWarehouse("warehouse", tuple(latest(table) for table in tables))],
    )
    processed = NAMES.bucket_arn("processed")

    for use in USES:
        policy = function_policy(use, NAMES, many, writes_notices=True)
        assert len(json.dumps(policy, separators=(",", ":"))) <= 10_240
    denied = {
        (statement["Action"], resource)
        for statement in function_policy("transform", NAMES, many)["Statement"]
        if statement["Effect"] == "Deny"
        for resource in statement["Resource"]
    }
    assert {("s3:DeleteObject", f"{processed}/{log}/*") for log in LOGS} <= denied
    assert ("s3:PutObject", f"{processed}/loaded/*") in denied
    assert ("s3:PutObject", f"{processed}/batches/*") not in denied


def test_no_function_removes_a_manifest_or_a_marker() -> None:
    """Transform removes data that no manifest names, and never what the logs are made of."""
    removed = {arn for action, arn in grants("transform") if action == "s3:DeleteObject"}
    logs = {f"{NAMES.bucket_arn(use)}/{log}/*" for use in get_args(BucketUse) for log in LOGS}

    assert f"{NAMES.bucket_arn('ingestion')}/keys/*" in removed
    assert not removed & logs


@pytest.mark.parametrize("use", USES)
def test_who_writes_notices_may_publish_to_our_topic_alone(use: FunctionUse) -> None:
    """The right to publish comes with the notices, and is for the one topic."""
    before = function_policy(use, NAMES, TOTESYS)["Statement"]
    after = function_policy(use, NAMES, TOTESYS, writes_notices=True)["Statement"]

    assert [statement for statement in after if statement not in before] == [
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": NAMES.topic_arn}
    ]


def test_only_our_alarms_publish_by_themselves() -> None:
    """The topic takes messages from CloudWatch for an alarm of this deployment, nothing else."""
    (statement,) = alarms_only(NAMES)["Statement"]

    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Action"] == "sns:Publish"
    assert statement["Resource"] == NAMES.topic_arn
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {
            "aws:SourceArn": "arn:aws:cloudwatch:eu-west-2:123456789012:alarm:totesys-etl-dev-*"
        },
    }


def test_only_lambda_acts_in_a_role() -> None:
    """A role is for Lambda on behalf of this account, and for nobody else."""
    (statement,) = trust_policy(NAMES)["Statement"]

    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
    }


@pytest.mark.parametrize("use", ["ingestion", "processed"])
def test_no_object_of_the_functions_is_ever_overwritten(use: BucketUse) -> None:
    """A role that may write manifests may not replace one: S3 refuses what is not conditional."""
    tls, once = bucket_policy(use, NAMES)["Statement"]
    arn = NAMES.bucket_arn(use)
    for_people = {"NotResource": [f"{arn}/{each}/*" for each in ("errors", "exports", "page")]}

    assert once == {
        "Sid": "WrittenOnce",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        **({"Resource": f"{arn}/*"} if use == "ingestion" else for_people),
        "Condition": {
            "Null": {"s3:if-none-match": "true"},
            "Bool": {"s3:ObjectCreationOperation": "true"},
        },
    }
    assert tls["Sid"] == "TlsOnly"


@pytest.mark.parametrize("use", get_args(BucketUse))
def test_every_bucket_refuses_what_is_not_encrypted(use: BucketUse) -> None:
    """Neither the bucket nor an object in it is reached without TLS."""
    tls = bucket_policy(use, NAMES)["Statement"][0]
    arn = NAMES.bucket_arn(use)

    assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", "s3:*")
    assert tls["Resource"] == [arn, f"{arn}/*"]
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
