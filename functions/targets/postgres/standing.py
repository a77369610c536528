"""Decide what a warehouse has: the newest marker counts only in the state that it was left in.

A warehouse may have been restored to an older copy, crashed, moved, exchanged for another one, or
lost a table. Then each table is asked for what it has. Where that is uncertain, a dimension gets
batches again, since its latest values converge; a fact table shows its history up to the newest
record that a marker knows, so that no record of it is repeated.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pg8000.native

from functions.common.manifests import Evidence, LoadedMarker, RefusedRows, Warehouse
from functions.load.markers import MarkerLog
from functions.targets.postgres.evidence import greatest_record, holds
from functions.targets.postgres.star import CALENDAR, DIMENSIONS, FACTS, STAR_TABLES, Star

TRIES = 3  # records that were removed by hand are stepped over, before they are searched around


@dataclass(frozen=True)
class Standing:
    """What a warehouse has: see LoadedMarker for most of it.

    `is_recorded` says that the newest marker describes the warehouse as it is.
    """

    has: dict[str, int]
    evidence: dict[str, Evidence]
    since: int
    is_recorded: bool
    refused: dict[str, list[RefusedRows]] = field(default_factory=dict)
    tried_at: datetime | None = None
    definitions: str = ""

    @property
    def loaded(self) -> int:
        """The newest batch that all tables have."""
        return min(self.has.values())


def loaded_batch(connection: pg8000.native.Connection, markers: MarkerLog, star: Star) -> int:
    """Return the newest batch that all tables of a warehouse have, 0 for none.

    Where the server has kept running since the newest marker, and the tables are the same, nothing
    was restored: a newest record that differs was changed by hand, which no batch explains.
    """
    newest = markers.newest()
    if newest and (last := markers.read(newest)).warehouse == star.identity:
        return min(last.has.values())
    return standing_of(connection, markers, star).loaded


def newest_marked(markers: MarkerLog) -> int:
    """Return the newest batch that any table has by the newest marker, 0 without any."""
    newest = markers.newest()
    return max(markers.read(newest).has.values()) if newest else 0


def standing_of(connection: pg8000.native.Connection, markers: MarkerLog, star: Star) -> Standing:
    """Compare a warehouse with the markers; nothing is written."""
    newest = markers.newest()
    if not newest:
        return Standing(dict.fromkeys(STAR_TABLES, 0), {}, 1, is_recorded=True)
    last = markers.read(newest)
    if last.warehouse == star.identity and all(
        holds(connection, star.tables[fact], evidence) for fact, evidence in last.evidence.items()
    ):
        return Standing(
            last.has,
            last.evidence,
            last.since,
            is_recorded=True,
            refused=last.refused,
            tried_at=last.tried_at,
            definitions=last.definitions,
        )
    return _Inspection(connection, markers, star).standing(last)


@dataclass(frozen=True)
class _Proof:
    """What shows the state of a fact table: the `first` and the `newest` marker of that state."""

    first: LoadedMarker
    newest: LoadedMarker


class _Inspection:
    """A look at every table of a warehouse that is not, or not for certain, as it was left."""

    def __init__(
        self, connection: pg8000.native.Connection, markers: MarkerLog, star: Star
    ) -> None:
        self._connection = connection
        self._markers = markers
        self._star = star

    def standing(self, last: LoadedMarker) -> Standing:
        greatest = {
            name: greatest_record(self._connection, self._star.tables[name]) for name in FACTS
        }
        proofs = {
            name: proof
            for name, record in greatest.items()
            if record is not None and (proof := self._best_proof(last.number, name, record))
        }
        has = {name: proof.newest.has[name] for name, proof in proofs.items()}
        evidence = {name: proof.newest.evidence[name] for name, proof in proofs.items()}
        has |= {name: 0 for name in FACTS if name not in has}
        refused = {name: proof.newest.refused.get(name, []) for name, proof in proofs.items()}
        for name in (*DIMENSIONS, CALENDAR):
            proven = self._proven(name, [proof.first for proof in proofs.values()])
            has[name] = proven.has[name] if proven else 0
            refused[name] = proven.refused.get(name, []) if proven else []
        lost = any(evidence.get(name) != former for name, former in last.evidence.items())
        since = last.number + 1 if lost else last.since
        refused = {name: rows for name, rows in refused.items() if rows}
        return Standing(has, evidence, since, is_recorded=False, refused=refused)

    def _best_proof(self, newest: int, fact: str, greatest: int) -> _Proof | None:
        """Return the proof of the newest batch, over all stretches without a loss."""
        stretches = self._stretches(newest)
        found = [
            proof
            for first, last in stretches
            if (proof := self._proof(range(first, last + 1), fact, greatest))
        ]
        return max(found, key=lambda proof: proof.newest.has[fact], default=None)

    def _stretches(self, last: int) -> Iterator[tuple[int, int]]:
        while last > 0:
            first = self._markers.read(last).since
            yield first, last
            last = first - 1

    def _proof(self, markers: range, fact: str, greatest: int) -> _Proof | None:
        """Return the newest of some markers whose record the table has; records grow with them."""

        def record(number: int) -> int:
            evidence = self._markers.read(number).evidence.get(fact)
            return evidence.record if evidence else -1

        def is_lost(number: int) -> bool:
            evidence = self._markers.read(number).evidence.get(fact)
            table = self._star.tables[fact]
            return evidence is not None and not holds(self._connection, table, evidence)

        candidate = markers.start + bisect_right(markers, greatest, key=record) - 1
        for _ in range(TRIES):
            if candidate < markers.start or not is_lost(candidate):
                break
            candidate = markers.start + bisect_left(markers, record(candidate), key=record) - 1
        else:
            earlier = range(markers.start, candidate + 1)
            candidate = markers.start + bisect_left(earlier, True, key=is_lost) - 1
        if candidate < markers.start or record(candidate) < 0:
            return None
        first = markers.start + bisect_left(markers, record(candidate), key=record)
        return _Proof(self._markers.read(first), self._markers.read(candidate))

    def _proven(self, name: str, first: list[LoadedMarker]) -> LoadedMarker | None:
        """Return what a table without a history has at least, since the facts have what they have.

        It was written in the same transactions. One that is empty or was created since has nothing.
        """
        target = self._star.tables[name].target
        if not self._connection.run(f"SELECT 1 FROM {target} LIMIT 1"):
            return None
        here = self._star.identity
        known = [marker for marker in first if not _was_created(name, marker.warehouse, here)]
        return max(known, key=lambda marker: marker.has[name], default=None)


def _was_created(name: str, before: Warehouse, now: Warehouse) -> bool:
    """Tell whether a table is a new one among others that are not."""
    has_moved = (before.system_identifier, before.database_oid) != (
        now.system_identifier,
        now.database_oid,
    ) or all(before.tables[each].oid != now.tables[each].oid for each in STAR_TABLES)
    return not has_moved and before.tables[name].oid != now.tables[name].oid
