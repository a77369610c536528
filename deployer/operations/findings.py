"""What a check found: in order, something to do, or not known."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "to do", "unknown"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check: what was looked at, how it is, and the next step if there is one.

    `unknown` is what could not be looked at, or what is for the reader to decide.
    """

    what: str
    state: State
    detail: str
    next: str = ""

    def of(self, whose: str) -> "Finding":
        """Return the same finding, of somebody."""
        return Finding(f"{whose}: {self.what}", self.state, self.detail, self.next)

    @property
    def text(self) -> str:
        """The detail and the next step, as one sentence."""
        return f"{self.detail}: {self.next}" if self.next else self.detail


Look = Callable[[], Iterator[Finding]]


def ok(what: str, detail: str) -> Finding:
    """Return that something is in order."""
    return Finding(what, "ok", detail)


def to_do(what: str, detail: str, next_step: str = "") -> Finding:
    """Return that something is to be done."""
    return Finding(what, "to do", detail, next_step)


def unknown(what: str, detail: str, next_step: str = "") -> Finding:
    """Return that something could not be looked at."""
    return Finding(what, "unknown", detail, next_step)
