"""The file of results: records by subject, each with the run that it comes from.

A subject, or one size of it, can be run again alone: its records replace the former ones.
Records that are compared are always of one run.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT, Measurement, summary

RESULTS = ROOT / "docs" / "benchmarks.json"

Record = dict[str, Any]


def record(case: str, rows: int, contender: str, runs: Iterable[Measurement]) -> Record:
    """Return the record of one contender in one case, such as a table with constraints."""
    return {"case": case, "rows": rows, "contender": contender, **summary(runs)}


@dataclass
class Results:
    """All records, by subject; `runs` describe the machine and the date, by the run's number."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: dict[str, list[Record]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read the file; without one there are no results yet."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def merge(self, subject: str, records: Iterable[Record], run: Mapping[str, Any]) -> None:
        """Put new records in the place of all earlier ones of the same subject, case and rows."""
        numbers = {json.dumps(about, sort_keys=True): known for known, about in self.runs.items()}
        next_number = str(max((int(known) for known in self.runs), default=0) + 1)
        number = numbers.get(json.dumps(run, sort_keys=True), next_number)
        new = [{**one, "run": number} for one in records]
        replaced = {(one["case"], one["rows"]) for one in new}
        kept = [
            one
            for one in self.records.get(subject, [])
            if (one["case"], one["rows"]) not in replaced
        ]
        self.records[subject] = sorted(kept + new, key=lambda one: (one["case"], one["rows"]))
        self.runs[number] = dict(run)
        used = {one["run"] for ones in self.records.values() for one in ones}
        self.runs = {known: about for known, about in self.runs.items() if known in used}

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps({"runs": self.runs, "records": self.records}, indent=1) + "\n")
        draft.replace(path)

    def find(self, subject: str, **wanted: Any) -> list[Record]:
        """Return the records of a subject that have all of the wanted values."""
        return [
            one
            for one in self.records.get(subject, [])
            if all(one.get(name) == value for name, value in wanted.items())
        ]

    def cases(self, subject: str) -> list[tuple[str, int]]:
        """Return the cases and sizes of a subject, in order."""
        found = [(one["case"], one["rows"]) for one in self.records.get(subject, [])]
        return list(dict.fromkeys(found))


def median(found: Record | None, quantity: str) -> float | None:
    """Return the median of a quantity in a record; None where it was not measured."""
    spread = (found or {}).get(quantity)
    return None if spread is None else float(spread["median"])
