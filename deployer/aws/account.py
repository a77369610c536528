"""The AWS account: the caller's identity, the clients, and the gate that every write goes through.

Reads use the clients directly, writes `Account.write`: a plan makes none.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from deployer.aws.waiting import Patience, Waited
from deployer.configuration.databases import is_loopback
from deployer.configuration.organisation import require_allowed
from deployer.errors import SettingsError, explaining
from deployer.resources.names import partition_of

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient


# An invocation must not be repeated because its answer is late. What runs for long is followed by
# what it stores: `deployer/operations/invocations.py`.
INVOKING = Config(read_timeout=180, retries={"total_max_attempts": 1})


@dataclass(frozen=True)
class Clients:
    """One client for each service; threads may share clients, but not sessions."""

    s3: "S3Client"
    iam: "IAMClient"
    lambda_: "LambdaClient"
    invoking: "LambdaClient"
    logs: "CloudWatchLogsClient"
    events: "EventBridgeClient"
    secrets: "SecretsManagerClient"
    sqs: "SQSClient"
    sns: "SNSClient"
    cloudwatch: "CloudWatchClient"
    tagging: "ResourceGroupsTaggingAPIClient"
    apigateway: Any  # the types of these four are not installed
    glue: Any
    ec2: Any
    kms: Any


@dataclass(frozen=True)
class Account:
    """An AWS account in one region; `endpoint` is None for AWS itself, `caller` our ARN there."""

    id: str
    region: str
    endpoint: str | None
    clients: Clients
    patience: Patience
    planning: bool = False
    caller: str = ""

    @property
    def partition(self) -> str:
        """The partition of the region, as ARNs name it."""
        return partition_of(self.region)

    @property
    def is_local(self) -> bool:
        """Whether it is an emulator on this machine."""
        return self.endpoint is not None and is_loopback(urlsplit(self.endpoint).hostname or "")

    @property
    def speaks_tls(self) -> bool:
        """Whether calls are encrypted; only those to an emulator on this machine may not be."""
        return self.endpoint is None or urlsplit(self.endpoint).scheme == "https"

    def write(self, call: Callable[[], object]) -> None:
        """Make a write, waiting until AWS is ready for it; in a plan, do nothing."""
        if not self.planning:
            self.patience.retry(call)


def ignore(_: Waited) -> None:
    """Report nothing."""


def connect(
    environment: Mapping[str, str],
    *,
    planning: bool = False,
    report: Callable[[Waited], None] = ignore,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Account:
    """Connect to the account that the AWS_* variables of `environment` name; look up the caller.

    boto3 finds the rest by itself (profiles, single sign-on).

    Raises:
        SettingsError: no region, an endpoint without TLS that is not on this machine, or an account
            that ALLOWED_ACCOUNTS does not list.
        CredentialsError: AWS does not accept the credentials.
    """
    session = _session(environment)
    if not session.region_name:
        raise SettingsError(["AWS_REGION is not set. Example: AWS_REGION=eu-west-2"])
    endpoint = environment.get("AWS_ENDPOINT_URL") or None
    config = _config(endpoint).merge(_application_id(environment))
    with explaining("AWS account"):
        sts = session.client("sts", endpoint_url=endpoint, config=config)
        identity = sts.get_caller_identity()
        clients = _clients(session, endpoint, config, INVOKING.merge(_application_id(environment)))
    account = Account(
        id=identity["Account"],
        region=session.region_name,
        endpoint=endpoint,
        clients=clients,
        patience=Patience(clock, sleep, report),
        planning=planning,
        caller=identity["Arn"],
    )
    if not account.is_local:
        require_allowed(account.id, environment)
    return account


def _session(environment: Mapping[str, str]) -> boto3.Session:
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    key = environment.get("AWS_ACCESS_KEY_ID")
    try:
        if not key:
            return boto3.Session(
                profile_name=environment.get("AWS_PROFILE") or None, region_name=region
            )
        return boto3.Session(
            aws_access_key_id=key,
            aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=environment.get("AWS_SESSION_TOKEN") or None,
            region_name=region,
        )
    except BotoCoreError as error:
        raise SettingsError(
            [f"AWS_PROFILE or AWS_ACCESS_KEY_ID cannot be used: {error}"]
        ) from error


def _config(endpoint: str | None) -> Config:
    if endpoint is None:
        return Config(retries={"mode": "standard", "total_max_attempts": 5})
    parts = urlsplit(endpoint)
    local = is_loopback(parts.hostname or "")
    if parts.scheme != "https" and not local:
        raise SettingsError(
            ["AWS_ENDPOINT_URL must be https. Example: AWS_ENDPOINT_URL=https://aws.example.com"]
        )
    return Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        # A bucket's name in front of an emulator's host name does not resolve.
        s3={"addressing_style": "path"},
        proxies={} if local else None,
    )


def _application_id(environment: Mapping[str, str]) -> Config:
    """Return the configuration of our id in `User-Agent`; the local AWS knows its owner by it."""
    name = environment.get("AWS_SDK_UA_APP_ID") or None
    return Config(user_agent_appid=name)  # type: ignore[call-arg]  # not in the stubs


def _clients(
    session: boto3.Session, endpoint: str | None, config: Config, invoking: Config
) -> Clients:
    return Clients(
        s3=session.client("s3", endpoint_url=endpoint, config=config),
        iam=session.client("iam", endpoint_url=endpoint, config=config),
        lambda_=session.client("lambda", endpoint_url=endpoint, config=config),
        invoking=session.client("lambda", endpoint_url=endpoint, config=invoking),
        logs=session.client("logs", endpoint_url=endpoint, config=config),
        events=session.client("events", endpoint_url=endpoint, config=config),
        secrets=session.client("secretsmanager", endpoint_url=endpoint, config=config),
        sqs=session.client("sqs", endpoint_url=endpoint, config=config),
        sns=session.client("sns", endpoint_url=endpoint, config=config),
        cloudwatch=session.client("cloudwatch", endpoint_url=endpoint, config=config),
        tagging=session.client("resourcegroupstaggingapi", endpoint_url=endpoint, config=config),
        apigateway=session.client("apigatewayv2", endpoint_url=endpoint, config=config),
        glue=session.client("glue", endpoint_url=endpoint, config=config),
        kms=session.client("kms", endpoint_url=endpoint, config=config),
        ec2=session.client("ec2", endpoint_url=endpoint, config=config),
    )
