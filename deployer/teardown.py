"""The removal of a deployment as a story: what stops first, what goes then, and the proof.

How a single thing is removed is up to its service's module; which things belong to a deployment is
up to the inventory.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from deployer.aws import sns
from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.aws.waiting import Waited
from deployer.errors import AwsError, CredentialsError, DeployError, explaining
from deployer.inventory import REMOVERS, Thing, named, occasional, tagged
from deployer.operations import invocations
from deployer.progress import Report, Started
from deployer.receipt import Entry, Outcome, Receipt
from deployer.resources import specs
from deployer.resources.names import Names

S = TypeVar("S")
T = TypeVar("T")

THREADS = 8
# For a while, AWS may still show what it has agreed to remove.
GONE_SECONDS = 180
# The last lines of a log arrive about as late as this.
QUIET_SECONDS = 10
# A function may run for 15 minutes, and recreate something until then.
COMING_BACK_SECONDS = 900


class Teardown:
    """Removes a deployment from an account, whatever is left of it."""

    def __init__(
        self,
        account: Account,
        names: Names,
        report: Report,
        secrets: Iterable[str],
        *,
        keep_data: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`secrets` are the pipeline's sources and targets that have one, as far as they are known.

        With `keep_data` the buckets stay; `now` are the seconds of the epoch.
        """
        self.account = account
        self.names = names
        self._looking = replace(account, planning=True)
        self._report = report
        self._secrets = tuple(secrets)
        self._keep_data = keep_data
        self._now = now
        self._entries: dict[Thing, Entry] = {}

    def look(self) -> list[Thing]:
        """Return what `remove` would remove, in that order, and remove nothing."""
        return self._those_there([thing for thing in self._find() if not self._is_kept(thing)])

    def remove(self) -> Receipt:
        """Remove the deployment, and look again until nothing of it is left.

        What AWS refuses to remove is in the receipt with its reason, and the rest goes on.

        Raises:
            CredentialsError: AWS does not accept the credentials, or no longer.
        """
        things = self._find()
        self._remove(things, "rule", "notification", "api", "event source")
        self._wait_for_running_functions()
        self._remove(things, "function")
        # A function that runs on unseen can write nothing without its role.
        self._remove(things, "role")
        self._remove(things, "layer", "alarm", "dashboard", "topic", "queue", "secret", "other")
        self._remove(things, "bucket")
        self._remove(things, "log group")
        self._remove_what_comes_back(things)
        return self._receipt(things)

    def _find(self) -> list[Thing]:
        """Find what belongs to the deployment, be it there or not, in the order of its removal."""
        self._entries.clear()
        found = [*named(self.names, self._secrets), *self._those_there([*occasional(self.names)])]
        try:
            with explaining("tags"):
                found += tagged(self.account, self.names)
        except AwsError as error:
            self._note(Thing("tags", self.names.prefix), "stays", str(error))
        order = list(REMOVERS)
        return sorted(dict.fromkeys(found), key=lambda thing: order.index(thing.kind))

    def _remove(self, things: Sequence[Thing], *kinds: str) -> None:
        """Remove the things of some kinds, kind by kind in turn, the kinds side by side."""
        of_a_kind = [[thing for thing in things if thing.kind == kind] for kind in kinds]
        self._side_by_side(self._end_in_turn, of_a_kind)

    def _end_in_turn(self, things: Sequence[Thing]) -> None:
        for thing in things:
            self._end(thing)

    def _end(self, thing: Thing) -> None:
        """Remove one thing and record the outcome."""
        self._report(Started(thing.kind, thing.name))
        try:
            if self._is_kept(thing):
                self._note(thing, "kept" if self._is_there(thing) else "already gone")
            elif self._take_away(thing):
                self._note(thing, "removed")
                self._report(Change(thing.kind, thing.name, "removed"))
            elif thing not in self._entries:
                self._note(thing, "already gone")
        except CredentialsError:
            raise
        except DeployError as error:
            self._note(thing, "stays", str(error))

    def _take_away(self, thing: Thing) -> bool:
        """Remove one thing, and return, when it is gone, whether it was there."""
        with explaining(f"{thing.kind} {thing.name}"):
            if thing.kind == "topic":
                self._note_unconfirmed_subscriptions()
            was_there = REMOVERS[thing.kind](self.account, thing.name)
        if was_there:
            self.account.patience.until(
                lambda: not self._is_there(thing), f"{thing.kind} {thing.name} to go", GONE_SECONDS
            )
        return was_there

    def _is_there(self, thing: Thing) -> bool:
        with explaining(f"{thing.kind} {thing.name}"):
            return REMOVERS[thing.kind](self._looking, thing.name)

    def _may_be_there(self, thing: Thing) -> bool:
        """Say whether a thing is there, or cannot be looked at."""
        try:
            return self._is_there(thing)
        except CredentialsError:
            raise
        except DeployError:
            return True

    def _is_kept(self, thing: Thing) -> bool:
        return self._keep_data and thing.kind == "bucket"

    def _wait_for_running_functions(self) -> None:
        """Wait until running functions have ended, as far as that can be seen.

        Nothing depends on it: a batch that is cut short is done again, with the same result.
        """
        for spec in (*specs.FUNCTIONS, *specs.OF_EVENTS, *specs.OF_REPORTS):
            name, group = self.names.function(spec.use), self.names.log_group(spec.use)

            def is_idle(group: str = group, timeout: int = spec.timeout) -> bool:
                began_after = self._now() - timeout
                return not invocations.running(self.account, group, began_after)

            with suppress(AwsError), explaining(f"log group {group}"):
                self.account.patience.until(
                    is_idle, f"function {name} to end its work", spec.timeout
                )

    def _remove_what_comes_back(self, things: Sequence[Thing]) -> None:
        """Look again after a quiet time, until nothing is back: a last log line, a last object."""
        if not self._with("removed", things):
            return
        patience = self.account.patience
        began = patience.clock()
        while back := self._after_a_quiet_time(things):
            for thing in back:
                if patience.clock() - began < COMING_BACK_SECONDS:
                    self._end(thing)
                else:
                    self._note(thing, "stays", "it comes back each time: something recreates it")
        patience.report(Waited("late log lines and objects", patience.clock() - began))

    def _after_a_quiet_time(self, things: Sequence[Thing]) -> list[Thing]:
        """Return what should be gone and is there."""
        self.account.patience.sleep(QUIET_SECONDS)
        gone = [*self._with("removed", things), *self._with("already gone", things)]
        return self._those_there(gone)

    def _those_there(self, things: Sequence[Thing]) -> list[Thing]:
        there = self._side_by_side(self._may_be_there, things)
        return [thing for thing, is_there in zip(things, there, strict=True) if is_there]

    def _with(self, outcome: Outcome, things: Sequence[Thing]) -> list[Thing]:
        return [thing for thing in things if self._entries[thing].outcome == outcome]

    def _receipt(self, things: Sequence[Thing]) -> Receipt:
        """Return the outcome of the things, in their order, and then of others that were seen."""
        ordered = [*things, *(thing for thing in self._entries if thing not in things)]
        entries = tuple(self._entries[thing] for thing in ordered)
        names = self.names
        return Receipt(names.account, names.region, names.project, names.stage, entries)

    def _note(self, thing: Thing, outcome: Outcome, why: str = "") -> None:
        self._entries[thing] = Entry(thing.kind, thing.name, outcome, why)

    def _note_unconfirmed_subscriptions(self) -> None:
        why = "it was never confirmed and cannot be removed; SNS lets it go within 48 hours"
        for email in sns.unconfirmed(self.account, self.names.topic_arn):
            self._note(Thing("subscription", email), "lapses", why)

    def _side_by_side(self, act: Callable[[S], T], things: Sequence[S]) -> list[T]:
        with ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(act, things))
