"""Verify the ledger: follow the chain of each log, and compare every object with its digest.

Nothing here writes to AWS.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.aws.account import Account
from deployer.aws.changes import found
from deployer.errors import OperationError, explaining
from deployer.operations.batchlog import lists_of
from deployer.operations.ledger import (
    ORIGINS,
    STAGES,
    Document,
    Log,
    Named,
    Stage,
    Stored,
    logs_of,
    named,
    parsed,
    stored,
)
from deployer.operations.proofs import Signatures, listed_proofs
from deployer.operations.retired import Retired
from deployer.operations.verified import Chain, Verified, What, kept
from deployer.operations.verify_proofs import ProofVerification
from deployer.resources.names import Names
from etl import keymarks

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READERS = 10  # at a time, as many as the client has connections
AHEAD = 40  # documents
FAR_AHEAD = 1000  # numbers: functions ignore a document that is further ahead
FILES = Path(".build") / "verify"

# All stages have a batch within minutes, and half an hour at most.
IN_TIME = timedelta(minutes=30)
NO_BUCKET = "NoSuchBucket"

Report = Callable[[str], None]


@dataclass(frozen=True)
class Ledger:
    """Where the documents of a deployment are, by stage, and how signatures are checked."""

    s3: "S3Client"
    buckets: Mapping[Stage, str]
    signatures: Signatures

    @classmethod
    def of(cls, account: Account, names: Names, key: str | None) -> "Ledger":
        """Return that of a deployment, whose proofs are signed by a `key` (an ARN), if any."""
        processed = names.bucket("processed")
        return cls(
            account.clients.s3,
            {"ingestion": names.bucket("ingestion"), "processed": processed, "loaded": processed},
            Signatures(account.clients.kms, key),
        )


def verify_ledger(ledger: Ledger, first: int, now: datetime, report: Report) -> Verified:
    """Verify the logs from batch `first` on, and all proofs.

    `report` is called with how far it has come.

    Raises:
        OperationError: there is nothing to verify.
    """
    with explaining("verify"):
        return _Verification(ledger, first, now, report).run()


class _Verification:
    """One verification, which continues what an earlier one has left."""

    def __init__(self, ledger: Ledger, first: int, now: datetime, report: Report) -> None:
        self._s3, self._buckets = ledger.s3, ledger.buckets
        processed = self._buckets["processed"]
        self._report, self._now = report, now
        self._file = FILES / f"{processed}.json"
        self.done = kept(self._file, first, now) or Verified(first, now.isoformat())
        self._retired = Retired(self._s3, processed)
        self._gone: set[Named] = set()
        self._digests: dict[tuple[Log, int], str | None] = {}
        self._pool = ThreadPoolExecutor(READERS)
        self._signatures = ledger.signatures

    def run(self) -> Verified:
        """Verify what is left, and return what was found in all."""
        with self._pool:
            # What a later document names is there when that is listed: the proofs come first.
            keys = found(lambda: listed_proofs(self._s3, self._buckets["processed"]), NO_BUCKET)
            logs = found(self._logs, NO_BUCKET) or []
            listed = {log: self._listed(log) for log in reversed(logs)}
            if not any(listed.values()) and (self.done.first > 1 or not keys):
                begins = f" from {self.done.first} on" if self.done.first > 1 else ""
                raise OperationError(
                    f"s3://{self._buckets['ingestion']} has no batch{begins}: there is nothing to "
                    "verify. `python deploy.py run` writes one."
                )
            self._require_same(logs)
            for log in logs:
                self._verify(log, listed[log])
            self._ends(logs)
            self._report("proofs")
            signatures = self._signatures
            proofs = ProofVerification(self._s3, self._buckets, signatures, self._digest, self.done)
            proofs.run(keys or [])
        self._file.unlink(missing_ok=True)
        return self.done

    def _logs(self) -> list[Log]:
        return [
            log
            for stage, bucket in self._buckets.items()
            for log in logs_of(self._s3, bucket, stage)
        ]

    def _listed(self, log: Log) -> list[int]:
        """Return the numbers of a log to be verified.

        Markers are numbered separately, and after a restore their batches begin again. So all from
        the first one of such a batch on are.
        """
        first = self.done.first
        if log.stage != "loaded" or first == 1:
            return log.numbers(self._s3, first)
        numbers = log.numbers(self._s3, 1)
        found = (n for n, batch in self._batches(log, numbers) if batch is None or batch >= first)
        return numbers[bisect_left(numbers, next(found, numbers[-1] + 1)) :] if numbers else []

    def _batches(self, log: Log, numbers: Sequence[int]) -> Iterator[tuple[int, int | None]]:
        """Yield each marker with its batch, None if it says none: by the index of each thousand."""
        stretch = keymarks.STRETCH
        for last, some in groupby(numbers, key=lambda number: -(-number // stretch) * stretch):
            index = self._read(log, last).get("index")
            entries = index if isinstance(index, list) else []
            known = {
                number: entry[0]
                for number, entry in enumerate(entries, last + 1 - len(entries))
                if isinstance(entry, list) and entry
            }
            of_stretch = list(some)
            left = [number for number in of_stretch if number not in known]
            documents = self._pool.map(lambda number: self._read(log, number), left)
            known |= {
                number: document.get("batch")
                for number, document in zip(left, documents, strict=True)
            }
            for number in of_stretch:
                batch = known[number]
                yield number, batch if isinstance(batch, int) else None

    def _read(self, log: Log, number: int) -> Document:
        """Return a document, an empty one for bytes that are none."""
        entry = stored(self._s3, log.bucket, log.key(number), keep=True)
        return (parsed(entry.body) if entry else None) or {}

    def _require_same(self, logs: Sequence[Log]) -> None:
        """Begin again if what was verified before is not what is there now."""
        before = {log: self.done.logs[log.name] for log in logs if log.name in self.done.logs}
        if any(self._digest(log, chain.newest) != chain.sha256 for log, chain in before.items()):
            self.done = Verified(self.done.first, self.done.started_at)

    def _digest(self, log: Log, number: int) -> str | None:
        """Return the digest of a document, None if it is missing; each is read once."""
        if (log, number) not in self._digests:
            entry = stored(self._s3, log.bucket, log.key(number))
            self._digests[log, number] = entry.sha256 if entry else None
        return self._digests[log, number]

    def _verify(self, log: Log, numbers: Sequence[int]) -> None:
        """Verify the documents of a log that are left, and the objects that they name."""
        if log.name not in self.done.logs:
            before = self.done.first - 1
            if log.stage == "loaded" and before:
                before = numbers[0] - 1 if numbers else 0
            self.done.logs[log.name] = Chain(newest=before)
            self.done.logs[log.name].sha256 = self._digest(log, before) if before else None
        chain = self.done.logs[log.name]
        left = numbers[bisect_left(numbers, chain.newest + 1) :]
        known: frozenset[Named] = frozenset()
        for at in range(0, len(left), AHEAD):
            some = left[at : at + AHEAD]
            keys = [log.key(number) for number in some]
            entries = self._pool.map(lambda key: stored(self._s3, log.bucket, key, keep=True), keys)
            promised: list[tuple[int, Named]] = []
            for number, entry in zip(some, entries, strict=True):
                names = frozenset(self._document(log, chain, number, entry))
                new = names - (known - self._gone)
                promised += [(number, each) for each in sorted(new, key=lambda each: each.key)]
                known = names
            self._objects(log, promised, left[-1])
            self.done.keep(self._file)
            self._report(f"{log.name} {some[-1]:,} of {left[-1]:,}")

    def _ends(self, logs: Sequence[Log]) -> None:
        """Compare the ends of logs: a batch that is long there has gone through all stages."""
        for log in logs:
            if log.stage == "ingestion" or log.name not in self.done.logs:
                continue
            chain = self.done.logs[log.name]
            before = STAGES[STAGES.index(log.stage) - 1]
            earlier = self.done.logs.get(f"{log.source}/{before}")
            if earlier is None or chain.batch >= earlier.batch:
                continue
            why = f"nothing is of batch {earlier.batch}, which was written {earlier.written_at}"
            if self._is_old(earlier.written_at):
                self._fault(log, chain.newest + 1, "missing", why)
            else:
                self.done.notes.append(f"{log.name} ends at batch {chain.batch}: {why}")

    def _is_old(self, moment: str) -> bool:
        try:
            return self._now - datetime.fromisoformat(moment) > IN_TIME
        except (TypeError, ValueError):
            return True

    def _document(
        self, log: Log, chain: Chain, number: int, entry: Stored | None
    ) -> Iterator[Named]:
        """Verify a document and its links; yield the objects that it names."""
        if number - chain.newest > FAR_AHEAD:
            why = f"the newest document before it is {chain.newest}"
            self._fault(log, number, "unexpected", why)
            return
        for missing in range(chain.newest + 1, number):
            self._fault(log, missing, "missing", f"{log.key(number)} is there")
            chain.sha256 = None
        document = parsed(entry.body) if entry else None
        if entry is None:
            self._fault(log, number, "missing", "it was there a moment ago")
        elif document is None or log.number_of(document) != number:
            self._fault(log, number, "changed", "it is not the document of that number")
        if document is not None:
            self._links(log, chain, number, document)
            batch = document.get("batch")
            if isinstance(batch, int) and batch >= chain.batch:
                chain.batch, chain.written_at = batch, str(document.get("written_at"))
            yield from named(document | self._lists(log, document), log.bucket)
        chain.documents += 1
        chain.newest, chain.sha256 = number, entry.sha256 if entry else None
        self._digests[log, number] = chain.sha256

    def _lists(self, log: Log, document: Document) -> Document:
        """Return the long lists of a document; one that was changed is a fault by itself."""
        try:
            return lists_of(document, lambda key: self._list(log, key))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def _list(self, log: Log, key: str) -> bytes:
        entry = stored(self._s3, log.bucket, key, keep=True)
        return entry.body if entry else b""

    def _links(self, log: Log, chain: Chain, number: int, document: Document) -> None:
        """Compare the digests that a document has of its predecessor and of its origin."""
        link = document.get("previous_sha256")
        if link is None:
            chain.unlinked += chain.linked_from is not None
        else:
            chain.linked_from = chain.linked_from or number
            if chain.sha256 not in (None, link):
                self._fault(log, number - 1, "changed", f"named by {log.key(number)}")
        if log.stage == "ingestion":
            return
        before = STAGES[STAGES.index(log.stage) - 1]
        origin = Log(log.source, before, self._buckets[before])
        batch, made_from = document.get("batch"), document.get(ORIGINS[log.stage])
        if not isinstance(batch, int) or batch < self.done.first:
            return
        digest = self._digest(origin, batch)
        if digest is None:
            self._fault(origin, batch, "missing", f"named by {log.key(number)}")
        elif made_from not in (None, digest):
            self._fault(origin, batch, "changed", f"named by {log.key(number)}")

    def _objects(self, log: Log, promised: Sequence[tuple[int, Named]], newest: int) -> None:
        """Compare objects with the digests that documents of a log, by their numbers, name."""
        entries = self._pool.map(lambda at: stored(self._s3, at[1].bucket, at[1].key), promised)
        for (number, each), entry in zip(promised, entries, strict=True):
            why = f"named by {log.key(number)}"
            if entry is None:
                self._gone.add(each)
                if number == newest or not self._retired.has(log, each):
                    self.done.add(each.bucket, each.key, "missing", why)
                continue
            self.done.objects += 1
            self.done.bytes += entry.size
            if each.sha256 not in (None, entry.sha256):
                self.done.add(each.bucket, each.key, "changed", why)

    def _fault(self, log: Log, number: int, what: What, why: str) -> None:
        self.done.add(log.bucket, log.key(number), what, why)
