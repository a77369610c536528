"""Alarms of a deployment in the local AWS: from a figure to a message at a subscriber."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from deployer.aws.account import Account, connect
from deployer.configuration.settings import Settings
from deployer.operations.status import read_status
from deployer.resources.names import Names
from local.emulator import REGION, Emulator
from tests.aws.sandbox import Sandbox, TinyPackages

Inbox = Callable[[], list[dict[str, Any]]]

STAGE = "alerts"
PATIENCE_SECONDS = 120.0
FAILING = "def handler(event, context):\n    raise ValueError('no')\n"


@pytest.fixture(scope="module")
def account(local_aws: Emulator) -> Account:
    return connect(local_aws.environment)


@pytest.fixture(scope="module")
def names(account: Account) -> Names:
    return Names("totesys-etl", STAGE, account.id, REGION)


@pytest.fixture(scope="module")
def inbox(
    account: Account, names: Names, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Inbox]:
    """A deployment whose load always fails, and a queue that gets the messages of its topic."""
    packages = TinyPackages(tmp_path_factory.mktemp("packages"))
    packages.code = {"load": FAILING}
    settings = Settings.read(
        {
            "SOURCE_DATABASE_URL": "postgresql://reader:one@localhost/totesys",
            "WAREHOUSE_DATABASE_URL": "postgresql://loader:two@localhost/warehouse",
            "STAGE": STAGE,
            "EXTRACT_SCHEDULE": "rate(1 day)",
            "LOAD_SCHEDULE": "rate(1 day)",
        }
    )
    Sandbox(account, settings, packages).deploy()
    clients = account.clients
    arn = f"arn:aws:sqs:{REGION}:{account.id}:totesys-etl-alerts-inbox"
    from_the_topic = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": names.topic_arn}},
            }
        ],
    }
    url = clients.sqs.create_queue(
        QueueName="totesys-etl-alerts-inbox", Attributes={"Policy": json.dumps(from_the_topic)}
    )["QueueUrl"]
    clients.sns.subscribe(TopicArn=names.topic_arn, Protocol="sqs", Endpoint=arn)

    def read() -> list[dict[str, Any]]:
        answer = clients.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        return [
            json.loads(json.loads(message["Body"])["Message"])
            for message in answer.get("Messages", [])
        ]

    yield read
    clients.sqs.delete_queue(QueueUrl=url)


def wait_for(inbox: Inbox, alarm: str) -> dict[str, Any]:
    """Return the message of an alarm that rings."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        for message in inbox():
            if message["AlarmName"] == alarm and message["NewStateValue"] == "ALARM":
                return message
    raise AssertionError(f"{alarm} did not ring")


def count(account: Account, namespace: str, metric: str, service: str, value: float) -> None:
    """Count as CloudWatch does when it finds a figure in the log of a function."""
    dimensions: Any = [{"Name": "service", "Value": service}]
    account.clients.cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[{"MetricName": metric, "Dimensions": dimensions, "Value": value}],
    )


@pytest.mark.parametrize(
    ("figure", "alarm"),
    [
        (("RowsQuarantined", "transform", 1.0), "rows-quarantined"),
        (("TablesStopped", "extract", 1.0), "schema-drift"),
        (("SchemaChanges", "extract", 1.0), "schema-changes"),
        (("SourceToWarehouse", "load", 87_301.0), "freshness"),  # 15 minutes after a day
    ],
)
def test_a_figure_of_a_function_rings(
    account: Account, names: Names, inbox: Inbox, figure: tuple[str, str, float], alarm: str
) -> None:
    """Quarantine, a table left out, one that is new and a late batch each reach the subscriber."""
    count(account, names.prefix, *figure)

    message = wait_for(inbox, names.alarm(alarm))

    assert message["AlarmDescription"].endswith(".")
    assert read_status(account, names, [], datetime.now(UTC)).alarms[names.alarm(alarm)] == "ALARM"


def test_a_function_that_fails_rings(account: Account, names: Names, inbox: Inbox) -> None:
    """An error of load, as Lambda counts it, reaches the subscriber."""
    answer = account.clients.lambda_.invoke(FunctionName=names.function("load"))
    assert answer["FunctionError"] == "Unhandled"
    # The local AWS looks at its alarms when somebody counts something.
    count(account, "elsewhere", "Anything", "any", 1.0)

    wait_for(inbox, names.alarm("load-errors"))
