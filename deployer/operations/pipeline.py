"""Run the deployed pipeline: invoke its functions now, and follow batches to the warehouse.

The batch logs, plain JSON in S3, are only read.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from deployer.aws import sqs
from deployer.aws.account import Account
from deployer.aws.waiting import Waited
from deployer.errors import OperationError, explaining
from deployer.operations.batchlog import BatchLog, marker_of
from deployer.operations.files import RefusedFile, refused_files
from deployer.operations.invocations import BUSY_SECONDS, Answer, Invocations
from deployer.operations.progress import Watch
from deployer.resources.names import BucketUse, FunctionUse, Names

# A policy may take effect only some time after it was written.
NEW_POLICY_SECONDS = 180.0
NEW_POLICY_PAUSE = 10.0
# What an event says again to a function that is not finished; a repair is requested once.
GOES_ON = ("source", "now")
# Lambda waits 5 seconds for more events, and collect takes a few.
COLLECT_SECONDS = 120.0
BUSY_PAUSE = 1.0
# In an event of a repair; an asynchronous event may have 256 kB in all.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
KEY_BYTES = 200_000
CHANGED = ("inserted", "updated", "deleted")  # the counts of a marker for each target table


@dataclass
class Run:
    """What one run loaded from the sources into the warehouse.

    `batches`: the newest batch by source, None without changes; `batch`: that of the only source.
    `rows`: changed rows by source table. `loaded`: changed rows by target table. `quarantined`:
    rows that could not be transformed, by source table, and those that the warehouse refused, by
    target table. `stopped`: why source tables could not be read. `waiting`: by source, why
    something is not read yet. `refused`: files that were refused, wholly or in part, by key.
    `exports`: URLs of exported objects. `seconds`: wall-clock seconds by stage. With several
    sources, source tables are named `<source>/<table>`.
    """

    batches: dict[str, int | None] = field(default_factory=dict)
    batch: int | None = None
    rows: dict[str, int] = field(default_factory=dict)
    loaded: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    refused: dict[str, RefusedFile] = field(default_factory=dict)
    exports: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


class Pipeline:
    """The deployed functions, invoked one after the other."""

    def __init__(
        self,
        account: Account,
        names: Names,
        sources: Sequence[str],
        step: Callable[[str], AbstractContextManager[None]],
        *,
        events: Sequence[str] = (),
        doing: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`step` is a context that is entered with the name of each stage.

        `events` are the names of the sources whose events are posted: nothing invokes extract for
        them. `doing` is called with how far a stage is, every few seconds.
        """
        self.account = account
        self.names = names
        self.sources = tuple(sources)
        self.events = tuple(events)
        self._step = step
        self._clock = clock
        self._sleep = sleep
        watch = Watch(account, names, sources, doing, now)
        self.invocations = Invocations(account, names, clock, sleep, now, watch=watch.look)

    def run(self, *, now: bool = False) -> Run:
        """Load what has changed in the sources, and what an earlier run left unfinished.

        `now` also reads sources that are not due yet by their declaration. A scheduled run may do
        the same at the same time, so the outcome of a batch is read from the batch logs.

        Raises:
            OperationError: a function is not deployed, or failed; the message is the function's.
        """
        asks = set(self.sources) - set(self.events)
        return self._follow([{"now": True} if now else {}] if asks else [])

    def replay(self, source: str, batch: int) -> Run:
        """Process the rows of a batch again that are still current.

        Raises:
            OperationError: a function is not deployed, or failed; the message is the function's.
        """
        return self._follow([{"replay": batch, "source": source}])

    def make_page(self) -> None:
        """Write the page now, with what has just been loaded.

        Raises:
            OperationError: the function is not deployed, or failed.
        """
        with self._step("page"):
            self._invoke("page", {"now": True})

    def reconcile(self, *, repair: bool = False) -> Answer:
        """Compare source and warehouse row by row; return the function's report.

        With `repair`, the tables that differ are read again from the source, and the report is that
        of a second comparison; its `repaired` is the run in between.

        Raises:
            OperationError: a function is not deployed, or failed; the message is the function's.
        """
        found, events = self._compare()
        if not (repair and events):
            return found
        run = self._follow(events)
        found, _ = self._compare()
        return {**found, "repaired": asdict(run)}

    def _compare(self) -> tuple[Answer, list[Answer]]:
        """Return reconcile's report, and the events by which extract repairs the differences."""
        with self._step("reconcile"):
            found = self._invoke("reconcile", {})
        found.pop("repair", None)
        repairs = [event for part in _parts(found) if (event := part.pop("repair", None))]
        return found, [part for event in repairs for part in _portions(event)]

    def _follow(self, events: Sequence[Answer]) -> Run:
        """Invoke extract with each event, then the other functions until nothing is left to do."""
        run = Run()
        collected = self._collect(run)
        extracted = [answer for event in events for answer in self._stage("extract", run, event)]
        self._stage("transform", run)
        loaded = self._stage("load", run)
        for source in self.sources:
            answers = [*collected.get(source, ()), *_parts_of(source, extracted)]
            self._account_for(source, answers, _parts_of(source, loaded), run)
        if len(self.sources) == 1:
            run.batch = run.batches[self.sources[0]]
        return run

    def _collect(self, run: Run) -> dict[str, list[Answer]]:
        """Wait until the queue of events is empty; return the new batches of their sources.

        They have the form of extract's answers. Returns after a while in any case: a message that
        cannot be collected stays in the queue.
        """
        if not self.events:
            return {}
        began, queue = self._clock(), self.names.events_queue
        before = {source: self._newest(source) for source in self.events}
        with self._step("collect"), explaining(f"queue {queue}"):
            while (left := sqs.count_messages(self.account, queue)) and (
                self._clock() - began < COLLECT_SECONDS
            ):
                self._sleep(BUSY_PAUSE)
        run.seconds["collect"] = round(self._clock() - began, 3)
        if left:
            run.waiting |= dict.fromkeys(self.events, f"{left:,} events are still in the queue")
        return {
            source: [
                {"batch": batch, "stopped": {}}
                for batch in range(number + 1, self._newest(source) + 1)
            ]
            for source, number in before.items()
        }

    def _newest(self, source: str) -> int:
        """Return the number of the newest batch of a source, 0 before its first."""
        bucket = self.names.bucket("ingestion")
        with explaining(f"bucket {bucket}"):
            return BatchLog(self.account.clients.s3, bucket, f"batches/{source}/").newest()

    def _account_for(
        self, source: str, extracted: Sequence[Answer], loaded: Sequence[Answer], run: Run
    ) -> None:
        """Add the outcome of a source's batches to a run."""
        prefix = f"{source}/" if len(self.sources) > 1 else ""
        for answer in extracted:
            run.stopped |= {f"{prefix}{name}": why for name, why in answer["stopped"].items()}
        if extracted and (why := extracted[-1].get("waiting")):
            run.waiting[source] = why
        for answer in loaded:
            _add(run.loaded, answer["rows"])
            _add(run.quarantined, answer.get("refused", {}))
            run.exports += answer.get("exports", [])
        batches = {batch for answer in loaded for batch in answer["batches"]}
        for new in [answer["batch"] for answer in extracted]:
            if new is not None and new not in batches:
                batches.add(new)  # a scheduled loader was faster
                _add(run.loaded, self._loaded(source, new))
        run.batches[source] = max(batches, default=None)
        for batch in sorted(batches):
            key = f"batches/{source}/{batch:010d}.json"
            read = self._manifest("ingestion", key)
            made = self._manifest("processed", key)
            _add(run.rows, _sums(read.get("tables", {}), ("changed",)), prefix)
            of_files = {each["table"] for each in made.get("files", [])}
            held = _sums(made.get("balance", {}), ("quarantined",))
            _add(run.quarantined, _without(held, of_files), prefix)
            files = made.get("files", [])
            for each in files:
                run.refused.pop(each["file"]["key"], None)  # the newer report counts
            run.refused |= refused_files(files, self.names.bucket("processed"))

    def _stage(self, use: FunctionUse, run: Run, event: Answer | None = None) -> list[Answer]:
        """Invoke a function until it has nothing left to do."""
        began = self._clock()
        with self._step(use):
            asked = event or {}
            answers = [self._invoke(use, asked)]
            while _has_more(use, answers[-1]):
                self._wait_for_others(answers[-1], self._clock() - began)
                if not any(part.get("postponed") for part in _parts(answers[-1])):
                    asked = {name: asked[name] for name in GOES_ON if name in asked}
                answers.append(self._invoke(use, asked))
        run.seconds[use] = round(run.seconds.get(use, 0) + self._clock() - began, 3)
        return answers

    def _wait_for_others(self, answer: Answer, waited: float) -> None:
        """Wait a moment if others kept a function from its work; raise if they never end."""
        busy = any(part.get("busy") for part in _parts(answer))
        postponed = next((why for part in _parts(answer) if (why := part.get("postponed"))), None)
        if not (busy or postponed):
            return
        if waited > BUSY_SECONDS:
            raise OperationError(
                f"load: another loader has been running for {waited / 60:.0f} minutes. "
                "Look for the session that holds an advisory lock in the warehouse."
                if busy
                else f"extract: nothing was read for {waited / 60:.0f} minutes: "
                f"{postponed}. Look at its log, then run again."
            )
        self._sleep(BUSY_PAUSE)

    def _invoke(self, use: FunctionUse, event: Answer) -> Answer:
        """Invoke a function and return its answer, retrying while a new policy takes effect."""
        began = self._clock()
        answer, error = self.invocations.invoke(use, event)
        while error is not None:
            is_late = "AccessDenied" in error and not self.account.is_local
            if not is_late or self._clock() - began >= NEW_POLICY_SECONDS:
                raise OperationError(f"{use}: {error}")
            self._sleep(NEW_POLICY_PAUSE)
            answer, error = self.invocations.invoke(use, event)
            if error is None:
                waited = self._clock() - began
                self.account.patience.report(Waited("the new policy to take effect", waited))
        return answer

    def _manifest(self, use: BucketUse, key: str) -> Answer:
        """Return a batch's manifest, an empty one if there is none."""
        s3, bucket = self.account.clients.s3, self.names.bucket(use)
        with explaining(f"bucket {bucket}"):
            try:
                found = s3.get_object(Bucket=bucket, Key=key)
            except s3.exceptions.NoSuchKey:
                return {}
            manifest: Answer = json.loads(found["Body"].read())
        return manifest

    def _loaded(self, source: str, batch: int) -> dict[str, int]:
        """Return the rows that a batch changed, by target table."""
        s3, bucket = self.account.clients.s3, self.names.bucket("processed")
        with explaining(f"bucket {bucket}"):
            marker = marker_of(s3, bucket, source, batch)
        return _sums(marker["rows"], CHANGED) if marker else {}


def _portions(event: Answer) -> Iterator[Answer]:
    """Yield the event of a repair as events that Lambda accepts: all keys, a part in each."""
    absent: dict[str, list[Any]] = {}
    size = 0
    for name, keys in event.get("absent", {}).items():
        for key in keys:
            if size > KEY_BYTES:
                yield {**event, "absent": absent}
                event, absent, size = {**event, "read": []}, {}, 0
            absent.setdefault(name, []).append(key)
            size += len(json.dumps(key)) + 2
    yield {**event, "absent": absent} if absent else event


def _sums(tables: Mapping[str, Mapping[str, int]], counts: Sequence[str]) -> dict[str, int]:
    """Return, by table, the sum of some counts."""
    return {name: sum(table.get(count, 0) for count in counts) for name, table in tables.items()}


def _has_more(use: FunctionUse, answer: Answer) -> bool:
    """Return whether to invoke a function again: extract if it says so, others until idle."""
    signs = ("postponed", "more") if use == "extract" else ("batches", "busy")
    return any(part.get(sign) for part in _parts(answer) for sign in signs)


def _parts(answer: Answer) -> list[Answer]:
    """Return the parts of an answer, one for each source."""
    return list(answer["sources"].values())


def _parts_of(source: str, answers: Sequence[Answer]) -> list[Answer]:
    """Return the parts of answers for a source."""
    return [answer["sources"][source] for answer in answers if source in answer["sources"]]


def _add(total: dict[str, int], more: Mapping[str, int], prefix: str = "") -> None:
    for name, number in more.items():
        if number:
            total[f"{prefix}{name}"] = total.get(f"{prefix}{name}", 0) + number


def _without(counts: Mapping[str, int], names: set[str]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if name not in names}
