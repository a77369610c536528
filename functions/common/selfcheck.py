"""Answer the event {"check": true}: whether a function starts, and reaches what it needs.

The deployer asks each function after a deployment. Nothing is written, and no finding holds a
secret or a value. A caller of an HTTP API cannot ask: its events have other fields.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from etl.errors import DeclarationError
from functions.common.errors import DatabaseUnavailableError, PipelineError
from functions.common.settings import required
from functions.common.storage import error_code
from functions.common.text import printable

CHECK = {"check": True}
SECONDS = 15.0  # for a session with a database
# For all needs together: imports take long where a machine is slow, and an answer has to be given
# before the function's timeout, of 20 seconds at least.
LONGEST_SECONDS = 45.0
SPARE_SECONDS = 4.0
CONFIG = Config(
    connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
)
ENDING = "_SECRET_ID"  # of the variables that name secrets

NO_WAY_TO_AWS = (
    "a function in private subnets needs a NAT or an endpoint for this service, and a security "
    "group that lets it out"
)
NO_WAY_TO_DATABASE = (
    "let its firewall or security group accept the function; one in a private network needs "
    "SUBNET_IDS and SECURITY_GROUP_IDS"
)
DENIED = (
    "run `python deploy.py` again, which repairs roles and creates what is missing; then look for "
    "a permissions boundary, an organisation's policy, or the policy of a key, bucket or endpoint "
    "that denies this"
)
AGAIN = "run `python deploy.py` again: it creates what is missing"
LOOK_AT_LOG = "look at the log of the function"
_UNREACHABLE = (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)


@dataclass(frozen=True)
class Need:
    """What a function needs; `look` returns how it was found, or raises why it cannot be used."""

    what: str
    look: Callable[[], str]


Needs = Callable[[], Iterable[Need]]
Finding = dict[str, Any]
"""The outcome for a need: `what`, whether it is `ok`, a `detail`, and the `next` step if any."""
Handler = Callable[..., dict[str, Any]]


def answers_checks(needs: Needs) -> Callable[[Handler], Handler]:
    """Decorate a handler: it answers the event {"check": true} with `checks`, a list of findings.

    All other events are the handler's.
    """

    def decorated(handler: Handler) -> Handler:
        @wraps(handler)
        def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
            if event != CHECK:
                return handler(event, context)
            left = context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS
            return {"checks": check(needs, min(left, LONGEST_SECONDS))}

        return handle

    return decorated


def check(needs: Needs, seconds: float) -> list[Finding]:
    """Look at all needs concurrently, for so many seconds at most; return a finding for each."""
    try:
        wanted = list(needs())
    except Exception as error:  # whatever keeps the function from its work is a finding
        return [_failed("settings and pipeline", error)]
    threads = ThreadPoolExecutor(max(1, len(wanted)))
    looking = [threads.submit(each.look) for each in wanted]
    wait(looking, timeout=seconds)
    threads.shutdown(wait=False, cancel_futures=True)
    return [
        _finding(each.what, future, seconds) for each, future in zip(wanted, looking, strict=True)
    ]


def _finding(what: str, looked: Future[str], seconds: float) -> Finding:
    if not looked.done():
        return _finding_of(what, f"no answer within {seconds:.0f} s", NO_WAY_TO_AWS)
    if (error := looked.exception()) is not None:
        return _failed(what, error)
    return {"what": what, "ok": True, "detail": printable(looked.result()), "next": ""}


def _failed(what: str, error: BaseException) -> Finding:
    return _finding_of(what, said(error), _next_step(error))


def _finding_of(what: str, detail: str, next_step: str) -> Finding:
    return {"what": what, "ok": False, "detail": printable(detail), "next": next_step}


def said(error: BaseException) -> str:
    """Return the part of an error that may be shown: our own message, or a code."""
    match error:
        case PipelineError() | DeclarationError():
            return str(error)
        case ClientError():
            return f"{error.operation_name} answered {error_code(error)}"
        case ImportError():
            return f"{type(error).__name__}: {error.name or 'a module'} cannot be imported"
    return type(error).__name__


def _next_step(error: BaseException) -> str:
    """Return what to do; nothing for one of our own messages, which end with that."""
    if isinstance(error, DatabaseUnavailableError):
        return NO_WAY_TO_DATABASE
    if isinstance(error, PipelineError | DeclarationError):
        return ""
    if isinstance(error, ClientError) and "Denied" in error_code(error):
        return DENIED
    if isinstance(error, _UNREACHABLE):
        return NO_WAY_TO_AWS
    return AGAIN if isinstance(error, BotoCoreError | ClientError | ImportError) else LOOK_AT_LOG


def of_settings() -> Iterator[Need]:
    """Yield the secrets, the queue and the topic that the function's environment names."""
    named = [name for name in sorted(os.environ) if name.endswith(ENDING) and os.environ[name]]
    secrets: Any = boto3.client("secretsmanager", config=CONFIG) if named else None
    for name in named:
        yield Need(f"secret {os.environ[name]}", partial(_read_secret, secrets, os.environ[name]))
    if url := os.environ.get("EVENTS_QUEUE_URL"):
        queue = boto3.client("sqs", config=CONFIG)
        yield Need(f"queue {url.rpartition('/')[2]}", partial(_find_queue, queue, url))
    if arn := os.environ.get("NOTICE_TOPIC_ARN"):
        topic = boto3.client("sns", config=CONFIG)
        yield Need(f"topic {arn.rpartition(':')[2]}", partial(_find_topic, topic, arn))


def bucket(setting: str, *prefixes: str) -> Need:
    """Return the need to list a bucket under prefixes, and to read an object there if it has any.

    Raises SettingsError if the environment does not name the bucket.
    """
    name = required(os.environ, setting)
    client = boto3.client("s3", config=CONFIG)
    return Need(f"bucket {name}", partial(_read_bucket, client, name, prefixes))


def _read_bucket(client: Any, name: str, prefixes: tuple[str, ...]) -> str:
    for prefix in prefixes:
        answer = client.list_objects_v2(Bucket=name, Prefix=prefix, MaxKeys=1)
        for entry in answer.get("Contents", []):
            client.get_object(Bucket=name, Key=entry["Key"])["Body"].close()
    return f"can be read under {' and '.join(prefixes)}"


def _read_secret(client: Any, name: str) -> str:
    client.get_secret_value(SecretId=name)
    return "can be read"


def _find_queue(client: Any, url: str) -> str:
    client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return "can be reached"


def _find_topic(client: Any, arn: str) -> str:
    client.get_topic_attributes(TopicArn=arn)
    return "can be reached"
