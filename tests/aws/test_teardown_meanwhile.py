"""A teardown while functions still run, write, or things come back."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deployer.aws.waiting import Waited
from deployer.teardown import QUIET_SECONDS, Teardown
from tests.aws.removing import DATABASES, INGESTION, LOAD_LOGS, NAMES, put, teardown
from tests.aws.sandbox import Sandbox, everything_in


def test_what_is_written_meanwhile_is_removed_too(sandbox: Sandbox) -> None:
    """An object that arrives between the emptying and the removal of a bucket does not stop it."""
    sandbox.start_deployed()
    late = iter(["batches/source/0000000002.json"])

    def write(params: dict[str, Any], **_: object) -> None:
        if INGESTION in params["url_path"] and (key := next(late, None)):
            put(sandbox, key)

    sandbox.account.clients.s3.meta.events.register("before-call.s3.DeleteBucket", write)

    assert teardown(sandbox).remove().is_complete
    assert everything_in(sandbox.account) == []


def test_a_log_group_that_comes_back_is_removed_again(
    sandbox: Sandbox, sleeps: list[float], waits: list[Waited]
) -> None:
    """The last log lines of a function may make its group again: a quiet time later it is gone."""
    sandbox.start_deployed()
    patience = replace(sandbox.account.patience, sleep=_making(sandbox, sleeps, times=2))
    sandbox.account = replace(sandbox.account, patience=patience)

    receipt = teardown(sandbox).remove()

    assert receipt.is_complete
    assert everything_in(sandbox.account) == []
    assert waits[-1] == Waited("late log lines and objects", 3 * QUIET_SECONDS)


def test_what_was_gone_already_is_looked_at_again(sandbox: Sandbox, sleeps: list[float]) -> None:
    """A group that somebody has removed is made again by the last log lines: it goes as well."""
    sandbox.start_deployed()
    sandbox.account.clients.logs.delete_log_group(logGroupName=LOAD_LOGS)
    patience = replace(sandbox.account.patience, sleep=_making(sandbox, sleeps, times=1))
    sandbox.account = replace(sandbox.account, patience=patience)

    receipt = teardown(sandbox).remove()

    assert receipt.is_complete
    assert everything_in(sandbox.account) == []


def test_what_comes_back_for_ever_is_reported(
    sandbox: Sandbox, sleeps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When something recreates a thing each time, the receipt says so after 15 minutes."""
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 100)  # ten looks, and not ninety
    sandbox.start_deployed()
    patience = replace(sandbox.account.patience, sleep=_making(sandbox, sleeps, times=10_000))
    sandbox.account = replace(sandbox.account, patience=patience)

    receipt = teardown(sandbox).remove()

    assert [(entry.name, entry.why) for entry in receipt.entries if entry.outcome == "stays"] == [
        (LOAD_LOGS, "something recreates it each time")
    ]
    assert 900 <= sum(sleeps) < 1100


def _making(sandbox: Sandbox, sleeps: list[float], times: int) -> Callable[[float], None]:
    """Return a sleep during which a function that still runs makes its log group again."""
    logs = sandbox.account.clients.logs

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        groups = logs.describe_log_groups(logGroupNamePrefix=LOAD_LOGS)["logGroups"]
        if len(sleeps) <= times and not groups:
            logs.create_log_group(logGroupName=LOAD_LOGS)

    return sleep


def test_a_running_function_is_let_finish(sandbox: Sandbox, waits: list[Waited]) -> None:
    """An invocation with no end in the log is waited for, but no longer than it may run."""
    sandbox.start_deployed()
    logs = sandbox.account.clients.logs
    logs.create_log_stream(logGroupName=LOAD_LOGS, logStreamName="1")
    started = int(time.time())
    lines = ["START RequestId: one Version: $LATEST", "REPORT RequestId: one Duration: 2 ms"]
    lines += ["START RequestId: two Version: $LATEST", "loading"]
    events: Any = [{"timestamp": started * 1000, "message": line} for line in lines]
    logs.put_log_events(logGroupName=LOAD_LOGS, logStreamName="1", logEvents=events)
    clock = sandbox.account.patience.clock
    began = clock()

    Teardown(
        sandbox.account,
        NAMES,
        sandbox.events.append,
        DATABASES,
        now=lambda: started + 600 + clock() - began,
    ).remove()

    waited = {wait.waiting_for: wait.seconds for wait in waits}
    assert 300 < waited["function totesys-etl-dev-load to finish its work"] < 320
