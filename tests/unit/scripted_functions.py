"""A pipeline whose functions give scripted answers, and a clock that nobody waits for."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
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


DROPPED: dict[str, Any] = {"dropped": "by Lambda: the function was running for a minute"}
DIES: dict[str, Any] = {"dies": "before it has stored what became of it"}


def outcome(event: dict[str, Any], answer: dict[str, Any] | str) -> dict[str, Any]:
    """Return what a function stores of a run."""
    begun = {"event": event, "request": "a-request", "started_at": 0.0}
    if answer is DIES:
        return {**begun, "state": "running"}
    if isinstance(answer, str):
        return {**begun, "state": "failed", "error": answer}
    # As the functions do, which say of the only source at the top, too, what they say of it.
    return {**begun, "state": "done", "answer": {"sources": {"source": answer}} | answer}


class Lambda:
    """Functions that give their answers in turn; an answer that is a text is an error."""

    exceptions = SimpleNamespace(ResourceNotFoundException=NotThere)

    def __init__(self, **answers: list[dict[str, Any] | str | Exception]) -> None:
        self.answers = answers
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.checks: list[dict[str, Any]] = []
        self.invoked: list[str] = []
        self.events: list[dict[str, Any]] = []

    def invoke(
        self,
        FunctionName: str,  # noqa: N803
        Payload: str,  # noqa: N803
        InvocationType: str = "RequestResponse",  # noqa: N803
    ) -> dict[str, Any]:
        """Do the whole run at once, and store its outcome where the deployer looks for it."""
        use = FunctionName.removeprefix("totesys-etl-dev-")
        if use not in self.answers:
            raise NotThere
        event = json.loads(Payload)
        if event == {"check": True}:
            assert InvocationType == "RequestResponse"
            return {"Payload": io.BytesIO(json.dumps({"checks": self.checks}).encode())}
        assert InvocationType == "Event"
        key = f"runs/{use}/{event.pop('follow')}.json"
        self.invoked.append(use)
        self.events.append(event)
        answer = self.answers[use].pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer is not DROPPED:
            self.outcomes[key] = outcome(event, answer)
        return {"StatusCode": 202}


class S3:
    """The objects of both buckets, by key."""

    exceptions = SimpleNamespace(NoSuchKey=NotThere)

    def __init__(self, outcomes: dict[str, dict[str, Any]], **objects: dict[str, Any]) -> None:
        self.outcomes = outcomes
        self.objects = objects

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        if asked["Prefix"].startswith("runs/"):
            keys = [key for key in sorted(self.outcomes) if key > asked["StartAfter"]]
            found = [key for key in keys if key.startswith(asked["Prefix"])]
            return {"Contents": [{"Key": key} for key in found]}
        bucket = asked["Bucket"].rsplit("-", 1)[1]
        keys = [name.removeprefix(f"{bucket}/") for name in sorted(self.objects)]
        found = [
            key for key in keys if key.startswith(asked["Prefix"]) and key > asked["StartAfter"]
        ]
        return {"Contents": [{"Key": key} for key in found[: asked["MaxKeys"]]]}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if Key in self.outcomes:
            return {"Body": io.BytesIO(json.dumps(self.outcomes[Key]).encode())}
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


class Logs:
    """The lines of all log groups."""

    exceptions = SimpleNamespace(ResourceNotFoundException=NotThere)

    def __init__(self) -> None:
        self.lines: list[str] = []

    def get_paginator(self, _: str) -> "Logs":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"events": [{"message": line} for line in self.lines]}]


class Sandbox:
    """A pipeline on scripted functions; sleeping moves its clock, and nothing else does."""

    def __init__(
        self,
        functions: Lambda,
        endpoint: str | None = None,
        sources: Sequence[str] = ("source",),
        doing: Callable[[str], None] = lambda _: None,
        **objects: Any,
    ) -> None:
        self.functions = functions
        self.sleeps: list[float] = []
        self.reported: list[Waited] = []
        self.steps: list[str] = []
        self.logs = Logs()
        self.s3 = S3(functions.outcomes, **objects)
        clients = cast(
            "Clients",
            SimpleNamespace(invoking=functions, s3=self.s3, logs=self.logs),
        )
        patience = Patience(self.clock, self.sleeps.append, self.reported.append)
        account = Account("123456789012", "eu-west-2", endpoint, clients, patience)
        names = Names("totesys-etl", "dev", account.id, account.region)
        self.pipeline = Pipeline(
            account,
            names,
            sources,
            self.step,
            doing=doing,
            clock=self.clock,
            sleep=self.sleeps.append,
            now=self.clock,
        )

    def clock(self) -> float:
        return sum(self.sleeps)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        self.steps.append(what)
        yield
