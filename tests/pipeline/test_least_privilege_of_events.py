"""The roles of receive and collect have what they need, and nothing that they can do without.

As the roles of the other functions: under them, on a local AWS that enforces IAM.
"""

import time
from pathlib import Path

import boto3
import pytest

import pipelines
from deployer.configuration.settings import Settings
from deployer.operations.webhooks import signed_headers
from functions.common.batchlog import BatchLog
from local.emulator import Emulator
from tests.pipeline.aws_calls import of_lambda_for_collect
from tests.pipeline.roles import Roles, deployed, without_need

FOLDER = Path(__file__).parent.parent / "pipelines"
BODY = b'{"id": "s1", "type": "sale.made"}'


@pytest.fixture
def roles(local_aws: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Roles:
    """A deployment of the till, in its own account; both of its providers have a secret."""
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])
    settings = Settings.read(
        {
            "PIPELINE": "till",
            "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@127.0.0.1/warehouse",
            "TILL_WEBHOOK_SECRET": "whsec_till",
            "STOCK_WEBHOOK_SECRET": "whsec_stock",
        }
    )
    environment = {**local_aws.environment, "AWS_ACCESS_KEY_ID": "777777777778"}
    return deployed(settings, environment, monkeypatch, tmp_path)


def _post(roles: Roles, name: str) -> int:
    """Have receive take an event of a source; return the status of its answer."""
    source = roles.settings.declared.source(name)
    [secret] = roles.settings.webhooks[name]
    headers = signed_headers(source, secret, BODY, time.time())  # type: ignore[arg-type]
    answer = roles.run(
        "receive",
        {
            "requestContext": {"requestId": "1", "http": {"method": "POST"}},
            "rawPath": f"/webhooks/{name}",
            "headers": headers,
            "body": BODY.decode(),
            "isBase64Encoded": False,
        },
    )
    status: int = answer["statusCode"]
    return status


def _collect(roles: Roles, queue: str) -> None:
    """Have collect take what is in the queue."""
    sqs = boto3.client("sqs")
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    arn = roles.names.events_queue_arn
    records = [
        {"messageId": each["MessageId"], "body": each["Body"], "eventSourceARN": arn}
        for each in messages
    ]
    assert roles.run("collect", {"Records": records}) == {"batchItemFailures": []}


def test_no_right_of_receive_and_collect_can_be_done_without(
    roles: Roles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Take away any grant of either role: a call that the function makes is refused."""
    queue = roles.names.events_queue_url
    assert _post(roles, "till") == 500  # no other role than receive's own may send
    roles.account.clients.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": ""})
    roles.account.clients.lambda_.delete_event_source_mapping(UUID=_mapping(roles))
    newest = BatchLog.newest
    stale: list[int] = []
    monkeypatch.setattr(BatchLog, "newest", lambda log: stale.pop() if stale else newest(log))
    for _ in range(2):
        assert [_post(roles, name) for name in ("till", "stock")] == [200, 200]
        _collect(roles, queue)
        # The next time another run has the number already: whose it is has to be read.
        stale += [0, 0]
    assert all(each["ok"] for each in roles.run("receive", {"check": True})["checks"])
    roles.calls["collect"] += of_lambda_for_collect(roles.names)

    assert without_need(roles, "receive", "collect") == ([], [])


def _mapping(roles: Roles) -> str:
    [mapping] = roles.account.clients.lambda_.list_event_source_mappings()["EventSourceMappings"]
    return mapping["UUID"]
