"""The removal of a deployment, step by step: what is removed first, what later, and the proof.

How one resource is removed is up to the module of its service; which resources belong to a
deployment is up to the inventory.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from deployer.aws import logs, sns
from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.aws.waiting import Waited
from deployer.errors import (
    AwsError,
    CredentialsError,
    DeployError,
    explaining,
    is_refusal,
)
from deployer.inventory import (
    REMOVERS,
    ResourceId,
    creates_roles,
    former_roles,
    named,
    occasional,
    tagged,
)
from deployer.networking import lambda_interfaces
from deployer.operations.slots import SLOT, drop_slots, slots_of
from deployer.receipt import Entry, Outcome, Receipt
from deployer.resources import specs
from deployer.resources.names import Names
from deployer.steps import Report, Started, Waiting

S = TypeVar("S")
T = TypeVar("T")

THREADS = 8
# AWS may still list a resource for a while after its removal.
GONE_SECONDS = 180
# Of Lambda in the user's network, after the last function has left it.
INTERFACE_SECONDS = 3600
# The last lines of a log arrive about this late.
QUIET_SECONDS = 10
# A function may run for 15 minutes, and recreate a log group or an object until then.
RECREATED_SECONDS = 900


class Teardown:
    """Removes a deployment from an account, however much of it is left."""

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
        """`secrets` are the pipeline's sources and targets that have one, as far as is known.

        With `keep_data` the buckets are kept; `now` returns the seconds of the epoch.
        """
        self.account = account
        self.names = names
        self._looking = replace(account, planning=True)
        self._report = report
        self._secrets = tuple(secrets)
        self._keep_data = keep_data
        self._now = now
        self._entries: dict[ResourceId, Entry] = {}

    def look(self) -> list[ResourceId]:
        """Return what `remove` would remove, in that order, and remove nothing."""
        found = self._existing([each for each in self._find() if not self._is_kept(each)])
        return [*found, *(ResourceId(SLOT, name) for name in slots_of(self.account, self.names))]

    def remove(self) -> Receipt:
        """Remove the deployment, and look again until nothing of it is left.

        What AWS refuses to remove is in the receipt with the reason; the rest is removed.

        Raises:
            CredentialsError: AWS does not accept the credentials, or no longer.
        """
        resources = self._find()
        self._remove(resources, "rule", "notification", "api", "event source")
        self._wait_for_running_functions()
        self._drop_slots()
        self._remove(resources, "function")
        # A function that is still running can write nothing without its role.
        self._remove_roles(resources)
        self._remove(resources, "layer", "alarm", "dashboard", "topic", "queue", "secret", "other")
        self._remove(resources, "database")
        self._remove(resources, "bucket")
        self._remove(resources, "log group")
        self._remove_recreated(resources)
        return self._receipt(resources)

    def _drop_slots(self) -> None:
        """Have extract drop its replication slots, while it still can."""
        for entry in drop_slots(self.account, self.names):
            self._entries[ResourceId(entry.kind, entry.name)] = entry
            if entry.outcome == "removed":
                self._report(Change(entry.kind, entry.name, "removed"))

    def _find(self) -> list[ResourceId]:
        """Return what may belong to the deployment, in the order of its removal."""
        self._entries.clear()
        found = [*named(self.names, self._secrets), *self._existing([*occasional(self.names)])]
        try:
            with explaining("tags"):
                found += tagged(self.account, self.names)
        except AwsError as error:
            self._note(ResourceId("tags", self.names.prefix), "stays", str(error))
        order = list(REMOVERS)
        return sorted(dict.fromkeys(found), key=lambda each: order.index(each.kind))

    def _remove(self, resources: Sequence[ResourceId], *kinds: str) -> None:
        """Remove the resources of some kinds, those of a kind in order, the kinds concurrently."""
        by_kind = [[each for each in resources if each.kind == kind] for kind in kinds]
        self._concurrently(self._remove_in_order, by_kind)

    def _remove_roles(self, resources: Sequence[ResourceId]) -> None:
        """Remove the roles, once Lambda has left the user's network, which needs them."""
        if not (left := self._wait_for_interfaces()):
            self._remove(resources, "role")
            return
        why = f"Lambda needs it to remove {', '.join(left)}: run again in half an hour"
        for role in (each for each in resources if each.kind == "role"):
            if self._may_exist(role):
                self._note(role, "stays", why)
            else:
                self._note(role, "already gone")

    def _wait_for_interfaces(self) -> list[str]:
        """Wait until Lambda has removed its network interfaces; return those that are left."""
        left: list[str] = []

        def are_gone() -> bool:
            left[:] = lambda_interfaces(self.account, self.names)
            return not left

        what = "Lambda to remove its network interfaces, which takes 20 to 40 minutes"
        seen: list[str] = []
        try:
            with explaining("network interfaces"):
                if are_gone():
                    return []
                seen = [*left]
                self._report(Waiting(what))
                self.account.patience.until(are_gone, what, INTERFACE_SECONDS)
        except CredentialsError:
            raise
        except AwsError as error:
            for each in left or ["network interfaces"]:
                self._note(ResourceId("network interface", each), "stays", str(error))
            return left or ["network interfaces"]
        for each in seen:
            self._note(ResourceId("network interface", each), "removed")
            self._report(Change("network interface", each, "removed"))
        return []

    def _remove_in_order(self, resources: Sequence[ResourceId]) -> None:
        for resource in resources:
            self._remove_one(resource)

    def _remove_one(self, resource: ResourceId) -> None:
        """Remove one resource and record the outcome."""
        self._report(Started(resource.kind, resource.name))
        try:
            if self._is_kept(resource):
                self._note(resource, "kept" if self._exists(resource) else "already gone")
            elif self._delete(resource):
                self._note(resource, "removed")
                self._report(Change(resource.kind, resource.name, "removed"))
            elif resource not in self._entries:
                self._note(resource, "already gone")
        except CredentialsError:
            raise
        except DeployError as error:
            self._note(resource, "stays", str(error))

    def _delete(self, resource: ResourceId) -> bool:
        """Delete one resource, wait until it is gone, and return whether it existed."""
        where = f"{resource.kind} {resource.name}"
        with explaining(where):
            if resource.kind == "topic":
                self._note_unconfirmed_subscriptions()
            existed = REMOVERS[resource.kind](self.account, resource.name)
        if existed:
            self.account.patience.until(
                lambda: not self._exists(resource), f"{where} to disappear", GONE_SECONDS
            )
        return existed

    def _exists(self, resource: ResourceId) -> bool:
        with explaining(f"{resource.kind} {resource.name}"):
            return REMOVERS[resource.kind](self._looking, resource.name)

    def _may_exist(self, resource: ResourceId) -> bool:
        """Return whether a resource exists, or whether it does cannot be read.

        Whose functions all have roles of the user's needs no right to look at others, and has none.
        """
        try:
            return self._exists(resource)
        except CredentialsError:
            raise
        except DeployError as error:
            is_former = resource in [*former_roles(self.names)]
            return creates_roles(self.names) or not (is_former and is_refusal(error))

    def _is_kept(self, resource: ResourceId) -> bool:
        return self._keep_data and resource.kind == "bucket"

    def _wait_for_running_functions(self) -> None:
        """Wait until running functions have ended, as far as their logs show it.

        Nothing depends on it: an interrupted batch is processed again, with the same result.
        """
        for spec in (*specs.FUNCTIONS, *specs.OF_EVENTS, *specs.OF_REPORTS, *specs.OF_LAKE):
            name, group = self.names.function(spec.use), self.names.log_group(spec.use)

            def is_idle(group: str = group, timeout: int = spec.timeout) -> bool:
                return not logs.running_requests(self.account, group, self._now() - timeout)

            with suppress(AwsError), explaining(f"log group {group}"):
                self.account.patience.until(
                    is_idle, f"function {name} to finish its work", spec.timeout
                )

    def _remove_recreated(self, resources: Sequence[ResourceId]) -> None:
        """Remove what a last log line or a last object recreated, until nothing is."""
        if not self._with("removed", resources):
            return
        patience = self.account.patience
        began = patience.clock()
        while recreated := self._recreated(resources):
            for resource in recreated:
                if patience.clock() - began < RECREATED_SECONDS:
                    self._remove_one(resource)
                else:
                    self._note(resource, "stays", "something recreates it each time")
        patience.report(Waited("late log lines and objects", patience.clock() - began))

    def _recreated(self, resources: Sequence[ResourceId]) -> list[ResourceId]:
        """Return, after a quiet time, what should be gone and exists."""
        self.account.patience.sleep(QUIET_SECONDS)
        gone = [*self._with("removed", resources), *self._with("already gone", resources)]
        return self._existing(gone)

    def _existing(self, resources: Sequence[ResourceId]) -> list[ResourceId]:
        exist = self._concurrently(self._may_exist, resources)
        return [each for each, exists in zip(resources, exist, strict=True) if exists]

    def _with(self, outcome: Outcome, resources: Sequence[ResourceId]) -> list[ResourceId]:
        return [each for each in resources if self._entries[each].outcome == outcome]

    def _receipt(self, resources: Sequence[ResourceId]) -> Receipt:
        """Return the outcome of the resources, in their order, and then of others."""
        ordered = [*resources, *(each for each in self._entries if each not in resources)]
        entries = tuple(self._entries[each] for each in ordered)
        names = self.names
        return Receipt(names.account, names.region, names.project, names.stage, entries)

    def _note(self, resource: ResourceId, outcome: Outcome, why: str = "") -> None:
        self._entries[resource] = Entry(resource.kind, resource.name, outcome, why)

    def _note_unconfirmed_subscriptions(self) -> None:
        why = "it was never confirmed and cannot be removed; SNS removes it within 48 hours"
        for email in sns.unconfirmed(self.account, self.names.topic_arn):
            self._note(ResourceId("subscription", email), "lapses", why)

    def _concurrently(self, act: Callable[[S], T], items: Sequence[S]) -> list[T]:
        with ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(act, items))
