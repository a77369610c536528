"""The logs of the functions as they come in: what CloudWatch Logs has, one line for each entry.

A function may print anything: no line of it may end the command or control the terminal.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from botocore.exceptions import ClientError

from deployer.aws.account import Account
from deployer.errors import explaining
from deployer.resources.names import FunctionUse, Names
from deployer.terminal import printable

FUNCTIONS: tuple[FunctionUse, ...] = get_args(FunctionUse)
# The last line of a traceback; a function that fails leaves one among its lines.
EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*: (?P<message>.+)")
END = "END RequestId"
LONGEST = 2_000  # characters of one line; a terminal shows fewer
DAY = 24 * 3600


@dataclass(frozen=True)
class LogLine:
    """One entry for a person to read; `failed` when it is an error."""

    at: float
    text: str
    failed: bool


class LogTail:
    """What the functions logged after this was created, or after the last call."""

    def __init__(self, account: Account, names: Names) -> None:
        self._logs = account.clients.logs
        self._groups = {use: names.log_group(use) for use in FUNCTIONS}
        self._since = dict.fromkeys(FUNCTIONS, int(time.time() * 1000))
        self._seen: dict[FunctionUse, set[tuple[str, str]]] = {use: set() for use in FUNCTIONS}

    def poll(self) -> list[LogLine]:
        """Return the new lines of all functions, in the order of their time.

        Raises AwsError when CloudWatch Logs cannot be asked.
        """
        lines = [line for use in FUNCTIONS for line in readable(use, self._new_events(use))]
        return sorted(lines, key=lambda line: line.at)

    def _new_events(self, use: FunctionUse) -> Iterator[tuple[int, str]]:
        for event in self._events(use):
            at, seen = event["timestamp"], self._seen[use]
            # The local AWS gives no event ids; a message names the request that it belongs to.
            identity = (event["logStreamName"], event["message"])
            if at > self._since[use]:
                self._since[use] = at
                seen.clear()
            elif identity in seen:
                continue
            seen.add(identity)
            yield at, event["message"]

    def _events(self, use: FunctionUse) -> list[Any]:
        group = self._groups[use]
        with explaining(f"log group {group}"):
            try:
                pages = self._logs.get_paginator("filter_log_events").paginate(
                    logGroupName=group, startTime=self._since[use]
                )
                return [event for page in pages for event in page["events"]]
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise
                return []  # a log group that was removed meanwhile stops nothing


def readable(use: FunctionUse, events: Iterable[tuple[int, str]]) -> Iterator[LogLine]:
    """Yield the readable lines of a function's log, given as (milliseconds, message).

    That is one line for each entry and, for an invocation that failed, its last exception.
    """
    exception = None
    for milliseconds, message in events:
        at = milliseconds / 1000
        if message.startswith("{"):
            entry = _entry(message)
            if entry is None or not isinstance(entry.get("message", ""), str):
                yield _line(use, at, message, failed=False)
            elif "message" in entry:
                yield _line(use, at, _text(entry), entry.get("level") == "ERROR")
        elif found := EXCEPTION.match(message):
            exception = found["message"].strip()
        elif message.startswith(END) and exception:
            yield _line(use, at, exception, failed=True)
            exception = None


def _entry(message: str) -> dict[str, Any] | None:
    """Return the JSON object that a message is, None if it only looks like one."""
    try:
        entry: dict[str, Any] = json.loads(message)
    except (ValueError, RecursionError):  # also a number of thousands of digits
        return None
    return entry


def _line(use: FunctionUse, at: float, text: str, failed: bool) -> LogLine:
    clock = time.strftime("%H:%M:%S", time.gmtime(at % DAY))  # whatever the stamp's day is
    shown = printable(text[:LONGEST]) + ("…" if len(text) > LONGEST else "")
    return LogLine(at, f"{clock}  {use:<9}  {shown}", failed)


def _text(entry: Mapping[str, Any]) -> str:
    """Return a structured entry in short: what happened, to which batch, rows or file."""
    text: str = entry["message"]
    if isinstance(file := entry.get("file"), str):
        reason = f": {entry['reason']}" if entry.get("reason") else ""
        return f"{text}: {file}{reason}"
    batch = entry.get("batch")
    if batch and isinstance(batch, int):
        text = f"batch {batch} {text.removeprefix('batch ')}"
    for what in ("rows", "deleted", "quarantined"):
        if counts := _counts(entry.get(what)):
            text += f", {_counted(what, counts)}"
    return text


def _counts(by_table: object) -> dict[str, int]:
    """Return the counts of an entry, none where they are not what we log."""
    if not isinstance(by_table, dict):
        return {}
    return {name: rows for name, rows in by_table.items() if isinstance(rows, int)}


def _counted(what: str, by_table: Mapping[str, int]) -> str:
    parts = ", ".join(f"{name} {rows:,}" for name, rows in by_table.items())
    return f"{sum(by_table.values()):,} {what} ({parts})"
