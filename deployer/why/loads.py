"""When batches were loaded, and when the warehouse refused a row, by the markers of a source."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from deployer.query.tables import Document
from deployer.why.asking import Asked
from deployer.why.objects import Documents, Objects, files_of
from etl import keymarks


@dataclass(frozen=True)
class Load:
    """A marker: when it was written, and whether refused rows may have changed.

    `has` is the batch up to which the table is complete.
    """

    number: int
    at: str
    is_changed: bool
    has: int


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
    """Return all markers in order: by the index of each thousand, others one by one.

    After a batch that is new, all tables have it. What a table has after any other marker, as after
    a restore, is not in the index.
    """
    known: dict[int, tuple[int, str, bool]] = {}
    stretches = range(keymarks.STRETCH, log.newest + 1, keymarks.STRETCH)
    for last, document in log.read(stretches).items():
        entries = document.get("index") or []
        for number, entry in enumerate(entries, last + 1 - len(entries)):
            batch, at, *changed = entry
            known[number] = batch, at, any(table in names for names in changed)
    numbers = range(1, log.newest + 1)
    for number, document in log.read(set(numbers) - known.keys()).items():
        known[number] = document["batch"], document["written_at"], True
    newest = [0, *accumulate((known[number][0] for number in numbers), max)]
    read = log.read(number for number in numbers if known[number][0] <= newest[number - 1])
    found: list[Load] = []
    has = 0
    for number in numbers:
        batch, at, is_changed = known[number]
        # A table that is not there keeps what it had.
        has = read[number]["has"].get(table, has) if number in read else batch
        found.append(Load(number, at, is_changed, has))
    return found


def times(markers: Sequence[Load], batches: Iterable[int]) -> dict[int, list[str]]:
    """Return when a table got each of some batches: more than once after a restore."""
    wanted, has = sorted(batches), 0
    found: dict[int, list[str]] = {batch: [] for batch in wanted}
    for marker in markers:
        for batch in wanted[bisect_right(wanted, has) : bisect_right(wanted, marker.has)]:
            found[batch].append(marker.at)
        has = marker.has
    return found


def refusals(
    log: Documents, markers: Sequence[Load], asked: Asked, objects: Objects
) -> list[Refusal]:
    """Return when the warehouse refused rows with a key, in order.

    What a restored warehouse refused or accepted of a batch that it lacks is open until it has got
    that batch again.
    """
    changed = log.read(marker.number for marker in markers if marker.is_changed)
    done: list[Refusal] = []
    last: dict[int, Refusal] = {}  # of each batch
    again: set[int] = set()
    now: dict[int, str] = {}
    has = 0
    for marker in markers:
        is_restored, is_retry = marker.has < has, False
        again |= {batch for batch in last if marker.has < batch <= has}
        has = marker.has
        if document := changed.get(marker.number):
            now = dict(_refused(document, asked, objects))
            is_retry = document.get("tried_at") == document["written_at"]
        for batch, was in last.items():
            if batch > has or batch in now or (was.outcome and batch not in again):
                continue
            outcome = "accepted" if is_retry or batch in again else "superseded"
            last[batch] = replace(was, until=marker.at, outcome=outcome)
        for batch in now:
            if batch not in last:
                last[batch] = Refusal(batch, now[batch], marker.at)
            elif is_restored:
                last[batch] = replace(last[batch], until=None, outcome=None)
            elif last[batch].outcome:
                done.append(last[batch])
                last[batch] = Refusal(batch, now[batch], marker.at)
        again -= {batch for batch in again if batch <= has}
    return sorted([*done, *last.values()], key=lambda each: each.at)


def _refused(marker: Document, asked: Asked, objects: Objects) -> Iterator[tuple[int, str]]:
    refused: Mapping[str, Sequence[Document]] = marker.get("refused", {})
    files = files_of(each["file"] for each in refused.get(asked.target, ()))
    for path in objects.paths("processed", files):
        for row in asked.key.rows(path, asked.columns):
            yield row["_batch"], row["_reason"]
