"""A sandbox that stays up: its sample changes, and the functions' logs are shown."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from local import command
from local.logs import LogLine


class Clock:
    """The module `time`, in which a pause takes no time; Ctrl-C ends the last one."""

    def __init__(self, seconds: int) -> None:
        self._now, self._end = 0.0, seconds

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        if self._now >= self._end:
            raise KeyboardInterrupt


def stay(monkeypatch: pytest.MonkeyPatch, *, has_own_source: bool) -> tuple[int, list[str]]:
    """Stay up for 70 seconds; return how often rows were changed, and what was shown."""
    changes: list[object] = []
    shown: list[str] = []
    logs: Iterator[list[LogLine]] = iter(
        [[LogLine(1.0, "loaded", failed=False), LogLine(2.0, "broken", failed=True)]]
    )
    sandbox = SimpleNamespace(has_own_source=has_own_source, sample=None, writer=None)
    monkeypatch.setattr(command, "time", Clock(70))
    monkeypatch.setattr(command, "change_rows", lambda *arguments: changes.append(arguments))
    monkeypatch.setattr(command, "_how_to_look_inside", lambda *_: ["how to look inside"])
    command.stay(
        cast("Any", sandbox),
        cast("Any", None),
        cast("Any", SimpleNamespace(poll=lambda: next(logs, []))),
        cast(
            "Any",
            SimpleNamespace(
                note=lambda text: shown.append(f"note {text}"),
                log=lambda text: shown.append(f"log {text}"),
                warn=lambda text: shown.append(f"warn {text}"),
            ),
        ),
    )
    return len(changes), shown


def test_rows_of_the_sample_change_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times a minute; errors of the functions stand out among their logs."""
    changes, shown = stay(monkeypatch, has_own_source=True)

    assert changes == 3
    assert shown == ["note how to look inside", "log loaded", "warn broken"]


def test_a_database_of_the_user_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the sandbox's own source is written to."""
    changes, _ = stay(monkeypatch, has_own_source=False)

    assert changes == 0
