"""Shared by the tests of a teardown: one of the deployment in the sandbox, and its outcomes."""

from deployer.receipt import Receipt
from deployer.resources.names import Names
from deployer.teardown import Teardown
from tests.aws.sandbox import Sandbox

INGESTION = "totesys-etl-dev-123456789012-eu-west-2-ingestion"

LOAD_LOGS = "/aws/lambda/totesys-etl-dev-load"

NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")

DATABASES = ("source", "warehouse")


def teardown(sandbox: Sandbox, keep_data: bool = False) -> Teardown:
    account = sandbox.account
    names = Names(sandbox.settings.project, sandbox.settings.stage, account.id, account.region)
    return Teardown(account, names, sandbox.events.append, DATABASES, keep_data=keep_data)


def outcomes(receipt: Receipt) -> dict[str, list[str]]:
    """Return the kinds of the things with each outcome."""
    found: dict[str, list[str]] = {}
    for entry in receipt.entries:
        found.setdefault(entry.outcome, []).append(entry.kind)
    return found


def put(sandbox: Sandbox, *keys: str) -> None:
    for key in keys:
        sandbox.account.clients.s3.put_object(Bucket=INGESTION, Key=key, Body=b"x")
