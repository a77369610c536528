"""`deploy.py query`: the lake answers as the warehouse does, and as it did.

ROUNDS=200 records as many answers of the warehouse as docs/query.md says.
"""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from deployer.query.cache import Cache
from tests.pipeline.conftest import Functions
from tests.pipeline.managed_warehouse import query
from tests.pipeline.remembering import Memory
from tests.pipeline.workload import Workload
from tests.postgres_fixtures import Warehouse


def columns_of(warehouse: Warehouse) -> dict[str, list[str]]:
    """Return the columns of all tables and views that are not numbers of records."""
    rows = query(
        warehouse,
        "SELECT table_name::text, column_name::text FROM information_schema.columns"
        f" WHERE table_schema = '{warehouse.schema}' AND column_name NOT LIKE '%record_id'"
        " AND table_name NOT IN ('deleted_rows', 'loaded_batches')"
        " AND table_name NOT LIKE 'fx_%' AND table_name NOT LIKE '%_gbp'"
        " ORDER BY table_name, ordinal_position",
    )
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


ROUNDS = int(os.environ.get("ROUNDS", "8"))


def test_a_shop_at_work_is_answered_as_the_warehouse_did(
    managed: Functions, seed: int, tmp_path: Path, say: Callable[[str], None]
) -> None:
    """Every table and current state, as of every batch and every time, is what it was then.

    They are asked in random order, each of a shop that has gone on since.
    """
    shop = Workload(managed.source.superuser_url, seed, writers=3, think=0.02, longest=0.5)
    managed.run()
    tables = columns_of(managed.warehouse)
    memory = Memory(managed, "totesys", "source", Cache(tmp_path / "cache"), tables)
    memory.note()
    with shop.running():
        for _ in range(ROUNDS):
            managed.run()
            memory.note()

    say(f"{len(tables)} tables, {len(memory.answers)} moments")
    assert len(memory.answers) == ROUNDS + 1
    assert memory.wrong(Random(seed)) == []
