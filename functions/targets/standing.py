"""Decide which batches a warehouse has; the newest marker holds only if nothing changed since.

A warehouse may have been restored to an older copy, crashed, moved, replaced, or lost a table. Then
each table is inspected. A table without a history gets uncertain batches again, because its values
converge. A history shows by its records how far it got: up to the newest record that a marker
knows, so that no record is repeated.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from msgspec import structs

from functions.common.batchlog import BatchLog
from functions.common.loaded import LoadedMarker, RefusedRows, Warehouse
from functions.targets import Standing
from functions.targets.layout import Layout, WarehouseTable
from functions.targets.own_tables import DELETIONS, LEDGER
from functions.targets.session import Tables

Markers = BatchLog[LoadedMarker]

TRIES = 3  # records removed by hand that are skipped one by one, before a search


def loaded_batch(tables: Tables, markers: Markers) -> int:
    """Return the newest batch that all tables of a warehouse have, 0 for none.

    Where the server has kept running since the newest marker and the tables are the same, nothing
    was restored: a newest record that differs was changed by hand.
    """
    newest = markers.newest()
    if newest and _is_as_left(last := markers.read(newest), tables):
        return min((last.has.get(name, 0) for name in tables.layout.all), default=0)
    return standing_of(tables, markers).loaded


def newest_marked(markers: Markers) -> int:
    """Return the newest batch that any table has according to the newest marker, 0 without one."""
    newest = markers.newest()
    return max(markers.read(newest).has.values(), default=0) if newest else 0


def standing_of(tables: Tables, markers: Markers) -> Standing:
    """Compare a warehouse with the markers, read-only."""
    newest = markers.newest()
    inspection = _Inspection(tables, markers)
    if not newest:
        return inspection.unknown()
    last = markers.read(newest)
    known = tables.layout.proving.keys() & last.evidence.keys()
    if _is_as_left(last, tables) and all(tables.holds(name, last.evidence[name]) for name in known):
        return inspection.with_new_tables(last)
    return inspection.standing(last)


def _is_as_left(last: LoadedMarker, tables: Tables) -> bool:
    """Return whether a marker's tables are unchanged, on a server that has kept running."""
    before, now = last.warehouse, tables.layout.identity
    if abs(before.started_at - now.started_at) > tables.start_precision:
        return False
    server = structs.replace(before, started_at=now.started_at, tables=now.tables)
    return server == now and all(
        before.tables[name] == now.tables[name]
        for name in before.tables.keys() & tables.layout.all.keys()
    )


def _deletions(last: LoadedMarker, layout: Layout[WarehouseTable], has: int) -> int:
    """Return the batch up to which a warehouse has recorded deleted rows: `has`, or 0."""
    before, now = (each.tables.get(DELETIONS) for each in (last.warehouse, layout.identity))
    return has if before and now and before.oid == now.oid else 0


@dataclass(frozen=True)
class _Proof:
    """Proof of a history's state: the `first` and the `newest` marker of that state."""

    first: LoadedMarker
    newest: LoadedMarker


class _Inspection:
    """An inspection of every table of a warehouse that may not be as it was left."""

    def __init__(self, tables: Tables, markers: Markers) -> None:
        self._tables = tables
        self._markers = markers
        self._layout = tables.layout

    def unknown(self) -> Standing:
        """Return the standing without any marker: only nothing is certain."""
        has, models = self._apart(dict.fromkeys(self._layout.all, 0))
        return Standing(has, {}, 1, is_recorded=True, models=models, is_ahead=self._holds_rows())

    def with_new_tables(self, last: LoadedMarker) -> Standing:
        """Return the standing of a marker, with tables that it does not know inspected."""
        names = self._layout.all.keys()
        proofs = self._proofs(last.number, self._layout.histories.keys() - last.has.keys())
        markers = {
            name: proofs[name].newest if name in proofs else last
            for name in names | self._layout.proving.keys()
        }
        # Records ascend with the markers of a stretch only while all have the same tables.
        is_shorter = not last.evidence.keys() <= self._layout.proving.keys()
        has, models = self._apart({name: markers[name].has.get(name, 0) for name in names})
        recorded = [last.has[name] for name in last.has if name not in models]
        return Standing(
            has,
            {name: each.evidence[name] for name, each in markers.items() if name in each.evidence},
            last.number + 1 if is_shorter else last.since,
            is_recorded=True,
            refused=_refused(markers),
            tried_at=last.tried_at,
            definitions=last.definitions,
            deletions=_deletions(last, self._layout, min(recorded, default=0)),
            models=models,
            settled=last.settled,
        )

    def standing(self, last: LoadedMarker) -> Standing:
        """Return the standing after an inspection of every table."""
        proofs = self._proofs(last.number, self._layout.proving)
        markers: dict[str, LoadedMarker] = {name: proof.newest for name, proof in proofs.items()}
        for name in self._layout.all.keys() - self._layout.histories.keys():
            if proven := self._proven(name, list(proofs.values())):
                markers[name] = proven
        evidence = {name: proofs[name].newest.evidence[name] for name in proofs}
        lost = any(evidence.get(name) != former for name, former in last.evidence.items())
        has, models = self._apart(
            {
                name: markers[name].has.get(name, 0) if name in markers else 0
                for name in self._layout.all
            }
        )
        holds_rows = self._holds_rows()
        standing = Standing(
            has,
            evidence,
            last.number + 1 if lost else last.since,
            is_recorded=False,
            refused=_refused(markers),
            models=models,
            settled=last.settled if holds_rows else 0,
            # Only the ledger says exactly what tables without a history have.
            is_ahead=holds_rows and LEDGER not in proofs,
        )
        return replace(standing, deletions=_deletions(last, self._layout, standing.loaded))

    def _apart(self, has: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
        """Divide batches by name into those of tables, the calendar included, and of models."""
        models = self._layout.models
        tables = {name: batch for name, batch in has.items() if name not in models}
        return tables, {name: has[name] for name in models}

    def _holds_rows(self) -> bool:
        """Return whether there are models, and rows that they may be made of."""
        return bool(self._layout.models) and any(map(self._tables.has_rows, self._layout.tables))

    def _proofs(self, newest: int, names: Iterable[str]) -> dict[str, _Proof]:
        """Return the best proof of each history that has one."""
        proofs = {}
        for name in names:
            greatest = self._tables.greatest_record(name)
            if greatest is not None and (proof := self._best_proof(newest, name, greatest)):
                proofs[name] = proof
        return proofs

    def _best_proof(self, newest: int, name: str, greatest: int) -> _Proof | None:
        """Return the proof of the newest batch among all stretches of markers without a loss."""
        stretches = self._stretches(newest)
        found = [
            proof
            for first, last in stretches
            if (proof := self._proof(range(first, last + 1), name, greatest))
        ]
        return max(found, key=lambda proof: proof.newest.has.get(name, 0), default=None)

    def _stretches(self, last: int) -> Iterator[tuple[int, int]]:
        while last > 0:
            first = self._markers.read(last).since
            yield first, last
            last = first - 1

    def _proof(self, markers: range, name: str, greatest: int) -> _Proof | None:
        """Return the newest of some markers, with ascending records, whose record the table has."""

        def record(number: int) -> int:
            evidence = self._markers.read(number).evidence.get(name)
            return evidence.record if evidence else -1

        def is_lost(number: int) -> bool:
            evidence = self._markers.read(number).evidence.get(name)
            return evidence is not None and not self._tables.holds(name, evidence)

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

    def _proven(self, name: str, proofs: list[_Proof]) -> LoadedMarker | None:
        """Return the newest proven marker of a table without a history.

        It was written in the same transactions as the histories. A table that is empty or was
        created since has nothing; one that was found to lack batches later has no more than then.
        """
        if not self._tables.has_rows(name):
            return None
        here = self._layout.identity
        known = [
            marker
            for marker in (proof.first for proof in proofs)
            if name in marker.has and not _was_created(name, marker.warehouse, here)
        ]
        if not known:
            return None
        last = max((proof.newest for proof in proofs), key=lambda marker: marker.number)
        best = max(known, key=lambda marker: marker.has[name])
        return last if last.has.get(name, best.has[name]) < best.has[name] else best


def _refused(markers: Mapping[str, LoadedMarker]) -> dict[str, list[RefusedRows]]:
    """Return the refused rows of each table by its marker."""
    refused = {name: marker.refused.get(name, []) for name, marker in markers.items()}
    return {name: rows for name, rows in refused.items() if rows}


def _was_created(name: str, before: Warehouse, now: Warehouse) -> bool:
    """Return whether a table was recreated and others were not."""
    both = before.tables.keys() & now.tables.keys()
    has_moved = (before.system_identifier, before.database_oid) != (
        now.system_identifier,
        now.database_oid,
    ) or all(before.tables[each].oid != now.tables[each].oid for each in both)
    return not has_moved and before.tables[name].oid != now.tables[name].oid
