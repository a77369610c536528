"""Reconcile of events: what the batches of the lake have, against what is in the warehouse."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import pipelines
from functions.collect import handler as collect_handler
from functions.common.received import Received
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.invocation import MORE_PIPELINES
from tests.pipeline.reconciling import (
    disagreements,
    extract,
    fresh_clients,
    in_warehouse,
    reconcile,
)
from tests.pipeline.strangers import FOLDER
from tests.postgres_fixtures import NOWHERE, Source, Warehouse

__all__ = ["fresh_clients"]

SHAPED = FOLDER / "pipelines"


@pytest.fixture
def functions(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> Functions:
    """The functions between a queue and an empty warehouse that is theirs to shape."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(SHAPED)])
    monkeypatch.setenv(MORE_PIPELINES, str(SHAPED))
    monkeypatch.setenv("PIPELINE", "posted")
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    collect_handler._pipeline.cache_clear()
    collect_handler._log.cache_clear()
    return functions_on(NOWHERE, new_managed_warehouse())


def collect(*events: dict[str, Any]) -> None:
    """Have the queue hand events to collect."""
    records = [
        {
            "messageId": str(number),
            "body": Received("source", datetime.now(UTC), {}, json.dumps(event).encode()).message(),
            "eventSourceARN": "arn:aws:sqs:eu-west-2:000000000000:posted-events",
        }
        for number, event in enumerate(events)
    ]
    context: Any = Context("collect")
    assert collect_handler.handler({"Records": records}, context) == {"batchItemFailures": []}


def load(functions: Functions) -> None:
    functions.transform()
    functions.load()


def charge(number: int, amount: Any = 5, **other: Any) -> dict[str, Any]:
    """Return an event of a charge."""
    data = {"object": {"amount": amount}}
    return {"id": f"evt_{number}", "type": "charge.paid", "data": data, **other}


def test_every_event_of_the_lake_is_in_its_table_or_in_errors(functions: Functions) -> None:
    """Of events with one id the first counts, and refused ones are no rows of the warehouse."""
    collect(charge(1), charge(2, "much"), {"type": "charge.paid"})
    collect(charge(1, 7), charge(3), {"id": "evt_4", "type": "x", "data": {"object": {}}})
    load(functions)
    collect(charge(5))

    report = reconcile()

    assert report["agrees"]
    assert disagreements(report) == {"charges": {"pending": 1, "quarantined": 2}}
    assert report["tables"]["charges"]["note"] == (
        "after batch 2 came charges/0000000003; refused: 2 (errors/ has them)"
    )
    assert report["tables"]["others"]["source"] == report["tables"]["others"]["warehouse"] == 1


def test_a_row_that_was_lost_comes_again_by_a_replay_and_not_by_a_repair(
    functions: Functions,
) -> None:
    """Nobody can be asked for an event again, so reconcile offers no repair."""
    collect(charge(1), charge(2))
    load(functions)
    in_warehouse(
        functions,
        "DELETE FROM charges WHERE id = 'evt_1'",
        "UPDATE charges SET amount = 6 WHERE id = 'evt_2'",
        "INSERT INTO charges (id, type, raw) VALUES ('mine', 'x', '{}')",
    )

    report = reconcile()

    assert not report["agrees"]
    assert disagreements(report) == {"charges": {"missing": 1, "different": 1, "extra": 1}}
    assert report["tables"]["charges"]["note"] == (
        "no repair removes extra rows: events say nothing of them; "
        "no repair reads events again: replay the batches of those that are missing"
    )
    assert report["repair"] == {}

    assert extract({"replay": 1})["batch"] == 2
    load(functions)

    assert disagreements(reconcile()) == {"charges": {"different": 1, "extra": 1}}
