"""One invocation of a function in its own process, which may be made to die at a chosen place.

A server that has everything imported forks the processes, so each costs a few milliseconds. This
module is imported by the server, and run by the processes.
"""

import io
import json
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Literal
from uuid import uuid4

os.environ.setdefault("PIPELINE", "totesys")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "tests")
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "tests")

import boto3
import pg8000.core
import pymysql.connections
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HTTPHeaders
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session

import functions
import pipelines
from functions.collect import handler as collect_handler
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from functions.receive import handler as receive_handler
from functions.sources.postgres import filling
from functions.transform import handler as transform_handler


def import_lake() -> Any:
    """Return the module of `lake`, which needs packages that nothing else here does."""
    import_module("tests.lake")
    return import_module("functions.lake.handler")


def _lake(event: dict[str, Any], context: Any) -> dict[str, Any]:
    result: dict[str, Any] = import_lake().handler(event, context)
    return result


HANDLERS: dict[str, Callable[[dict[str, Any], Any], dict[str, Any]]] = {
    "extract": extract_handler.handler,
    "transform": transform_handler.handler,
    "load": load_handler.handler,
    "receive": receive_handler.handler,
    "collect": collect_handler.handler,
    "lake": _lake,
}
MORE_PIPELINES = "TEST_PIPELINES"
"""The setting with a folder of further pipelines: this process knows nothing of the test's own."""
ROWS_AT_ONCE = "TEST_ROWS_AT_ONCE"
"""The setting with how many rows a batch holds of tables that are read whole."""

SCHEDULED = {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events"}
PAUSE_SECONDS = 0.1  # a tenth of what the server's statistics lag behind
OUR_CODE = str(Path(functions.__file__).parent)

How = Literal[
    "die before", "die after", "InternalError", "SlowDown", "timeout", "answer lost", "hang"
]
FOR_PEOPLE = re.compile("/exports/")  # written whatever is there
OF_LAKE = re.compile("/lake/")  # under names that nothing else has
FOR_PEOPLE_KNOWN = re.compile("/errors/")  # written over what the function has seen
ERRORS = {"InternalError": 500, "SlowDown": 503}


@dataclass(frozen=True)
class S3Fault:
    """A fault of `times` calls of an operation from the nth on, of keys that hold a text.

    That of an operation of Glue is one of Glue, whose calls have no key.
    """

    operation: Literal[
        "PutObject", "GetObject", "ListObjectsV2", "ListObjectVersions",
        "GetTable", "CreateTable", "UpdateTable",
    ]  # fmt: skip
    text: str
    nth: int
    how: How
    times: int = 1

    @property
    def service(self) -> str:
        """Whose fault it is."""
        return "Glue" if self.operation.endswith("Table") else "S3"


@dataclass(frozen=True)
class Fate:
    """The planned end of an invocation.

    It dies at a step (a call or a return of the functions' own code), at a message of a database
    (of COPY from PostgreSQL, or one of both sides of a statement of MySQL), or as `s3` says;
    `kill_after` are seconds until somebody else kills it. Its process is warm from `earlier`
    invocations by a schedule, in which it may end as well.
    """

    s3: S3Fault | None = None
    die_at_step: int | None = None
    die_at_message: int | None = None
    kill_after: float | None = None
    earlier: int = 0


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended: with a result, with an error (its class and base classes), or dead.

    `suffered` says whether the S3 fault happened, `earlier` has the results of the process before.
    """

    result: dict[str, Any] | None = None
    families: tuple[str, ...] = ()
    message: str = ""
    trace: str = ""
    suffered: bool = False
    earlier: tuple[dict[str, Any], ...] = ()


class Context:
    """The invocation context that Lambda passes to a function."""

    function_name = "test"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:eu-west-2:123456789012:function:test"

    def __init__(self) -> None:
        self.aws_request_id = str(uuid4())

    def get_remaining_time_in_millis(self) -> int:
        return 600_000


def run(
    function: str,
    event: dict[str, Any],
    *,
    environment: dict[str, str],
    fate: Fate,
    answer: Connection,
    log: str,
) -> None:
    """Invoke a function here and now, and send its Outcome to whoever waits for it."""
    settle_in(environment, log)
    fault = _prepare(fate)
    earlier: list[dict[str, Any]] = []
    try:
        for _ in range(fate.earlier):
            earlier.append(HANDLERS[function](SCHEDULED, Context()))
            time.sleep(PAUSE_SECONDS)
        result = HANDLERS[function](event, Context())
        json.dumps(result)  # as Lambda does
        outcome = Outcome(result)
    except Exception as error:
        families = tuple(kind.__name__ for kind in type(error).__mro__)
        outcome = Outcome(None, families, str(error), traceback.format_exc())
    outcome = replace(outcome, suffered=fault.suffered, earlier=tuple(earlier))
    sys.setprofile(None)
    answer.send(outcome)


def settle_in(environment: dict[str, str], log: str) -> None:
    """Let this process have the settings of a function, and write into a log."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(environment)
    if folder := environment.get(MORE_PIPELINES):
        pipelines.__path__.append(folder)
    if rows := environment.get(ROWS_AT_ONCE):
        filling.ROWS_AT_ONCE = int(rows)
    os.environ.pop("AWS_PROFILE", None)  # its files have been read: see `warm_up`
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)


def die() -> None:
    """End at once, without any goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)


def _prepare(fate: Fate) -> "_FaultyS3":
    fault = _FaultyS3(fate.s3)
    for service in ("s3", "glue"):
        boto3._get_default_session().events.register(f"before-send.{service}.*", fault)
    if fate.die_at_message is not None:
        _die_at_message(fate.die_at_message)
    if fate.die_at_step is not None:
        _die_at_step(fate.die_at_step)
    return fault


def _die_at_step(last: int) -> None:
    steps = iter(range(1, last))

    def count(frame: FrameType, event: str, argument: object) -> None:
        ours = event in ("call", "return") and frame.f_code.co_filename.startswith(OUR_CODE)
        if ours and next(steps, None) is None:
            die()

    threading.setprofile(count)
    sys.setprofile(count)


def _die_at_message(last: int) -> None:
    messages = iter(range(1, last))

    def count() -> None:
        if next(messages, None) is None:
            die()

    pass_on, run = pg8000.core.CoreConnection.handle_COPY_DATA, pymysql.connections.Connection.query

    def copy(connection: Any, data: bytes, context: Any) -> None:
        count()
        pass_on(connection, data, context)

    def query(connection: Any, *statement: Any) -> Any:
        count()
        rows = run(connection, *statement)
        count()
        return rows

    pg8000.core.CoreConnection.handle_COPY_DATA = copy
    pymysql.connections.Connection.query = query  # type: ignore[assignment,method-assign]


class _FaultyS3:
    """S3 on a bad day: a hook in botocore, below its retries.

    It also insists that nothing is ever asked of S3 that could change or remove an object, but for
    what people look at.
    """

    def __init__(self, fault: S3Fault | None) -> None:
        self._fault = fault
        self._calls = 0
        self.suffered = False

    def __call__(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> Any:
        if event_name.startswith("before-send.s3."):
            self._insist(request)
        fault = self._fault
        if fault is None or not event_name.endswith(f".{fault.operation}"):
            return None
        if fault.text not in str(request.url):
            return None
        self._calls += 1
        if not fault.nth <= self._calls < fault.nth + fault.times:
            return None
        self.suffered = True
        return self._fail(request, fault.how, event_name)

    def _insist(self, request: AWSPreparedRequest) -> None:
        is_new = request.headers.get("If-None-Match") in ("*", b"*")
        is_known = "If-Match" in request.headers and FOR_PEOPLE_KNOWN.search(request.url)
        is_free = FOR_PEOPLE.search(request.url) or OF_LAKE.search(request.url)
        if request.method == "PUT" and not (is_new or is_known or is_free):
            raise AssertionError(f"{request.url} is written whether or not it is there")
        if request.method not in ("GET", "PUT", "HEAD"):
            raise AssertionError(f"{request.method} {request.url}")

    def _fail(self, request: AWSPreparedRequest, how: How, event_name: str) -> Any:
        if how in ERRORS:
            body = f"<Error><Code>{how}</Code><Message>injected</Message></Error>"
            if ".glue." in event_name:
                body = json.dumps({"__type": how, "message": "injected"})
            return AWSResponse(str(request.url), ERRORS[how], HTTPHeaders(), _Body(body.encode()))
        if how == "hang":
            time.sleep(0.5)
            return None
        if how in ("die after", "answer lost"):
            URLLib3Session().send(request)
        if how in ("die before", "die after"):
            die()
        raise ReadTimeoutError(endpoint_url=request.url)


class _Body(io.BytesIO):
    """The body of an answer, as urllib3 gives it."""

    def stream(self, *_: object, **__: object) -> Any:
        yield self.read()


def warm_up() -> None:
    """Read what boto3 reads for a first client, so that the processes find it read.

    Nothing of a user's own configuration is wanted here.
    """
    os.environ.update({"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull})
    os.environ.pop("AWS_PROFILE", None)
    for service in ("s3", "secretsmanager", "glue"):
        boto3.client(
            service,
            region_name="eu-west-2",
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
