"""Run the steps of a deployment: each one is reported, chains of them run side by side."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec

from botocore.exceptions import ClientError

from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.aws.reading import already_there
from deployer.errors import explaining
from deployer.progress import Report, Started

THREADS = 8
P = ParamSpec("P")
Step = Callable[[], Change]


class Steps:
    """Takes steps in an account and reports the beginning and the end of each."""

    def __init__(self, account: Account, report: Report) -> None:
        self._account = account
        self._report = report

    def take(
        self,
        kind: str,
        name: str,
        ensure: Callable[Concatenate[Account, P], Change],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Change:
        """Create or update one resource, by the function of its service.

        Raises:
            DeployError: naming the resource.
        """
        self._report(Started(kind, name))
        with explaining(f"{kind} {name}"):
            try:
                change = ensure(self._account, *args, **kwargs)
            except ClientError as error:
                if not already_there(error):
                    raise
                # It came to be between our look and our write: look again.
                change = ensure(self._account, *args, **kwargs)
        self._report(change)
        return change


def side_by_side(*chains: Sequence[Step]) -> list[Change]:
    """Run chains at the same time, the steps of each in turn; changes come in their order."""
    with ThreadPoolExecutor(THREADS) as threads:
        running = [threads.submit(_in_turn, chain) for chain in chains]
    return [change for chain in running for change in chain.result()]


def _in_turn(chain: Sequence[Step]) -> list[Change]:
    return [step() for step in chain]
