"""The Lambda function `serve`: answers requests for a pipeline's reports from its warehouse.

It only reads. Clients wait while it starts, so it imports neither pyarrow nor pandas. Its logs have
nothing of a request's headers and parameters.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from etl.loading import folder, load
from etl.pipeline import Pipeline
from etl.reports import OWN_PATHS
from functions.common import selfcheck
from functions.common.errors import (
    DatabaseAccessError,
    DatabaseUnavailableError,
    WarehouseSetupError,
)
from functions.common.secrets import Secrets
from functions.common.settings import required
from functions.common.storage import Bucket
from functions.serve import openapi
from functions.serve.callers import require_known
from functions.serve.problems import (
    AGAIN_LATER,
    Problem,
    failed,
    not_allowed,
    not_found,
    too_many,
    unavailable,
)
from functions.serve.reports import Reports, values_of
from functions.serve.requests import Answer, Request, response_of
from functions.serve.throttle import Throttle
from functions.serve.warehouse import Warehouse
from functions.targets import Place
from functions.targets.reading import needs_of

# Three attempts of 3 seconds at most: API Gateway waits for 30.
CLIENT_CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 3},
    tcp_keepalive=True,
)

logger = Logger(utc=True)


@dataclass(frozen=True)
class Service:
    """The state that a warm function keeps between requests."""

    pipeline: Pipeline
    name: str
    secrets: Secrets
    warehouse: Warehouse
    reports: Reports
    throttle: Throttle


@cache
def _service() -> Service:
    name = required(os.environ, "PIPELINE")
    pipeline = load(name)
    [target] = pipeline.targets
    options = {each.name: each.value(os.environ) for each in pipeline.settings}
    secrets = boto3.client("secretsmanager", config=CLIENT_CONFIG)
    bucket = Bucket(
        boto3.client("s3", config=CLIENT_CONFIG), required(os.environ, "PROCESSED_BUCKET")
    )
    return Service(
        pipeline,
        name,
        Secrets(secrets),
        Warehouse(Place(target, folder(name), os.environ, secrets, options)),
        Reports(pipeline, folder(name), options, bucket),
        Throttle(float(required(os.environ, "REPORTS_RATE")), time.monotonic),
    )


def now() -> datetime:
    """Return the time by which a report determines the day."""
    return datetime.now(UTC)


def _needs() -> Iterator[selfcheck.Need]:
    yield from selfcheck.of_settings()
    yield selfcheck.bucket("PROCESSED_BUCKET", "loaded/")
    yield from needs_of([_service().warehouse.place], selfcheck.SECONDS)


# Explicitly, because an environment variable could have whole events logged.
@selfcheck.answers_checks(_needs)
@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a request of an HTTP API, payload format 2.0; see docs/reports.md."""
    began = time.monotonic()
    try:
        request = Request.of(event)
        logger.append_keys(request=request.id)
        response = _answer(_service(), request).response(request)
    except Exception as error:  # its text may quote the request: never log it
        problem = _problem(error)
        response = response_of(problem)
        logger.warning("no report", reason=problem.reason, status=problem.status.value)
    else:
        milliseconds = round(1000 * (time.monotonic() - began))
        logger.info("answered", status=response["statusCode"], milliseconds=milliseconds)
    return response


def _answer(service: Service, request: Request) -> Answer:
    """Return the answer to a request of an authorized caller; raise Problem if there is none."""
    if not service.throttle.allows():
        raise too_many()
    require_known(request, os.environ, service.secrets)
    report = service.reports.of(request.path)
    if report is None and request.path not in OWN_PATHS:
        raise not_found()
    logger.append_keys(path=request.path)  # it is declared
    if request.method != "GET":
        raise not_allowed()
    values = values_of(report.parameters if report else {}, request, now())
    if report is not None:
        return service.warehouse.ask(lambda reader: service.reports.answer(report, values, reader))
    if request.path == "/health":
        return service.warehouse.ask(service.reports.health)
    by_iam = os.environ.get("REPORTS_AUTH") == "iam"
    return Answer.of(openapi.description(service.pipeline, service.name, by_iam=by_iam))


def _problem(error: Exception) -> Problem:
    """Return the problem for an error, and log the part of it that may be logged."""
    if isinstance(error, Problem):
        return error
    logger.error("failed", error=selfcheck.said(error))
    if isinstance(error, DatabaseUnavailableError):
        return unavailable("warehouse_unavailable")
    if isinstance(error, DatabaseAccessError | WarehouseSetupError):
        return unavailable("warehouse_not_ready", AGAIN_LATER)
    if isinstance(error, BotoCoreError | ClientError):
        return unavailable("aws_unavailable")
    return failed("failed")
