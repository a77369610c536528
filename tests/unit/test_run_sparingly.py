"""How the local AWS runs functions on the machine that a person works on."""

import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from local.aws_program import MOST_BYTES, one_process, whole_batches

ARN, WINDOW = "arn:aws:sqs:eu-west-2:123456789012:events", 5


def test_an_invocation_waits_for_the_process_of_its_function() -> None:
    """While a function's process is in use nobody gets another one, however many ask."""
    free, asked = ["process"], []

    def lease(name: str, *, max_concurrency: int) -> tuple[str | None, str]:
        asked.append(max_concurrency)
        return (free.pop(), "reused") if free else (None, "func_cap")

    wait = one_process(lease)
    process, _ = wait("a-function")
    leased: list[Any] = []
    second = Thread(target=lambda: leased.append(wait("a-function")))
    second.start()
    while len(asked) < 3:
        time.sleep(0.001)
    assert leased == []

    free.append(process)
    second.join()

    assert leased == [("process", "reused")]
    assert {*asked} == {1}


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
