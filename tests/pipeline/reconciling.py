"""Shared by the tests of reconcile: invoking it, repairing, and damage done by hand."""

from collections.abc import Mapping
from typing import Any

import pytest

from functions.extract import handler as extract_handler
from functions.reconcile import handler as reconcile_handler
from local.connection import connect
from tests.pipeline.conftest import Context, Functions, invoke


@pytest.fixture(autouse=True)
def fresh_clients() -> None:
    """Let reconcile read its settings as a cold start does."""
    reconcile_handler._sides.cache_clear()


def reconcile() -> dict[str, Any]:
    return invoke(reconcile_handler.handler, Context("reconcile"))


def counts(table: dict[str, Any]) -> dict[str, Any]:
    """Return the counts of a table's report that are not zero."""
    return {name: value for name, value in table.items() if value}


def disagreements(report: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Return, by table, the kinds of rows that are not equal, and how many there are of each."""
    kinds = ("missing", "different", "extra", "pending", "deleted", "quarantined")
    found = {
        name: {kind: table[kind] for kind in kinds if table[kind]}
        for name, table in report["tables"].items()
    }
    return {name: table for name, table in found.items() if table}


def extract(event: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke extract with an event."""
    context: Any = Context("extract")
    result: dict[str, Any] = extract_handler.handler(dict(event), context)
    return result


def repair(functions: Functions) -> dict[str, Any]:
    """Repair what disagrees, as `deploy.py reconcile --repair` does; return what extract said."""
    extracted = extract(reconcile()["repair"])
    functions.transform()
    functions.load()
    return extracted


def run_in(url: str, *statements: str) -> None:
    """Run statements in one transaction, foreign keys aside."""
    with connect(url) as connection:
        connection.run("SET session_replication_role = replica")
        connection.run("; ".join(["BEGIN", *statements, "COMMIT"]))


def in_source(functions: Functions, *statements: str) -> None:
    run_in(functions.source.superuser_url, *statements)


def in_warehouse(functions: Functions, *statements: str) -> None:
    run_in(functions.warehouse.superuser_url, *statements)
