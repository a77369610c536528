"""How the local AWS runs functions on the machine that a person works on."""

import time
from collections.abc import Callable
from queue import Queue
from threading import Event, Thread
from typing import Any

import pytest

from local.aws_program import MOST_BYTES, one_run_at_a_time, whole_batches

ARN, WINDOW = "arn:aws:sqs:eu-west-2:123456789012:events", 5


def test_a_function_runs_once_at_a_time() -> None:
    """Whoever comes meanwhile waits for the run to end; other functions do not."""
    began: Queue[str] = Queue()
    may_end = Event()

    def execute(function: Any, event: str) -> str:
        began.put(event)
        if event == "first":
            may_end.wait()
        return event

    run = one_run_at_a_time(execute, lambda name: None)
    one, other = ({"config": {"FunctionName": name}} for name in ("one", "other"))
    first, second = (Thread(target=run, args=(one, each)) for each in ("first", "second"))
    first.start()
    assert began.get() == "first"
    second.start()
    assert run(other, "meanwhile") == began.get() == "meanwhile"
    assert began.empty()

    may_end.set()

    assert began.get() == "second"
    first.join()
    second.join()


def test_an_event_that_waited_runs_the_code_of_today() -> None:
    """An event may wait while its function is deployed: the old code runs no more."""
    old, new = ({"config": {"FunctionName": "one"}, "code_zip": code} for code in (b"old", b"new"))
    run = one_run_at_a_time(lambda function, event: function["code_zip"], {"one": new}.get)

    assert run(old, "an event") == b"new"


def received(
    messages: list[dict[str, Any]], most: int, at: float, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Return the bodies that a function is handed at a time, in seconds."""
    visible = [each for each in messages if each["visible_at"] <= at]

    def receive(url: str, number: int) -> list[dict[str, Any]]:
        ten = min(number or 1, 10)  # as ministack does
        taken, visible[:] = visible[:ten], visible[ten:]
        return taken

    queue = {"messages": messages, "attributes": {"QueueArn": ARN}}
    mappings = [
        {"EventSourceArn": "another", "MaximumBatchingWindowInSeconds": 300},
        {"EventSourceArn": ARN, "MaximumBatchingWindowInSeconds": WINDOW},
    ]
    monkeypatch.setattr(time, "time", lambda: at)
    take: Callable[[str, int], list[Any]] = whole_batches(
        receive, lambda url: queue, lambda: mappings
    )
    return [each["body"] for each in take("http://queue", most)]


def sent(number: int, at: float = 100.0, body: str = "event") -> list[dict[str, Any]]:
    return [{"sent_at": at, "visible_at": at, "body": body} for _ in range(number)]


def test_a_function_gets_all_messages_of_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is handed over before the oldest message has waited for the window, and then all."""
    messages = sent(25) + sent(9, at=104.0)

    assert received(messages, 10_000, 104.9, monkeypatch) == []
    assert len(received(messages, 10_000, 105.0, monkeypatch)) == 34


def test_a_whole_batch_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many messages as the function takes at most are handed over at once, and no more."""
    assert len(received(sent(20), 15, 100.0, monkeypatch)) == 15


def test_hidden_messages_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that another run has is not counted, nor handed over twice."""
    messages = sent(3)
    messages[0]["visible_at"] = 200.0

    assert len(received(messages, 10_000, 110.0, monkeypatch)) == 2
    assert received([messages[0]], 10_000, 110.0, monkeypatch) == []


def test_large_messages_make_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is bounded in bytes: at most ten messages are added to one below the bound."""
    messages = sent(30, body="x" * (MOST_BYTES // 10 + 1))

    assert len(received(messages, 10_000, 110.0, monkeypatch)) == 10
