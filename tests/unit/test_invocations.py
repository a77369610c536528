"""Functions that are asked by hand are followed by what they store, not by a connection."""

from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from deployer.errors import AwsError, OperationError
from tests.unit.scripted_functions import DIES, DROPPED, Lambda, Sandbox, extracted, outcome

CUT = ConnectionClosedError(endpoint_url="https://lambda")
AWAY = EndpointConnectionError(endpoint_url="https://s3")
EXTRACT = "runs/extract/{}.json"


def sandbox_of(*answers: Any) -> Sandbox:
    return Sandbox(Lambda(extract=[*answers]))


def invoke(sandbox: Sandbox, event: dict[str, Any] | None = None) -> tuple[dict[str, Any], Any]:
    return sandbox.pipeline.invocations.invoke("extract", event or {})


def test_an_answer_is_read_from_the_bucket() -> None:
    """The invocation is asynchronous, and the id by which it is followed is not the handler's."""
    sandbox = sandbox_of(extracted(7))

    answer, error = invoke(sandbox, {"now": True})

    assert (answer["batch"], error) == (7, None)
    assert sandbox.functions.events == [{"now": True}]
    [key] = sandbox.functions.outcomes
    assert key.startswith("runs/extract/")


def test_a_connection_that_is_cut_after_the_request_was_sent_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lambda has the event: it is not sent a second time, and its answer arrives."""
    sandbox = sandbox_of(extracted(7))
    send = sandbox.functions.invoke

    def cut(**asked: Any) -> dict[str, Any]:
        send(**asked)
        raise CUT

    monkeypatch.setattr(sandbox.functions, "invoke", cut)

    answer, _ = invoke(sandbox)

    assert answer["batch"] == 7
    assert sandbox.functions.invoked == ["extract"]


def test_a_run_that_takes_long_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fourteen minutes are no problem: nothing but a small object is asked for meanwhile."""
    sandbox = sandbox_of(DIES)
    get = sandbox.s3.get_object

    def late(**asked: Any) -> dict[str, Any]:
        if sandbox.clock() > 840:
            key = asked["Key"]
            sandbox.functions.outcomes[key] = outcome({}, extracted(7))
        return get(**asked)

    monkeypatch.setattr(sandbox.s3, "get_object", late)

    answer, _ = invoke(sandbox)

    assert answer["batch"] == 7
    assert 840 < sandbox.clock() < 843


def test_a_laptop_that_was_asleep_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the network is away it is asked again; after ten minutes that is an error."""
    sandbox = sandbox_of(extracted(7), extracted(8))
    get, failing = sandbox.s3.get_object, [True] * 60

    def away(**asked: Any) -> dict[str, Any]:
        if failing and failing.pop():
            raise AWAY
        return get(**asked)

    monkeypatch.setattr(sandbox.s3, "get_object", away)
    assert invoke(sandbox)[0]["batch"] == 7

    failing += [True] * 1000
    with pytest.raises(AwsError, match="function totesys-etl-dev-extract"):
        invoke(sandbox)


def test_a_run_that_outlives_its_command_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command follows what is under way; another request is another run."""
    sandbox = sandbox_of(extracted(8))
    begun = outcome({"replay": 3}, DIES)
    sandbox.functions.outcomes[EXTRACT.format("earlier")] = begun
    get = sandbox.s3.get_object

    def ends(**asked: Any) -> dict[str, Any]:
        answer = get(**asked)
        if asked["Key"] == EXTRACT.format("earlier"):
            sandbox.functions.outcomes[asked["Key"]] = outcome({"replay": 3}, extracted(7))
        return answer

    monkeypatch.setattr(sandbox.s3, "get_object", ends)

    assert invoke(sandbox, {"replay": 3})[0]["batch"] == 7
    assert sandbox.functions.invoked == []
    assert invoke(sandbox, {"replay": 4})[0]["batch"] == 8


def test_what_has_ended_is_not_followed() -> None:
    """A run that is over, or that died, is not taken for one that is under way."""
    for earlier in (outcome({}, extracted(1)), outcome({}, DIES)):
        sandbox = sandbox_of(extracted(7))
        sandbox.functions.outcomes[EXTRACT.format("earlier")] = earlier
        sandbox.logs.lines = ["REPORT RequestId: a-request Duration: 1 ms"]

        assert invoke(sandbox)[0]["batch"] == 7


def test_a_failed_run_has_its_reason() -> None:
    """The error is the function's own."""
    sandbox = sandbox_of("database shop: no such table")

    assert invoke(sandbox) == ({}, "database shop: no such table")


def test_a_run_that_dies_is_known_within_a_minute() -> None:
    """A function that runs out of memory stores nothing more: Lambda's log says how it ended."""
    sandbox = sandbox_of(DIES)
    sandbox.logs.lines = [
        "START RequestId: a-request Version: $LATEST",
        "REPORT RequestId: another-one\tDuration: 1 ms",
        "REPORT RequestId: a-request\tDuration: 900000.00 ms\tStatus: timeout",
    ]

    with pytest.raises(OperationError) as died:
        invoke(sandbox)

    assert str(died.value) == (
        "extract: it was ended before it had finished: REPORT RequestId: a-request Duration: "
        "900000.00 ms Status: timeout. The log group /aws/lambda/totesys-etl-dev-extract shows "
        "how far it came."
    )
    assert sandbox.clock() < 60


def test_a_run_without_a_log_ends_with_its_time() -> None:
    """No run is waited for beyond the timeout of its function, whatever the log lacks."""
    sandbox = sandbox_of(DIES)

    with pytest.raises(OperationError, match="its 900 seconds are over"):
        invoke(sandbox)

    assert 900 < sandbox.clock() < 1000


def test_an_event_that_lambda_dropped_is_sent_again() -> None:
    """While another run takes more than a minute, Lambda drops ours: it comes after that one."""
    sandbox = sandbox_of(DROPPED, DROPPED, extracted(7))

    assert invoke(sandbox)[0]["batch"] == 7
    assert 150 < sandbox.clock() < 160


def test_a_function_that_never_begins_is_an_error() -> None:
    """No other run outlives Lambda's 15 minutes, so that waiting longer is of no use."""
    sandbox = sandbox_of(*[DROPPED] * 100)

    with pytest.raises(OperationError, match="within 16 minutes and has not begun"):
        invoke(sandbox)


def test_a_function_that_does_not_start_says_why() -> None:
    """One that cannot be imported stores nothing at all; it is asked for the reason."""
    sandbox = sandbox_of(DROPPED)
    sandbox.functions.checks = [
        {"what": "start", "ok": False, "detail": "no module pyarrow", "next": "deploy again"}
    ]

    with pytest.raises(OperationError, match="no module pyarrow"):
        invoke(sandbox)
    assert sandbox.clock() < 80


def test_a_function_that_is_not_deployed_is_named() -> None:
    """There is nothing to wait for."""
    with pytest.raises(OperationError, match="does not exist: deploy it first"):
        Sandbox(Lambda()).pipeline.invocations.invoke("extract", {})
