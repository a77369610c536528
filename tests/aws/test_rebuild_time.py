"""How long a rebuild takes is how many calls there are, and how many must wait for another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from botocore.model import OperationModel

from deployer.aws.changes import Change
from deployer.steps import Step
from tests.aws.sandbox import READS, Sandbox


@dataclass
class Effort:
    """The calls of a deployment, and the longest chain of calls that wait for each other.

    `spared` are the calls that run beside a longer chain.
    """

    reads: int = 0
    writes: int = 0
    spared: int = 0

    @property
    def calls(self) -> int:
        return self.reads + self.writes

    @property
    def chain(self) -> int:
        return self.calls - self.spared

    def count(self, model: OperationModel, **_: object) -> None:
        if model.name.startswith(READS):
            self.reads += 1
        else:
            self.writes += 1

    def concurrently(self, *chains: Sequence[Step]) -> list[Change]:
        """Run chains one after the other, so that the calls of each can be counted."""
        changes, lengths = [], []
        for chain in chains:
            before = self.calls
            changes += [step() for step in chain]
            lengths.append(self.calls - before)
        self.spared += sum(lengths) - max(lengths)
        return changes


EffortOf = Callable[[Callable[[], list[Change]]], Effort]


@pytest.fixture
def effort_of(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> EffortOf:
    """Return a function that deploys or plans, and counts."""

    def counted(deploy: Callable[[], list[Change]]) -> Effort:
        effort = Effort()
        monkeypatch.setattr("deployer.deployer.concurrently", effort.concurrently)
        clients = vars(sandbox.account.clients).values()
        for client in clients:
            client.meta.events.register("before-call.*.*", effort.count)
        deploy()
        for client in clients:
            client.meta.events.unregister("before-call.*.*", effort.count)
        return effort

    return counted


def test_a_rebuild_takes_seconds(sandbox: Sandbox, effort_of: EffortOf) -> None:
    """An empty account is filled in 9.5 s where a call takes 100 ms: most run beside others."""
    effort = effort_of(sandbox.deploy)

    assert effort.calls <= 225  # about 20 of them for each of five functions
    assert effort.chain <= 95


def test_a_look_takes_seconds(sandbox: Sandbox, effort_of: EffortOf) -> None:
    """A second deployment, like a plan, reads what is there and writes nothing: in 5.5 s."""
    sandbox.start_deployed()

    again, plan = effort_of(sandbox.deploy), effort_of(sandbox.plan)

    assert again == plan
    assert again.writes == 0
    assert again.calls <= 145
    assert again.chain <= 55
