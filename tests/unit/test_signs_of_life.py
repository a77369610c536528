"""What the functions count on every run, so that their silence can ring."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from etl import Events
from etl.loading import load
from functions.extract import handler as extract
from functions.transform import handler as transform

CONTEXT: Any = SimpleNamespace(
    function_name="any",
    memory_limit_in_mb=128,
    invoked_function_arn="arn",
    aws_request_id="id",
    get_remaining_time_in_millis=lambda: 60_000,
)


def counted(output: str) -> dict[str, Any]:
    """Return the figures that a run wrote for CloudWatch."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {
        metric["Name"]: line[metric["Name"]]
        for line in lines
        if "_aws" in line
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }


def test_extract_is_alive_where_all_events_are_posted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipeline of events alone has nothing to read, and its schedule counts all the same."""
    events = [source for source in load("stripe").sources if isinstance(source, Events)]
    monkeypatch.setattr(extract, "_pipeline", lambda: SimpleNamespace(sources=events))

    answer = extract.handler({}, CONTEXT)

    assert answer["sources"] == {}
    assert counted(capsys.readouterr().out) == {"RowsExtracted": [0.0]}


def test_transform_is_alive_before_any_source_is_in_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipeline whose sources are all optional and not set up counts all the same."""
    monkeypatch.setattr(transform, "_pipeline", lambda: SimpleNamespace(sources=()))
    monkeypatch.setattr(transform, "_logs", list)

    answer = transform.handler({}, CONTEXT)

    assert answer["sources"] == {}
    assert counted(capsys.readouterr().out) == {"BatchesTransformed": [0.0]}
