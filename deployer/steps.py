"""Run the steps of a deployment, chains of them concurrently, and report each."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Concatenate, ParamSpec

from botocore.exceptions import ClientError

from deployer.aws import cloudwatch, logs
from deployer.aws.account import Account
from deployer.aws.changes import Change, already_exists
from deployer.aws.lambda_permissions import Permission, ensure_permission
from deployer.aws.waiting import Waited
from deployer.configuration.organisation import Organisation
from deployer.errors import explaining
from deployer.resources.alarms import Alarm
from deployer.resources.names import Names

THREADS = 8
P = ParamSpec("P")
Step = Callable[[], Change]


@dataclass(frozen=True)
class Started:
    """Work on a resource, or on a package, has begun."""

    kind: str
    name: str


@dataclass(frozen=True)
class Waiting:
    """A wait of many minutes has begun."""

    waiting_for: str


Event = Started | Waiting | Waited | Change
# Called from several threads.
Report = Callable[[Event], None]


class Steps:
    """Takes steps of one deployment and reports the start and the outcome of each."""

    def __init__(
        self,
        account: Account,
        names: Names,
        tags: Mapping[str, str],
        report: Report,
        organisation: Organisation,
    ) -> None:
        self.account = account
        self.names = names
        self.tags = tags
        self.organisation = organisation
        self._report = report

    def take(
        self,
        kind: str,
        name: str,
        ensure: Callable[Concatenate[Account, P], Change],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Change:
        """Create or update one resource by the function of its service.

        Raises:
            DeployError: naming the resource.
        """
        self._report(Started(kind, name))
        with explaining(f"{kind} {name}"):
            try:
                change = ensure(self.account, *args, **kwargs)
            except ClientError as error:
                if not already_exists(error):
                    raise
                # It was created between our read and our write: read again.
                change = ensure(self.account, *args, **kwargs)
        self._report(change)
        return change

    def create_alarm(self, alarm: Alarm) -> Change:
        """Create an alarm that notifies the topic."""
        topic = self.names.topic_arn
        return self.take("alarm", alarm.name, cloudwatch.ensure_alarm, alarm, topic, self.tags)

    def create_log_group(self, name: str) -> Change:
        """Create a log group."""
        days = self.organisation.log_days
        ensure = partial(logs.ensure_log_group, key=self.organisation.kms_key)
        return self.take("log group", name, ensure, name, days, self.tags)

    def create_permission(self, permission: Permission) -> Change:
        """Create a permission to invoke a function."""
        return self.take("permission", permission.name, ensure_permission, permission)


def concurrently(*chains: Sequence[Step]) -> list[Change]:
    """Run chains at the same time, the steps of each in order; return all changes, chain by chain.

    Raises:
        DeployError: that of the first chain that failed, after the others have ended.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        running = [threads.submit(_in_order, chain) for chain in chains]
    return [change for chain in running for change in chain.result()]


def _in_order(chain: Sequence[Step]) -> list[Change]:
    return [step() for step in chain]
