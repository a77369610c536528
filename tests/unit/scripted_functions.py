"""A pipeline whose functions give scripted answers, and a clock that nobody waits for."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

from deployer.aws.account import Account, Clients
from deployer.aws.waiting import Patience, Waited
from deployer.operations.pipeline import Pipeline
from deployer.resources.names import Names

NOTHING = {"batches": [], "rows": {}, "busy": False}

REMODELLED: dict[str, Any] = {"batches": [], "quarantined": {}}

DENIED = "secret totesys-etl/dev/source cannot be read (AccessDeniedException): run deploy.py again"


def extracted(batch: int | None, **stopped: str) -> dict[str, Any]:
    return {"batch": batch, "rows": {}, "deleted": {}, "stopped": stopped}


def loaded(*batches: int, **rows: int) -> dict[str, Any]:
    return {"batches": list(batches), "rows": rows, "busy": False}


class NotThere(Exception):
    """The error that botocore raises for a missing function or object."""


class Throttled(Exception):
    """The error that botocore raises when a function runs as often as it may."""


class Lambda:
    """Functions that give their answers in turn; an answer that is a text is an error."""

    exceptions = SimpleNamespace(
        ResourceNotFoundException=NotThere, TooManyRequestsException=Throttled
    )

    def __init__(self, **answers: list[dict[str, Any] | str | Throttled]) -> None:
        self.answers = answers
        self.invoked: list[str] = []
        self.events: list[dict[str, Any]] = []

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        use = FunctionName.removeprefix("totesys-etl-dev-")
        if use not in self.answers:
            raise NotThere
        self.invoked.append(use)
        self.events.append(json.loads(Payload))
        answer = self.answers[use].pop(0)
        if isinstance(answer, Throttled):
            raise answer
        if isinstance(answer, str):
            said = {"errorMessage": answer, "errorType": "Runtime.HandlerError"}
            return {"Payload": io.BytesIO(json.dumps(said).encode()), "FunctionError": "Unhandled"}
        # As the functions do, which say of the only source at the top, too, what they say of it.
        whole = {"sources": {"source": answer}} | answer
        return {"Payload": io.BytesIO(json.dumps(whole).encode())}


class S3:
    """The objects of both buckets, by key."""

    exceptions = SimpleNamespace(NoSuchKey=NotThere)

    def __init__(self, **objects: dict[str, Any]) -> None:
        self.objects = objects

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        bucket = asked["Bucket"].rsplit("-", 1)[1]
        keys = [name.removeprefix(f"{bucket}/") for name in sorted(self.objects)]
        found = [
            key for key in keys if key.startswith(asked["Prefix"]) and key > asked["StartAfter"]
        ]
        return {"Contents": [{"Key": key} for key in found[: asked["MaxKeys"]]]}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        name = f"{Bucket.rsplit('-', 1)[1]}/{Key}"
        if name not in self.objects:
            raise NotThere
        return {"Body": io.BytesIO(json.dumps(self.objects[name]).encode())}


def lake(batch: int, changed: dict[str, int], quarantined: dict[str, int]) -> dict[str, Any]:
    """Return both manifests of a batch by key."""
    key = f"batches/source/{batch:010d}.json"
    return {
        f"ingestion/{key}": {"tables": {name: {"changed": n} for name, n in changed.items()}},
        f"processed/{key}": {
            "balance": {name: {"quarantined": n} for name, n in quarantined.items()}
        },
    }


class Sandbox:
    """A pipeline on scripted functions; sleeping moves its clock, and nothing else does."""

    def __init__(
        self,
        functions: Lambda,
        endpoint: str | None = None,
        sources: Sequence[str] = ("source",),
        **objects: Any,
    ) -> None:
        self.functions = functions
        self.sleeps: list[float] = []
        self.reported: list[Waited] = []
        self.steps: list[str] = []
        clients = cast("Clients", SimpleNamespace(invoking=functions, s3=S3(**objects)))
        patience = Patience(self.clock, self.sleeps.append, self.reported.append)
        account = Account("123456789012", "eu-west-2", endpoint, clients, patience)
        names = Names("totesys-etl", "dev", account.id, account.region)
        self.pipeline = Pipeline(
            account, names, sources, self.step, clock=self.clock, sleep=self.sleeps.append
        )

    def clock(self) -> float:
        return sum(self.sleeps)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        self.steps.append(what)
        yield
