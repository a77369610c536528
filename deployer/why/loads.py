"""When batches were loaded, and when the warehouse refused a row, by the markers of a source."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deployer.query.tables import Document
from deployer.why.asking import Asked
from deployer.why.objects import Documents, Objects, files_of
from etl import keymarks


@dataclass(frozen=True)
class Load:
    """A marker: of which batch, when it was written, and whether refused rows may have changed."""

    number: int
    batch: int
    at: str
    is_changed: bool


@dataclass(frozen=True)
class Refusal:
    """A row of a batch that the warehouse refused; `outcome` is None while it is refused."""

    batch: int
    reason: str
    at: str
    until: str | None = None
    outcome: str | None = None

    def document(self) -> Document:
        """Return it as a part of a JSON document."""
        return {
            "reason": self.reason, "at": self.at, "until": self.until, "outcome": self.outcome,
        }  # fmt: skip


def loads(log: Documents, table: str) -> list[Load]:
    """Return all markers in order: by the index of each thousand, others one by one."""
    found: dict[int, Load] = {}
    stretches = range(keymarks.STRETCH, log.newest + 1, keymarks.STRETCH)
    for last, document in log.read(stretches).items():
        entries = document.get("index") or []
        for number, entry in enumerate(entries, last + 1 - len(entries)):
            batch, at, *changed = entry
            found[number] = Load(number, batch, at, any(table in names for names in changed))
    left = [number for number in range(1, log.newest + 1) if number not in found]
    for number, document in log.read(left).items():
        found[number] = Load(number, document["batch"], document["written_at"], True)
    return [found[number] for number in sorted(found)]


def times(markers: Sequence[Load], batches: Iterable[int]) -> dict[int, list[str]]:
    """Return when each of some batches was loaded: more than once after a restore."""
    wanted, before = sorted(batches), 0
    found: dict[int, list[str]] = {batch: [] for batch in wanted}
    for marker in markers:
        if marker.batch == before:
            continue  # refused rows were tried again, or a state was recorded
        low = min(before, marker.batch - 1)
        for batch in wanted[bisect_right(wanted, low) : bisect_right(wanted, marker.batch)]:
            found[batch].append(marker.at)
        before = marker.batch
    return found


def refusals(
    log: Documents, markers: Sequence[Load], asked: Asked, objects: Objects
) -> list[Refusal]:
    """Return when the warehouse refused rows with a key, in order."""
    numbers = [marker.number for marker in markers if marker.is_changed]
    done: list[Refusal] = []
    still: dict[int, Refusal] = {}
    for marker in log.read(numbers).values():
        now = dict(_refused(marker, asked, objects))
        is_retry = marker.get("tried_at") == marker["written_at"]
        for batch in still.keys() - now.keys():
            was = still.pop(batch)
            outcome = "accepted" if is_retry else "superseded"
            done.append(Refusal(batch, was.reason, was.at, marker["written_at"], outcome))
        for batch in now.keys() - still.keys():
            still[batch] = Refusal(batch, now[batch], marker["written_at"])
    return sorted([*done, *still.values()], key=lambda each: each.at)


def _refused(marker: Document, asked: Asked, objects: Objects) -> Iterator[tuple[int, str]]:
    refused: Mapping[str, Sequence[Document]] = marker.get("refused", {})
    files = files_of(each["file"] for each in refused.get(asked.target, ()))
    for path in objects.paths("processed", files):
        for row in asked.key.rows(path, asked.columns):
            yield row["_batch"], row["_reason"]
