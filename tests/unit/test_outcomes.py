"""What a function stores of a run that somebody follows."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from functions.common import outcomes
from functions.common.errors import DatabaseUnavailableError, SettingsError

CONTEXT: Any = SimpleNamespace(aws_request_id="a-request")


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The objects in the order in which they are written."""
    written: list[tuple[str, dict[str, Any]]] = []

    def put_object(Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
        assert Bucket == "lake"
        written.append((Key, json.loads(Body)))

    monkeypatch.setenv("LAKE", "lake")
    client = SimpleNamespace(put_object=put_object)
    monkeypatch.setattr("functions.common.outcomes.boto3.client", lambda *_, **__: client)
    monkeypatch.setattr("functions.common.outcomes.time.time", lambda: 1000.0)
    return written


@outcomes.stores_outcomes("extract", "LAKE")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if "bad" in event:
        raise DatabaseUnavailableError("database shop: away")
    return {"asked": event}


BEGUN = {"request": "a-request", "started_at": 1000.0}


def test_a_run_and_its_answer_are_stored(stored: list[tuple[str, dict[str, Any]]]) -> None:
    """First that it is under way, with what was asked for; then its answer."""
    answer = handler({"replay": 3, "follow": "a-1"}, CONTEXT)

    begun = {**BEGUN, "event": {"replay": 3}}
    assert answer == {"asked": {"replay": 3}}
    assert stored == [
        ("runs/extract/a-1.json", {**begun, "state": "running"}),
        ("runs/extract/a-1.json", {**begun, "state": "done", "answer": answer}),
    ]


def test_an_error_is_stored_and_raised(stored: list[tuple[str, dict[str, Any]]]) -> None:
    """Lambda counts it, and who follows the run reads its message."""
    with pytest.raises(DatabaseUnavailableError):
        handler({"bad": True, "follow": "a-1"}, CONTEXT)

    assert [each["state"] for _, each in stored] == ["running", "failed"]
    assert stored[-1][1]["error"] == "database shop: away"


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"source": "aws.events"}, "text", None])
def test_what_nobody_follows_is_not_stored(
    event: Any, stored: list[tuple[str, dict[str, Any]]]
) -> None:
    """Schedules and new objects wait for no answer."""
    assert outcomes.stores_outcomes("extract", "LAKE")(lambda *_: {})(event, CONTEXT) == {}
    assert stored == []


@pytest.mark.parametrize("run", ["../batches/1", "a/b", "", 7, None, "a" * 65])
def test_an_id_is_no_path(run: Any, stored: list[tuple[str, dict[str, Any]]]) -> None:
    """An id cannot name another object than one of the runs of this function."""
    with pytest.raises(SettingsError, match="is no id"):
        handler({"follow": run}, CONTEXT)
    assert stored == []
