"""What a verification of the ledger has found, and how far it has come.

It is kept in a file on this machine until the verification is complete, so that one that was
interrupted continues, within a day.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

LASTS = timedelta(days=1)
PRIVATE = 0o600

What = Literal["missing", "changed", "unexpected", "unsigned"]


@dataclass(frozen=True)
class Fault:
    """What is wrong with an object of the ledger, and by what that is known."""

    what: What
    why: str


@dataclass
class Chain:
    """What was verified of one log: how many documents, and the newest one's number and digest.

    `linked_from` is the first document with the digest of its predecessor, None without any;
    `unlinked` counts those after it that have none. `batch` is the newest batch of any document,
    which was `written_at` that time.
    """

    documents: int = 0
    linked_from: int | None = None
    unlinked: int = 0
    newest: int = 0
    sha256: str | None = None
    batch: int = 0
    written_at: str = ""


@dataclass
class Verified:
    """What was verified, from a batch on: chains by log, objects and their bytes, faults by URL.

    `notes` say what could not be verified.
    """

    first: int
    started_at: str
    logs: dict[str, Chain] = field(default_factory=dict)
    objects: int = 0
    bytes: int = 0
    proofs: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, bucket: str, key: str, what: What, why: str) -> None:
        """Record a fault of an object; of several, the first is enough."""
        self.faults.setdefault(f"s3://{bucket}/{key}", Fault(what, why))

    def document(self) -> dict[str, Any]:
        """Return it as a JSON document; it is `ok` if nothing is missing or changed."""
        return {"ok": not self.faults, **asdict(self), "notes": [*self.remarks()]}

    def remarks(self) -> Iterator[str]:
        """Yield what could not be verified, also of chains: documents that are not linked."""
        for name, chain in self.logs.items():
            begins = chain.linked_from
            if begins is None and chain.documents > 1:
                yield f"{name}: no document has a link: an earlier version wrote all of them"
            elif self.first == 1 and begins is not None and begins > 2:
                yield f"{name}: the chain begins at {begins - 1}: an earlier version wrote the rest"
            if chain.unlinked:
                yield f"{name}: {chain.unlinked:,} later ones have no link, as after a rollback"
        yield from self.notes

    def keep(self, file: Path) -> None:
        """Write it to a file that nobody else can read."""
        file.parent.mkdir(parents=True, exist_ok=True)
        written = file.with_suffix(".new")
        written.unlink(missing_ok=True)
        written.touch(PRIVATE)
        written.write_text(json.dumps(asdict(self)))
        written.replace(file)


def kept(file: Path, first: int, now: datetime) -> Verified | None:
    """Return what an interrupted verification from the same batch on has found; None without."""
    try:
        found = json.loads(file.read_text())
        logs = {name: Chain(**chain) for name, chain in found.pop("logs").items()}
        faults = {url: Fault(**fault) for url, fault in found.pop("faults").items()}
        verified = Verified(**found, logs=logs, faults=faults)
        is_recent = now - datetime.fromisoformat(verified.started_at) < LASTS
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return verified if is_recent and verified.first == first else None
