"""How far a large load is, and how long it still takes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from deployer.operations import progress
from deployer.operations.progress import seconds_left
from deployer.resources.names import FunctionUse
from tests.unit.scripted_functions import DIES, Lambda, Sandbox, extracted, outcome

NOW = datetime.fromtimestamp(0, UTC)  # when the clock of a sandbox begins


def at(seconds: float) -> datetime:
    """Return a moment before now."""
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("steps", "left", "expected"),
    [
        ([(at(10), 300), (at(20), 200), (at(30), 100)], 1000, 150.0),
        ([(at(310), 300), (at(330), 100)], 1000, 1650.0),
        ([(at(10), 300), (at(20), 200), (at(2000), 0)], 1000, 200.0),
        ([(at(10), 300), (at(20), 200), (at(30), 800)], 1000, 200.0),
        ([(at(10), 300)], 1000, None),
        ([(at(1000), 300), (at(1010), 200)], 1000, None),
        ([(at(10), 300), (at(20), 300)], 1000, None),
        ([(at(10), 300), (at(20), 200)], 0, None),
    ],
    ids=[
        *("by the newest steps", "standing still", "before a pause", "read again"),
        *("one step", "after a pause", "no step", "more than estimated"),
    ],
)
def test_the_time_left_is_that_of_the_pace_and_not_said_when_there_is_none(
    steps: list[progress.Step], left: int, expected: float | None
) -> None:
    """A pause, or what was read before a table was read again, is no part of the pace."""
    assert seconds_left(steps, left, NOW) == expected


def document(batch: int, seconds: float, **more: Any) -> dict[str, Any]:
    """Return the document of a batch that was written some seconds ago."""
    return {"batch": batch, "written_at": at(seconds).isoformat(), **more}


def of_sales(batch: int, seconds: float, rows: int) -> dict[str, Any]:
    filling = {"rows": rows, "of": 7_000}
    return document(batch, seconds, tables={"sales": {"filling": filling}, "shop": {}})


def logs(prefix: str, *documents: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/source/{each['batch']:010d}.json": each for each in documents}


READ = logs("ingestion/batches", *(of_sales(n, 100 - 10 * n, 1_000 * n) for n in (1, 2, 3)))
MADE = logs("processed/batches", document(1, 400))
LOADED = logs("processed/loaded", *(document(n, 160 - 60 * n, number=n) for n in (1, 2)))


def followed(
    use: FunctionUse, said: list[str], monkeypatch: pytest.MonkeyPatch, **objects: Any
) -> Sandbox:
    """Follow a run of a function that takes a minute; return the sandbox."""
    answers: dict[str, list[dict[str, Any] | str | Exception]] = {use: [DIES]}
    sandbox = Sandbox(Lambda(**answers), doing=said.append, **objects)
    get = sandbox.s3.get_object

    def late(**asked: Any) -> dict[str, Any]:
        if asked["Key"].startswith("runs/") and sandbox.clock() > 60:
            sandbox.functions.outcomes[asked["Key"]] = outcome({}, extracted(7))
        return get(**asked)

    monkeypatch.setattr(sandbox.s3, "get_object", late)
    sandbox.pipeline.invocations.invoke(use, {})
    return sandbox


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("extract", "sales: 3,000 of about 7,000 rows, about 3 min left"),
        ("transform", "2 batches to go"),
        ("load", "1 batch to go"),
        ("reconcile", None),
    ],
)
def test_a_run_says_how_far_a_function_is(
    use: FunctionUse, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of a table that is read in several batches, or the batches that are left."""
    said: list[str] = []

    followed(use, said, monkeypatch, **READ, **MADE, **LOADED)

    assert said[:1] == ([expected] if expected else [])
    assert len(said) == (11 if expected else 0)


def test_a_run_does_not_depend_on_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log cannot be read, nothing is said, and the run goes on."""
    said: list[str] = []

    def away(*_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    monkeypatch.setattr(progress, "log_of", away)

    followed("load", said, monkeypatch)

    assert said == []
