"""The functions' logs as a person reads them: one line for each entry."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from deployer.aws.account import Account
from deployer.errors import AwsError
from deployer.resources.names import Names
from local.logs import LogLine, LogTail, readable

NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
NOON = 1_700_049_600_000  # 2023-11-15 12:00:00 UTC, in milliseconds


def entry(message: str, level: str = "INFO", **fields: Any) -> str:
    return json.dumps({"level": level, "message": message, "service": "extract", **fields})


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (entry("nothing new", batch=None, rows={}, deleted={}, stopped={}), "nothing new"),
        (
            entry("batch extracted", batch=7, rows={"staff": 2, "design": 1000}, deleted={}),
            "batch 7 extracted, 1,002 rows (staff 2, design 1,000)",
        ),
        (
            entry("batch extracted", batch=7, rows={}, deleted={"staff": 1}),
            "batch 7 extracted, 1 deleted (staff 1)",
        ),
        (
            entry("batch transformed", batch=7, rows={"dim_staff": 2}, quarantined={"staff": 1}),
            "batch 7 transformed, 2 rows (dim_staff 2), 1 quarantined (staff 1)",
        ),
        (
            entry("file refused", file="s3://drop/a.csv", rows=0, refused=0, reason="it is empty"),
            "file refused: s3://drop/a.csv: it is empty",
        ),
        (
            entry("rows of a file refused", file="s3://drop/a.csv", rows=9, refused=1, reason=None),
            "rows of a file refused: s3://drop/a.csv",
        ),
    ],
)
def test_an_entry_is_one_line(message: str, text: str) -> None:
    """Of a structured entry there remain the time, the function, the batch, rows or file."""
    assert list(readable("extract", [(NOON, message)])) == [
        LogLine(NOON / 1000, f"12:00:00  extract    {text}", failed=False)
    ]


def test_an_error_is_marked() -> None:
    """An entry that a function logs as an error can be shown in red."""
    [line] = readable("load", [(NOON, entry("table staff is gone", "ERROR"))])

    assert line == LogLine(NOON / 1000, "12:00:00  load       table staff is gone", failed=True)


def test_of_a_failed_invocation_its_last_exception_remains() -> None:
    """A traceback becomes its message, and the next invocation starts afresh."""
    events = [
        "START RequestId: 1 Version: $LATEST",
        "Traceback (most recent call last):",
        '  File "database.py", line 92, in translated_errors',
        "    yield",
        "pg8000.exceptions.DatabaseError: {'S': 'FATAL', 'C': '28P01'}",
        "The above exception was the direct cause of the following exception:",
        "functions.common.errors.DatabaseAccessError: database warehouse: no password",
        "END RequestId: 1",
        "REPORT RequestId: 1\tDuration: 22 ms",
        "START RequestId: 2 Version: $LATEST",
        "END RequestId: 2",
    ]

    assert list(readable("load", [(NOON, event) for event in events])) == [
        LogLine(NOON / 1000, "12:00:00  load       database warehouse: no password", failed=True)
    ]


DEEP = "{" + '"a":{' * 100_000
HOSTILE = [
    "{not JSON",
    '{"message": ["a", "list"]}',
    '{"message": 7}',
    '{"message": null}',
    '{"message": NaN, "rows": NaN}',
    '{"message": ' + "9" * 5_000 + "}",
    DEEP,
    '{"message": ' + '{"a":' * 900 + "1" + "}" * 901,
    '{"message": "\\ud800 \\u001b[2J\\u202e"}',
    "{\x1b]0;title\x07\x9b31m",
    entry("batch", batch="seven", rows=["staff"], deleted=3, quarantined={"staff": "many"}),
    entry("batch", batch={"a": 1}, rows={"staff": None}, deleted={"staff": [1]}),
    entry("x" * 1_000_000),
]


@pytest.mark.parametrize("message", HOSTILE)
def test_a_line_that_is_not_what_it_looks_like_is_shown_as_text(message: str) -> None:
    """Whatever a function prints, `deploy.py local` goes on, and no terminal interprets it."""
    [line] = readable("extract", [(NOON, message)])

    assert line.text.startswith("12:00:00  extract    ")
    assert line.text.isprintable()
    assert len(line.text) < 15_000


@given(st.text() | st.text().map(lambda text: "{" + text), st.integers(0, 2**62))
def test_no_line_of_a_log_ends_the_command(message: str, milliseconds: int) -> None:
    """No text and no time of an entry makes the reader fail or print what is not printable."""
    for line in readable("load", [(milliseconds, message), (milliseconds, "END RequestId: 1")]):
        assert line.text.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.fixed_dictionaries(
        {"message": JSON},
        optional={"level": JSON, "batch": JSON, "rows": JSON, "deleted": JSON},
    )
)
def test_no_field_of_an_entry_ends_the_command(fields: dict[str, Any]) -> None:
    """Whatever types the fields of an entry have, it is one printable line."""
    [line] = readable("load", [(NOON, json.dumps(fields))])

    assert line.text.isprintable()


def test_metrics_are_not_shown() -> None:
    """Lines that are there for CloudWatch are no news for a person."""
    assert list(readable("load", [(NOON, '{"_aws": {}, "BatchesLoaded": [0.0]}')])) == []


class Logs:
    """CloudWatch Logs with some events; a group that is not named does not exist."""

    def __init__(self, **groups: list[tuple[int, str]]) -> None:
        self.groups = {NAMES.log_group(cast("Any", use)): log for use, log in groups.items()}

    def get_paginator(self, _: str) -> "Logs":
        return self

    def paginate(self, logGroupName: str, startTime: int) -> list[dict[str, Any]]:  # noqa: N803
        if logGroupName not in self.groups:
            code = {"Error": {"Code": "ResourceNotFoundException", "Message": "no such group"}}
            raise ClientError(cast("Any", code), "FilterLogEvents")
        events = [
            {"timestamp": at, "message": message, "logStreamName": "stream"}
            for at, message in self.groups[logGroupName]
            if at >= startTime
        ]
        return [{"events": events[:1]}, {"events": events[1:]}]


def tail(logs: Any) -> LogTail:
    account = cast("Account", SimpleNamespace(clients=SimpleNamespace(logs=logs)))
    return LogTail(account, NAMES)


def test_only_new_lines_of_all_functions_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry is shown once, in the order of time, and nothing from before the start."""
    monkeypatch.setattr("local.logs.time.time", lambda: NOON / 1000)
    logs = Logs(
        extract=[(NOON - 1, entry("long ago")), (NOON + 2000, entry("second"))],
        load=[(NOON, entry("first"))],
    )
    tailing = tail(logs)

    assert [line.text[21:] for line in tailing.poll()] == ["first", "second"]
    logs.groups[NAMES.log_group("load")] += [(NOON, entry("late")), (NOON + 3000, entry("third"))]
    assert [line.text[21:] for line in tailing.poll()] == ["late", "third"]
    assert tailing.poll() == []


def test_a_local_aws_that_is_gone_is_one_clear_line() -> None:
    """When the local AWS ends behind our back, that is said in one line."""

    class Gone(Logs):
        def paginate(self, logGroupName: str, startTime: int) -> list[dict[str, Any]]:  # noqa: N803
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:4566/")

    with pytest.raises(AwsError, match=r"^log group /aws/lambda/totesys-etl-dev-extract: .*4566"):
        tail(Gone()).poll()


def test_any_other_refusal_is_passed_on() -> None:
    """A refusal that is not about a missing group does not pass for an empty log."""

    class Refusing(Logs):
        def paginate(self, logGroupName: str, startTime: int) -> list[dict[str, Any]]:  # noqa: N803
            code = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
            raise ClientError(cast("Any", code), "FilterLogEvents")

    with pytest.raises(AwsError, match="AccessDeniedException"):
        tail(Refusing()).poll()
