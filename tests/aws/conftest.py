"""An AWS account that moto keeps in this process, and a clock that nobody waits for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import RLock
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from deployer.aws.account import Account, connect
from deployer.aws.waiting import Waited
from deployer.configuration.settings import Settings
from tests.aws.drop import Drop
from tests.aws.sandbox import Sandbox, TinyPackages

HTTP_OK = AWSResponse("", 200, HTTPHeaders(), None)


@pytest.fixture
def settings() -> Settings:
    return Settings.read(
        {
            "SOURCE_DATABASE_URL": "postgresql://reader:Tr0ub4dor%263@db.example.com/totesys",
            "WAREHOUSE_DATABASE_URL": "postgresql://loader:Tr0ub4dor%263@db.example.com/warehouse",
            "ALERT_EMAIL": "team@example.com",
            "SANDBOX_EXPIRES_AT": "2025-01-31T18:00:00+00:00",
        }
    )


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # moto refuses a PutObject by a statement's effect and does not look at its condition.
    monkeypatch.setattr(FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL)
    # Nor does it expect requests side by side: it walks over what another one adds to.
    lock, process = RLock(), BotocoreStubber.process_request

    def one_at_a_time(stubber: BotocoreStubber, request: Any) -> Any:
        with lock:
            return process(stubber, request)

    monkeypatch.setattr(BotocoreStubber, "process_request", one_at_a_time)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


@pytest.fixture
def sleeps() -> list[float]:
    """The seconds of every sleep; the clock is their sum, so no test waits."""
    return []


@pytest.fixture
def waits() -> list[Waited]:
    """The waits of the deployment."""
    return []


@pytest.fixture
def limits() -> dict[str, dict[str, int]]:
    """The account's concurrency limits, as AWS returns them; a test may change them."""
    return {"AccountLimit": {"UnreservedConcurrentExecutions": 1000}}


@pytest.fixture
def new_account(
    aws: None,
    sleeps: list[float],
    waits: list[Waited],
    limits: dict[str, dict[str, int]],
) -> Callable[[str], Account]:
    def connected(region: str) -> Account:
        environment = {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": region,
        }
        account = connect(
            environment, report=waits.append, clock=lambda: sum(sleeps), sleep=sleeps.append
        )
        # moto does not know the limits of an account.
        answer: Any = lambda **_: (HTTP_OK, dict(limits))  # noqa: E731
        account.clients.lambda_.meta.events.register(
            "before-call.lambda.GetAccountSettings", answer
        )
        return account

    return connected


@pytest.fixture
def account(new_account: Callable[[str], Account]) -> Account:
    return new_account("eu-west-2")


@pytest.fixture
def sandbox(account: Account, settings: Settings, tmp_path: Path) -> Sandbox:
    sandbox = Sandbox(account, settings, TinyPackages(tmp_path))
    sandbox.count_writes()
    return sandbox


@pytest.fixture(autouse=True)
def first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every writer of objects draw the same number."""
    monkeypatch.setattr("functions.common.objects.randbelow", lambda _: 0)


@pytest.fixture
def drop(aws: None, request: pytest.FixtureRequest) -> Drop:
    """A bucket for files, which keeps their versions; with `VERSIONED_OR_NOT`, or does not."""
    return Drop(versioned=getattr(request, "param", True))
