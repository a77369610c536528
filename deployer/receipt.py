"""The receipt of a teardown: the outcome for everything that a deployment may have created."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from deployer.terminal import printable

# "lapses" is what AWS removes by itself, "kept" what the user asked to keep.
Outcome = Literal["removed", "already gone", "kept", "lapses", "stays"]


@dataclass(frozen=True)
class Entry:
    """The outcome for one resource; `why` is empty where the outcome needs no reason."""

    kind: str
    name: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True)
class Receipt:
    """The result of a teardown; it is complete when nothing stays."""

    account: str
    region: str
    project: str
    stage: str
    entries: tuple[Entry, ...]

    @property
    def is_complete(self) -> bool:
        """Whether everything is gone, except what is kept on purpose and what AWS lets expire."""
        return "stays" not in self._counts()

    def document(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {**asdict(self), "complete": self.is_complete}

    def text(self) -> str:
        """Return it for a person: a line for each resource, and a summary."""
        whose = f"{self.project}-{self.stage} in account {self.account}, region {self.region}"
        counts = self._counts()
        if set(counts) <= {"already gone"}:
            return f"Nothing to remove: nothing is left of {whose}."
        return "\n".join([*self._lines(), _summary(counts, whose)])

    def _lines(self) -> Iterator[str]:
        for entry in self.entries:
            yield f"{entry.outcome:<13}{entry.kind:<14}{printable(entry.name)}"
            if entry.why:
                yield f"             {printable(entry.why)}"

    def _counts(self) -> Counter[Outcome]:
        return Counter(entry.outcome for entry in self.entries)


def _summary(counts: Counter[Outcome], whose: str) -> str:
    removed = f"{counts['removed']} removed"
    if counts["stays"]:
        return (
            f"{removed}, {counts['stays']} left of {whose}. Fix the causes above, then run again."
        )
    kept = f"{counts['kept']} kept, nothing else" if counts["kept"] else "nothing"
    return f"{removed}, {kept} left of {whose}."
