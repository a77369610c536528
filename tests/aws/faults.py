"""AWS answering as it does on a bad day: late, refusing, or with exactly what a test dictates."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError
from botocore.model import OperationModel
from botocore.stub import Stubber

from tests.aws.sandbox import Sandbox


@contextmanager
def stubbed(client: Any) -> Iterator[Stubber]:
    """Answer the calls of a client one after the other, and insist that all are made."""
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


class Faults:
    """Answers an operation with an error, `times` times (None: always)."""

    def __init__(self, answers: dict[str, tuple[str, str]], times: int | None = 1) -> None:
        self._answers = answers
        self._times = times
        self.given: dict[str, int] = {}

    def __call__(self, model: OperationModel, **_: object) -> None:
        given = self.given.get(model.name, 0)
        if model.name in self._answers and (self._times is None or given < self._times):
            self.given[model.name] = given + 1
            code, message = self._answers[model.name]
            raise ClientError({"Error": {"Code": code, "Message": message}}, model.name)

    def inject(self, sandbox: Sandbox, event: str) -> None:
        for client in vars(sandbox.account.clients).values():
            client.meta.events.register(f"{event}.*.*", self)
