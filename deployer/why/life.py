"""What became of a row in each batch, in order: its versions, and what each was made from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deployer.query.tables import Document
from deployer.why import finding, loads
from deployer.why.asking import Asked
from deployer.why.objects import Documents, Objects, files_of
from deployer.why.origins import SourceRow, SourceRows, shown
from etl.targets import Way

Row = dict[str, Any]


@dataclass
class Step:
    """What a batch did to the row.

    `what` is one of: `new`, `changed`, `same` (the values that it had), `ignored` (the first row of
    its key counts), `quarantined`, `refused` (as a row of a file or an event), `deleted`, and
    `replaced` (a newer file, or a newer state of the table, does not have it).
    """

    batch: int
    what: str
    documents: tuple[Document, Document]
    row: Row | None = None
    reason: str | None = None
    made_from: list[SourceRow] = field(default_factory=list)
    loaded: Sequence[str] = ()
    refusal: loads.Refusal | None = None

    def document(self) -> Document:
        """Return it as a part of a JSON document."""
        ingested, processed = self.documents
        true_at = self.made_from[0].true_at if self.made_from else None
        return {
            "batch": self.batch,
            "what": self.what,
            "true_at": true_at or ingested["source"]["snapshot_at"],
            "extracted_at": ingested["written_at"],
            "transformed_at": processed["written_at"],
            "loaded_at": list(self.loaded),
            "replay_of": ingested.get("replay_of"),
            "row": self.row and {name: shown(value) for name, value in self.row.items()},
            "reason": self.reason,
            "refused_by_warehouse": self.refusal and self.refusal.document(),
            "made_from": [each.document() for each in self.made_from],
        }


def life_of(asked: Asked, objects: Objects, say: Callable[[str], None]) -> list[Step]:
    """Return what became of a row, in the order of the batches."""
    source = asked.source.name
    processed = objects.log("processed", f"batches/{source}/")
    say("find its batches")
    found = finding.find(processed, asked)
    say("read its batches")
    life = _Life(asked, objects, processed, objects.log("ingestion", f"batches/{source}/"))
    steps = life.steps(found)
    say("read the markers")
    marked = objects.log("processed", f"loaded/{source}/")
    markers = loads.loads(marked, asked.target)
    times = loads.times(markers, {step.batch for step in steps})
    for step in steps:
        step.loaded = times[step.batch]
    for refusal in loads.refusals(marked, markers, asked, objects):
        for step in steps:
            if step.batch == refusal.batch and step.row is not None:
                step.refusal = refusal
    _say_what(steps, asked.mapping.target.way)
    return steps


def _say_what(steps: Sequence[Step], way: Way) -> None:
    """Say what each row changed in the table, which does not have those that were refused."""
    there: Row | None = None
    for step in steps:
        if step.row is None:
            there = None if step.what in ("deleted", "replaced") else there
            continue
        if there is not None and way == "once":
            step.what = "ignored"
            continue
        step.what = "new" if there is None else "same" if step.row == there else "changed"
        if step.refusal is None or step.refusal.outcome == "accepted":
            there = step.row


class _Life:
    def __init__(
        self, asked: Asked, objects: Objects, processed: Documents, ingested: Documents
    ) -> None:
        self._asked = asked
        self._objects = objects
        self._processed = processed
        self._ingested = ingested
        self._sources = SourceRows(asked, objects)
        self._row: Row | None = None  # as the target has it after the steps so far
        self._waiting: list[SourceRow] = []
        self._seen: list[SourceRow] = []
        self._is_known = False  # whether the target has had any row of the key

    def steps(self, found: finding.Found) -> list[Step]:
        """Return the steps of some batches; a table is only replaced where it has the row."""
        processed = self._processed.read(found.batches)
        ingested = self._ingested.read(found.batches)
        self._fetch(processed.values(), ingested.values())
        steps: list[Step] = []
        for batch in sorted(found.batches | found.snapshots):
            if batch in found.batches:
                steps += self._of(ingested[batch], processed[batch])
            elif self._row is not None:
                [gone] = self._processed.read([batch]).values()
                [from_] = self._ingested.read([batch]).values()
                steps.append(self._lost("replaced", (from_, gone)))
        return steps

    def _fetch(self, processed: Any, ingested: Any) -> None:
        """Fetch what all steps need, several objects at a time."""
        entries = [each["tables"].get(self._asked.target, {}) for each in processed]
        names = ("files", "tombstones")
        self._objects.paths("processed", files_of(_all(entries, names)))
        entries = [each["tables"].get(self._asked.table, {}) for each in ingested]
        self._objects.paths("ingestion", files_of(_all(entries, ("files",))))

    def _of(self, ingested: Document, processed: Document) -> Iterator[Step]:
        documents = ingested, processed
        entry = processed["tables"].get(self._asked.target, {})
        sources = self._sources.of(ingested, processed)
        rows = self._rows(entry.get("files", ()))
        if entry.get("filled") and rows and ingested.get("known") is None:
            # The reasons are those of earlier states, of which the table has got all others.
            sources = [replace(each, reason=None) for each in sources]
        if entry.get("snapshot") and not rows and self._row is not None:
            yield self._lost("replaced", documents)
        self._seen += sources
        made_from = self._origins(rows, sources, entry, ingested)
        yield from self._put_aside(sources, documents)
        for number, (row, origins) in enumerate(zip(rows, made_from, strict=True)):
            is_outdated = entry.get("filled") and self._is_known and number < len(rows) - 1
            if not is_outdated:
                yield self._version(row, origins, documents)
        self._is_known |= bool(rows)
        if self._rows(entry.get("tombstones", ())):
            self._waiting = []
            yield self._lost("deleted", documents)

    def _put_aside(
        self, sources: Sequence[SourceRow], documents: tuple[Document, Document]
    ) -> Iterator[Step]:
        ingested, processed = documents
        is_held = ingested.get("known") is None
        aside = [each for each in sources if each.reason is not None]
        again = self._reason_again(processed) if is_held and not sources else None
        if again is not None and self._waiting:
            yield Step(processed["batch"], "quarantined", documents, None, again, self._waiting)
        for each in aside:
            what = "quarantined" if is_held else "refused"
            yield Step(processed["batch"], what, documents, None, each.reason, [each])
        if is_held and sources:
            self._waiting = aside

    def _reason_again(self, processed: Document) -> str | None:
        file = processed.get("reasons", {}).get(self._asked.target)
        reasons = dict(self._objects.list_of(file)) if file else {}
        reason: str | None = reasons.get(self._asked.key.value)
        return reason

    def _origins(
        self, rows: list[Row], sources: list[SourceRow], entry: Document, ingested: Document
    ) -> list[list[SourceRow]]:
        """Return what each row is made from: the source row in its place, and those it joins with.

        A row that is not in its own batch had waited; one of a table that is filled is of an
        earlier batch.
        """
        fit = [each for each in sources if each.reason is None]
        if entry.get("filled") and ingested.get("replay_of") is None:
            fit = [each for each in self._seen if each.reason is None]
            if len(fit) != len(rows):
                fit = list(self._earlier(ingested["batch"]))
        elif not fit and rows:
            fit, self._waiting = self._waiting, []
        if entry.get("snapshot"):
            fit = fit[-len(rows) :] if rows else []
        pairs = [[each] for each in fit] if len(fit) == len(rows) else [fit for _ in rows]
        return [self._with_joined(each) for each in pairs]

    def _earlier(self, last: int) -> Iterator[SourceRow]:
        """Yield the rows with the key up to a batch, also of when their table had no target.

        No manifest has marks of such rows, so all are read.
        """
        processed = self._processed.read(range(1, last + 1))
        for batch, ingested in self._ingested.read(range(1, last + 1)).items():
            capture = ingested["tables"].get(self._asked.table, {})
            if capture.get("files"):
                rows = self._sources.of(ingested, processed[batch])
                yield from (each for each in rows if each.reason is None)

    def _with_joined(self, rows: list[SourceRow]) -> list[SourceRow]:
        found = []
        for row in rows:
            [ingested] = self._ingested.read([row.batch]).values()
            found += [row, *self._sources.joined(row, ingested)]
        return found

    def _version(
        self, row: Row, origins: list[SourceRow], documents: tuple[Document, Document]
    ) -> Step:
        self._row = row
        return Step(documents[1]["batch"], "new", documents, row, None, origins)

    def _lost(self, what: str, documents: tuple[Document, Document]) -> Step:
        self._row = None
        return Step(documents[1]["batch"], what, documents)

    def _rows(self, entries: Sequence[Document]) -> list[Row]:
        """Return the rows of objects of the target table that have the key, in order."""
        key, columns = self._asked.key, self._asked.columns
        paths = self._objects.paths("processed", files_of(entries))
        return [row for path in paths for row in key.rows(path, columns)]


def _all(entries: Sequence[Document], names: Sequence[str]) -> Iterator[Document]:
    for entry in entries:
        for name in names:
            yield from entry.get(name, ())
