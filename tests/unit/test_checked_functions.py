"""How the deployer asks functions whether they reach what they need, and what it makes of it."""

import io
import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from deployer.aws.account import Account, Clients
from deployer.aws.waiting import Patience, Waited
from deployer.errors import OperationError
from deployer.operations.findings import Finding, ok, to_do, unknown
from deployer.operations.selfcheck import NEW_ROLE_SECONDS, ask_functions, require_working
from deployer.resources.names import FunctionUse, Names

NAMES = Names("shop-etl", "dev", "123456789012", "eu-west-2")
Answer = dict[str, Any] | ClientError


def well(what: str = "secret one") -> dict[str, Any]:
    return {"what": what, "ok": True, "detail": "can be read", "next": ""}


def bad(detail: str, next_step: str = "") -> dict[str, Any]:
    return {"what": "bucket lake", "ok": False, "detail": detail, "next": next_step}


def refused(code: str, message: str = "") -> ClientError:
    error: Any = {"Error": {"Code": code, "Message": message}}
    return ClientError(error, "Invoke")


class Lambda:
    """Functions with scripted answers, the last of which is repeated."""

    def __init__(self, answers: Mapping[str, list[Answer]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []
        self.before: Callable[[], None] = lambda: None

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        self.before()
        use = FunctionName.removeprefix("shop-etl-dev-")
        self.asked.append((use, json.loads(Payload)))
        script = self.answers[use]
        answer = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(answer, ClientError):
            raise answer
        failed = {"FunctionError": "Unhandled"} if "errorType" in answer else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}


class Deployed:
    """An account with functions, in which nobody waits."""

    def __init__(self, endpoint: str | None = None, **answers: list[Answer]) -> None:
        self.lambda_ = Lambda(answers)
        self.slept: list[float] = []
        self.waited: list[Waited] = []
        clients = cast("Clients", SimpleNamespace(invoking=self.lambda_))
        patience = Patience(lambda: sum(self.slept), self.slept.append, self.waited.append)
        self.account = Account(NAMES.account, NAMES.region, endpoint, clients, patience)

    def ask(self, patience: float = 0.0) -> dict[FunctionUse, list[Finding]]:
        uses = cast("list[FunctionUse]", list(self.lambda_.answers))
        found = ask_functions(self.account, NAMES, uses, patience=patience)
        return {use: list(findings) for use, findings in found.items()}


def test_each_function_is_asked_once() -> None:
    """The event asks for a check and for nothing else; the findings are the function's."""
    deployed = Deployed(load=[{"checks": [well()]}], page=[{"checks": []}])

    assert deployed.ask() == {"load": [ok("secret one", "can be read")], "page": []}
    assert sorted(deployed.lambda_.asked) == [("load", {"check": True}), ("page", {"check": True})]


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (
            {"errorType": "Runtime.ImportModuleError", "errorMessage": "No module named 'pyarrow'"},
            to_do(
                "start",
                "does not start: Runtime.ImportModuleError: No module named 'pyarrow'",
                "look at its log, and run `python deploy.py` again",
            ),
        ),
        (
            {"errorType": "Sandbox.Timedout", "errorMessage": "timed out after 20 seconds"},
            to_do(
                "start",
                "does not start: Sandbox.Timedout: timed out after 20 seconds",
                "look at its log, and run `python deploy.py` again",
            ),
        ),
        (
            {"sources": {}, "batch": None},
            to_do(
                "start",
                "is of an earlier version, and did not look",
                "run `python deploy.py` again",
            ),
        ),
        (
            refused("ResourceNotFoundException"),
            to_do("start", "does not exist", "run `python deploy.py` first"),
        ),
        (
            refused("KMSAccessDeniedException", "Lambda was unable to decrypt the environment."),
            to_do(
                "start",
                "Lambda answered KMSAccessDeniedException: Lambda was unable to decrypt the "
                "environment",
                "run `python deploy.py` again",
            ),
        ),
        (
            refused("TooManyRequestsException", "Rate Exceeded."),
            unknown("start", "was running all the time, and so was not asked"),
        ),
    ],
)
def test_a_function_that_does_not_look_says_why(answer: Answer, finding: Finding) -> None:
    """It cannot be imported, is too slow, is old, gone, without its key, or busy."""
    assert Deployed(load=[answer]).ask() == {"load": [finding]}


def test_a_right_that_takes_effect_late_is_waited_for_and_said() -> None:
    """AWS may refuse a new role for minutes; how long it took is reported once."""
    late: list[Answer] = [{"checks": [bad("ListObjectsV2 answered AccessDenied")]}] * 3
    deployed = Deployed(load=[*late, {"checks": [well()]}])

    found = require_working(deployed.account, NAMES, ["load"])

    assert found == {"load": [ok("secret one", "can be read")]}
    assert deployed.waited == [Waited("the rights of shop-etl-dev-load to take effect", 30.0)]


def test_a_function_that_answers_late_is_not_one_that_was_waited_for() -> None:
    """A cold start takes seconds, and no right took effect meanwhile."""
    deployed = Deployed(load=[{"checks": [well()]}])
    deployed.lambda_.before = lambda: deployed.slept.append(40.0)

    require_working(deployed.account, NAMES, ["load"])

    assert deployed.waited == []


@pytest.mark.parametrize(
    ("endpoint", "detail", "waited"),
    [
        (None, "ListObjectsV2 answered AccessDenied", NEW_ROLE_SECONDS),
        (None, "no answer within 15 s", 0.0),
        ("http://127.0.0.1:4566", "ListObjectsV2 answered AccessDenied", 0.0),
    ],
)
def test_a_right_that_never_comes_fails_the_deployment(
    endpoint: str | None, detail: str, waited: float
) -> None:
    """After three minutes, or at once where waiting does not help, with function and reason."""
    deployed = Deployed(endpoint, load=[{"checks": [well(), bad(detail, "ask for it")]}])

    with pytest.raises(OperationError) as said:
        require_working(deployed.account, NAMES, ["load"])

    assert str(said.value) == f"load: bucket lake: {detail}: ask for it"
    assert sum(deployed.slept) == waited


def test_all_problems_are_reported_together() -> None:
    """A line for each function and thing, so that they can be solved at once."""
    deployed = Deployed(
        extract=[{"checks": [bad("GetObject answered NoSuchBucket"), well()]}],
        load=[refused("ResourceNotFoundException")],
        page=[{"checks": [well()]}],
    )

    with pytest.raises(OperationError) as said:
        require_working(deployed.account, NAMES, ["extract", "load", "page"])

    assert str(said.value).splitlines() == [
        "extract: bucket lake: GetObject answered NoSuchBucket",
        "load: start: does not exist: run `python deploy.py` first",
    ]


def test_a_function_that_is_busy_does_not_fail_the_deployment() -> None:
    """Whoever runs is deployed and starts: a first load may take a quarter of an hour."""
    deployed = Deployed(load=[refused("TooManyRequestsException")])

    [finding] = require_working(deployed.account, NAMES, ["load"])["load"]

    assert finding.state == "unknown"
