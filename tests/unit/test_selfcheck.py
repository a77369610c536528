"""A function's own check: when it is asked for, and what it says of what it finds."""

from collections.abc import Callable, Iterator
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError, EndpointConnectionError

from etl import DeclarationError
from functions.common import selfcheck
from functions.common.errors import DatabaseUnavailableError, WarehouseSetupError
from functions.common.selfcheck import Need, answers_checks, check

CONTEXT = cast("LambdaContext", SimpleNamespace(get_remaining_time_in_millis=lambda: 20_000))


def denied(code: str) -> ClientError:
    error: Any = {"Error": {"Code": code, "Message": "a value"}}
    return ClientError(error, "GetObject")


def raising(error: Exception) -> Need:
    def look() -> str:
        raise error

    return Need("bucket lake", look)


def failing(error: Exception) -> tuple[str, str]:
    """Return the detail and the next step of a need whose look raises."""
    [found] = check(lambda: [raising(error)], seconds=5)
    assert not found["ok"]
    return found["detail"], found["next"]


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"check": False},
        {"check": "true"},
        {"check": True, "requestContext": {"http": {"method": "POST"}}},
        {"body": '{"check": true}', "requestContext": {}},
        {"Records": [{"check": True}]},
    ],
)
def test_every_other_event_is_for_the_handler(event: dict[str, Any]) -> None:
    """A schedule, a bucket, a queue or a caller of an API never causes a check."""

    @answers_checks(lambda: pytest.fail("checked"))
    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return {"handled": event}

    assert handler(event, CONTEXT) == {"handled": event}


def test_a_check_does_nothing_else() -> None:
    """The handler is not called, and each need has its finding, in order."""

    @answers_checks(lambda: [Need("a", lambda: "is \x1b there"), raising(ValueError("a value"))])
    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        pytest.fail("handled")

    assert handler({"check": True}, CONTEXT) == {
        "checks": [
            {"what": "a", "ok": True, "detail": "is \\x1b there", "next": ""},
            {
                "what": "bucket lake",
                "ok": False,
                "detail": "ValueError",
                "next": "look at the log of the function",
            },
        ]
    }


@pytest.mark.parametrize(
    ("error", "detail", "next_step"),
    [
        (denied("AccessDenied"), "GetObject answered AccessDenied", selfcheck.DENIED),
        (
            denied("KMSAccessDeniedException"),
            "GetObject answered KMSAccessDeniedException",
            selfcheck.DENIED,
        ),
        (denied("NoSuchBucket"), "GetObject answered NoSuchBucket", selfcheck.AGAIN),
        (
            EndpointConnectionError(endpoint_url="https://sqs"),
            "EndpointConnectionError",
            selfcheck.NO_WAY_TO_AWS,
        ),
        (
            DatabaseUnavailableError("database a at b: cannot be reached"),
            "database a at b: cannot be reached",
            selfcheck.NO_WAY_TO_DATABASE,
        ),
        (
            WarehouseSetupError("no right to INSERT: ask for it"),
            "no right to INSERT: ask for it",
            "",
        ),
        (DeclarationError("line 1: pandas"), "line 1: pandas", ""),
        (
            ModuleNotFoundError("No module", name="pandas"),
            "ModuleNotFoundError: pandas cannot be imported",
            selfcheck.AGAIN,
        ),
    ],
)
def test_what_to_do_follows_from_the_error(error: Exception, detail: str, next_step: str) -> None:
    """The detail is our own message or a code, without what AWS or a driver quotes."""
    assert failing(error) == (detail, next_step)


def test_what_does_not_answer_is_a_finding_in_time() -> None:
    """A function without a way out does not hold up the deployment; the others are looked at."""
    over = Event()
    looks: dict[str, Callable[[], str]] = {
        "silent": lambda: f"late: {over.wait(60)}",
        "there": lambda: "can be reached",
    }

    found = check(lambda: [Need(what, look) for what, look in looks.items()], seconds=2)
    over.set()

    assert [(each["what"], each["ok"]) for each in found] == [("silent", False), ("there", True)]
    assert found[0]["next"] == selfcheck.NO_WAY_TO_AWS


@pytest.mark.parametrize(("milliseconds", "seconds"), [(20_000, 16), (60_000, 45), (900_000, 45)])
def test_an_answer_comes_before_the_timeout_of_the_function(
    monkeypatch: pytest.MonkeyPatch, milliseconds: int, seconds: float
) -> None:
    """A function with 20 seconds answers in 16; a slow machine has more where there is more."""
    given: list[float] = []
    monkeypatch.setattr(selfcheck, "check", lambda _, seconds: given.append(seconds))
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)

    answers_checks(list)(lambda event, context: {})({"check": True}, context)

    assert given == [seconds]


def test_a_pipeline_that_cannot_be_loaded_is_a_finding() -> None:
    """Whatever keeps the function from its work is reported as all others."""

    def needs() -> Iterator[Need]:
        yield Need("first", lambda: "there")
        raise DeclarationError("pipelines/shop/pipeline.py, line 3: it has no PIPELINE")

    assert check(needs, seconds=5) == [
        {
            "what": "settings and pipeline",
            "ok": False,
            "detail": "pipelines/shop/pipeline.py, line 3: it has no PIPELINE",
            "next": "",
        }
    ]
