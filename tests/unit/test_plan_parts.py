"""Which rows of a table a batch reads, and the SQL of its scan."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from etl import Integer, Table
from functions.common.filling import Filling
from functions.sources.postgres import changes
from functions.sources.postgres.changes import Since
from functions.sources.postgres.columns import Columns
from functions.sources.postgres.keysets import KeySet
from functions.sources.postgres.keysql import hashed
from functions.sources.postgres.plan import TablePlan, _filling
from functions.sources.postgres.surveys import _scan
from tests.unit.test_extract_changes import CAPTURE, after

TABLE = Table("design", key="id", columns={"id": Integer()})
SINCE = Since(900, frozenset())
CHANGED = changes.changed("t0", SINCE)
PORTION: Any = SimpleNamespace(rows="mine", had_before="had", is_empty=False)
EMPTY: Any = SimpleNamespace(rows="false", had_before="had", is_empty=True)


def plan(
    since: Since | None = None,
    recent: str | None = None,
    *,
    waited: bool = False,
    sparse: bool = False,
    **others: Any,
) -> TablePlan:
    columns = Columns(TABLE, (("id", "integer"),))
    return TablePlan(columns, "t0", since, None, None, recent, [], waited, sparse, **others)


@pytest.mark.parametrize(
    ("planned", "parts", "taken"),
    [
        (plan(), {"true": False}, "(true)"),
        (plan(SINCE), {CHANGED: False}, f"({CHANGED})"),
        (plan(SINCE, scan="nothing"), {}, "false"),
        (plan(scan="nothing"), {"true": False}, "(true)"),
        (
            plan(portion=PORTION),
            {"mine": True, "false AND NOT (mine)": False},
            "(mine) OR (false AND NOT (mine))",
        ),
        (
            plan(SINCE, portion=PORTION),
            {"mine": True, f"{CHANGED} AND had AND NOT (mine)": False},
            f"(mine) OR ({CHANGED} AND had AND NOT (mine))",
        ),
        (plan(SINCE, portion=EMPTY), {f"{CHANGED} AND had": False}, f"({CHANGED} AND had)"),
        (plan(SINCE, turn="keys"), {}, "false"),
        (plan(turn="later"), {}, "false"),
    ],
)
def test_a_batch_reads_these_rows_and_none_of_them_twice(
    planned: TablePlan, parts: dict[str, bool], taken: str
) -> None:
    """All, the changed ones, or those of a portion and the changed ones of before it."""
    assert (planned.parts(), planned.taken) == (parts, taken)


def test_changed_rows_are_left_out_of_a_portion_on_request() -> None:
    """They are counted, not read, where a batch has no room for them."""
    assert plan(SINCE, portion=PORTION).parts(changed=False) == {"mine": True}
    assert plan(SINCE).parts(changed=False) == {}


def test_a_table_goes_on_from_where_the_last_batch_has_read_it() -> None:
    """Unless its key is another today: the order is that of the key."""
    filling = Filling(to=["7"], rows=7, of=20)
    capture = replace(CAPTURE, filling=filling)

    assert _filling(after(capture), TABLE) == filling
    assert _filling(after(replace(capture, key=["code"])), TABLE) is None
    assert _filling(after(CAPTURE), TABLE) is None
    assert _filling(None, TABLE) is None


@pytest.mark.parametrize(
    ("planned", "names"),
    [
        (plan(), []),
        (plan(waited=True), []),
        (plan(sparse=True), []),
        (plan(waited=True, sparse=True), ["_hash"]),
        (plan(recent="xmin", waited=True, sparse=True), ["_xid", "_hash"]),
    ],
)
def test_a_row_has_its_columns_and_what_the_batch_needs_of_it(
    planned: TablePlan, names: list[str]
) -> None:
    """Its transaction where one is recent, its hash where others wait for it by that."""
    assert planned.schema.names == ["id", "_unfit", *names]


def test_a_scan_counts_keys_by_bucket_and_changed_rows() -> None:
    """Integers in the buckets of the known keys, with a portion those before it; others by hash."""
    text, table = '"id"::text COLLATE "C"', '"public"."design"'
    known = KeySet(shift=13)

    assert _scan(plan(SINCE), known) == (
        """SELECT 'design', "id" >> 13, count(*), sum(hashint8extended("id", 0)), count(*)"""
        f" FILTER (WHERE {CHANGED}) FROM {table} WHERE true GROUP BY 2"
    )
    assert f"FROM {table} WHERE had GROUP BY 2" in _scan(plan(SINCE, portion=PORTION), known)
    assert _scan(plan(sparse=True), known=None) == (
        "SELECT 'design', hash >> 48, count(*), sum(hash), count(*) FILTER (WHERE changed)"
        f" FROM {hashed(text, table, 'true AS changed')} AS hashed GROUP BY 2"
    )
