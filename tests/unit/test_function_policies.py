"""The policies of the functions that others call, and the limits of all policies."""

import json
from pathlib import Path

import pytest

import pipelines
from deployer.resources import policies
from deployer.resources.names import FunctionUse
from deployer.resources.policies import function_policy
from deployer.resources.resource_policies import Policy
from etl.loading import load
from tests.unit.rights import NAMES, allow

INGESTION, PROCESSED = NAMES.bucket_arn("ingestion"), NAMES.bucket_arn("processed")
FOLDER = Path(__file__).parent.parent / "pipelines"


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])


def listing(bucket: str, prefix: str) -> Policy:
    under = {"StringLike": {"s3:prefix": [f"{prefix}/*"]}}
    return allow("s3:ListBucket", bucket, Condition=under)


def secrets(*names: str) -> Policy:
    arns = [NAMES.secret_arn(name) for name in names]
    return allow("secretsmanager:GetSecretValue", arns)


RECEIVE = [
    allow(["sqs:SendMessage", "sqs:GetQueueAttributes"], NAMES.events_queue_arn),
    secrets("till", "stock"),
]
COLLECT = [
    allow(
        ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
        NAMES.events_queue_arn,
    ),
    allow("s3:GetObject", [f"{INGESTION}/{each}/*" for each in ("batches", "lists")]),
    allow(
        "s3:PutObject", [f"{INGESTION}/{each}/*" for each in ("till", "stock", "batches", "lists")]
    ),
    listing(INGESTION, "batches"),
]
SERVE = [
    allow("s3:GetObject", [f"{PROCESSED}/{each}/*" for each in ("loaded", "lists")]),
    listing(PROCESSED, "loaded"),
    secrets("warehouse", "sessions"),
]


@pytest.mark.parametrize(
    ("use", "own"), [("receive", RECEIVE), ("collect", COLLECT), ("serve", SERVE)]
)
def test_those_that_others_call_have_these_rights_and_no_other(
    use: FunctionUse, own: list[Policy]
) -> None:
    """Receive only queues, collect only adds to the lake, and serve only reads."""
    logs = allow(["logs:CreateLogStream", "logs:PutLogEvents"], f"{NAMES.log_group_arn(use)}:*")
    policy = function_policy(use, NAMES, load("till"), report_secrets=["warehouse", "sessions"])

    assert policy == {"Version": "2012-10-17", "Statement": [*own, logs]}


def test_a_policy_may_be_as_long_as_aws_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names each table up to the last character; one more, and it denies reserved prefixes."""
    policy = function_policy("transform", NAMES, load("totesys"))
    characters = len(json.dumps(policy, separators=(",", ":")))

    monkeypatch.setattr(policies, "POLICY_CHARACTERS", characters)
    assert function_policy("transform", NAMES, load("totesys")) == policy
    monkeypatch.setattr(policies, "POLICY_CHARACTERS", characters - 1)
    shorter = function_policy("transform", NAMES, load("totesys"))
    assert {statement["Effect"] for statement in shorter["Statement"]} == {"Allow", "Deny"}


@pytest.mark.parametrize("use", ["extract", "reconcile"])
@pytest.mark.parametrize(
    ("apis", "keys"), [(["exchange", "press"], ["exchange-api"]), (["press"], [])]
)
def test_the_key_of_an_api_is_read_where_it_wants_one(
    use: FunctionUse, apis: list[str], keys: list[str]
) -> None:
    """An API without a key has no secret, and one that is left out needs none."""
    policy = function_policy(use, NAMES, load("exchange"), apis=apis)
    reads = [each for each in policy["Statement"] if "secretsmanager" in str(each["Action"])]

    read = ["warehouse", *keys] if use == "reconcile" else keys
    assert reads == ([secrets(*read)] if read else [])


def test_lambda_connects_a_function_to_a_network_and_its_code_cannot() -> None:
    """The rights are for Lambda: a statement takes them from what runs in the function."""
    changes = [
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ]
    looks = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    before = function_policy("load", NAMES, load("totesys"))["Statement"]
    after = function_policy("load", NAMES, load("totesys"), in_network=True)["Statement"]

    assert [statement for statement in after if statement not in before] == [
        allow(changes, "arn:aws:ec2:eu-west-2:*:*/*"),
        allow(looks, "*"),
        {
            "Effect": "Deny",
            "Action": [*changes, *looks],
            "Resource": "*",
            "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": NAMES.function_arn("load")}},
        },
    ]
    assert [statement for statement in before if statement not in after] == []
