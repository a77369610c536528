"""Which tables are read whole, and which from their position."""

from collections.abc import Collection
from typing import Any

import pytest
from msgspec.structs import replace

from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest
from functions.common.manifests import TableCapture
from functions.sources.postgres import changes, large, plan
from functions.sources.postgres.changes import Since
from functions.sources.postgres.columns import Columns
from functions.sources.postgres.declared import Declared
from tests.unit.test_extract_changes import CAPTURE, SNAPSHOT, after

TYPES = (("id", "integer"),)
TABLES = tuple(Table(name, key="id", columns={"id": Integer()}) for name in ("design", "staff"))
READ = replace(CAPTURE, fingerprint=Columns(TABLES[0], TYPES).fingerprint, incarnation="")
SINCE = Since(900, frozenset({903, 904, 905, 907}))
DECLARED = Declared(
    source := Postgres("source", TABLES),
    Pipeline(
        sources=[source],
        targets=[PostgresWarehouse("warehouse", tuple(latest(each) for each in TABLES))],
    ),
)
NOTHING: Any = None


@pytest.mark.parametrize(
    ("before", "whole", "position"),
    [
        (READ, [], SINCE),
        (READ, ["staff"], SINCE),
        (READ, ["design"], None),
        (replace(READ, key=["code"]), [], None),
        (replace(READ, fingerprint="another"), [], None),
        (None, [], None),
    ],
    ids=["as before", "another whole", "whole", "another key", "other columns", "new"],
)
def test_a_table_is_read_whole_where_that_is_wanted_or_its_position_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
    before: TableCapture | None,
    whole: Collection[str],
    position: Since | None,
) -> None:
    """All others are read from the position of the last batch, which the conditions refer to."""
    given: dict[str, Since] = {}
    monkeypatch.setattr(
        plan, "read_columns", lambda _, some: {each.id: Columns(each, TYPES) for each in some}
    )
    monkeypatch.setattr(large, "storing_apart", lambda *_: set())
    monkeypatch.setattr(changes, "give_values", lambda _, __, some: given.update(some))

    plans = plan.plan_tables(NOTHING, SNAPSHOT, after(before), DECLARED, whole)

    assert {name: each.since for name, each in plans.items()} == {
        "design": position, "staff": None,
    }  # fmt: skip
    assert given == ({} if position is None else {plans["design"].variable: position})
