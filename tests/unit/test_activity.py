"""What a run by schedule scans, by the counts of the server's statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from etl import DeclarationError, Integer, Postgres, Table
from functions.common.manifests import Instance
from functions.sources.postgres.activity import Attention, Counts, Memory, with_parents

AT = datetime(2024, 11, 16, 12, tzinfo=UTC)
INSTANCE = Instance(AT, None, False)
COUNTS = Counts(5, 3, 1, "16384", None)
SIZE = 8192
ALL = {"shop": "all", "order": "all", "part": "all", "other": "all"}

SHOP = Table("shop", key="shop_id", columns={"shop_id": Integer()})
ORDER = Table(
    "order", key="order_id", columns={"order_id": Integer(), "shop_id": Integer(references=SHOP)}
)
PART = Table(
    "part", key="part_id", columns={"part_id": Integer(), "order_id": Integer(references=ORDER)}
)
OTHER = Table("other", key="other_id", columns={"other_id": Integer()})
SOURCE = Postgres("source", tables=(SHOP, ORDER, PART, OTHER))


@dataclass(frozen=True)
class Plan:
    """What is asked of the plan of a table."""

    table: Table
    is_hashed: bool = False
    scan: str = "all"
    lookup: object = None
    error: str | None = None
    since: str | None = "a position"
    filling: str | None = None
    has_unreported: bool = False
    turn: str = "now"
    columns: Any = field(default_factory=lambda: SimpleNamespace(key_is_unique=True))

    @property
    def id(self) -> str:
        """The table's id."""
        return self.table.id


class Server:
    """A server with counts and sizes of its tables."""

    def __init__(self) -> None:
        self.counts = {table.id: COUNTS for table in SOURCE.tables}
        self.sizes = dict.fromkeys(self.counts, SIZE)

    def run(self, sql: str, **_: object) -> list[list[Any]]:
        if "pg_relation_size" in sql:
            return [["public", name, size, size, 10] for name, size in self.sizes.items()]
        return [["public", name, *vars(each).values()] for name, each in self.counts.items()]


def newest(batch: int = 4, run: str = "a") -> Any:
    return SimpleNamespace(batch=batch, run=run)


def snapshot(at: datetime = AT, instance: Instance = INSTANCE) -> Any:
    return SimpleNamespace(
        source=SimpleNamespace(snapshot_at=at), probe=SimpleNamespace(instance=instance)
    )


class Run:
    """Runs by schedule of a warm function."""

    def __init__(self) -> None:
        self.server: Any = Server()
        self.memory = Memory()

    def scan(
        self,
        at: datetime = AT,
        *,
        before: Any = None,
        sparing: bool = True,
        instance: Instance = INSTANCE,
        hashed: Sequence[Table] = (),
        filling: Sequence[Table] = (),
    ) -> dict[str, str]:
        """Return what is scanned of each table, without `nothing`; no batch is written."""
        attention = Attention(self.server, SOURCE, self.memory, sparing)
        plans = {
            table.id: Plan(
                table,
                is_hashed=table in hashed,
                filling="half of it" if table in filling else None,
            )
            for table in SOURCE.tables
        }
        moment, before = snapshot(at, instance), before or newest()
        chosen: Any = attention.choose(moment, before, plans)  # type: ignore[arg-type]
        attention.remember(moment, before, chosen)
        return {name: plan.scan for name, plan in chosen.items() if plan.scan != "nothing"}


@pytest.fixture
def run() -> Run:
    """A function that has scanned everything once."""
    run = Run()
    assert run.scan() == ALL
    return run


def test_tables_with_the_counts_of_the_last_run_are_not_scanned(run: Run) -> None:
    """However often: only the interval ends that."""
    assert run.scan() == run.scan(AT + timedelta(minutes=14, seconds=59)) == {}


def test_keys_are_scanned_at_the_interval(run: Run) -> None:
    """Of a table with changes too: what it scanned in between were rows. A clock may go back."""
    run.server.counts["other"] = replace(COUNTS, inserted=6)
    assert run.scan(AT + timedelta(minutes=10)) == {"other": "changes"}
    assert run.scan(AT + timedelta(minutes=15)) == ALL
    assert run.scan(AT + timedelta(minutes=29)) == {}
    assert run.scan(AT) == ALL


@pytest.mark.parametrize(
    ("change", "scan"),
    [
        ({"inserted": 6}, "changes"),
        ({"updated": 4}, "changes"),
        ({"updated": 0, "inserted": 0}, "changes"),
        ({"deleted": 2}, "all"),
        ({"files": "16999"}, "all"),
        ({"reset_at": AT}, "all"),
    ],
)
def test_a_table_is_scanned_by_what_its_counts_show(
    run: Run, change: dict[str, Any], scan: str
) -> None:
    """Keys only where rows may be gone: deleted, truncated, or after counts began again."""
    run.server.counts["other"] = replace(COUNTS, **change)

    assert run.scan() == {"other": scan}
    assert run.scan() == {}


def test_a_table_that_has_grown_is_scanned_whatever_its_counts_are(run: Run) -> None:
    """They come a second after the rows."""
    run.server.sizes["other"] = 2 * SIZE

    assert run.scan() == {"other": "changes"}
    assert run.scan() == {}


def test_what_changed_rows_refer_to_is_looked_at_with_them(run: Run) -> None:
    """At any depth, but not what refers to them."""
    run.server.counts["order"] = replace(COUNTS, updated=4)
    assert run.scan() == {"order": "changes", "shop": "changes"}
    run.server.counts["part"] = replace(COUNTS, deleted=4)
    assert run.scan() == {"part": "all", "order": "changes", "shop": "changes"}


def test_circular_references_are_followed_once() -> None:
    """A table may refer to itself, and two to each other."""
    assert with_parents({"shop": "nothing", "order": "changes"}, [SHOP, ORDER]) == {
        "shop": "changes",
        "order": "changes",
    }


def test_what_rows_of_a_portion_refer_to_is_looked_at_with_them(run: Run) -> None:
    """A table may be unchanged and have rows that no batch has had: they refer to others."""
    assert run.scan(filling=[PART]) == {"order": "changes", "shop": "changes"}


def test_a_table_without_counts_is_always_scanned(run: Run) -> None:
    """A replica has none, and neither has a server that does not count, or a foreign table."""
    run.server.counts.clear()

    assert run.scan() == run.scan() == ALL


def test_keys_that_changed_rows_do_not_tell_are_scanned_with_them(run: Run) -> None:
    """The server digests hashed keys."""
    run.server.counts["other"] = replace(COUNTS, inserted=6)

    assert run.scan(hashed=[OTHER]) == {"other": "all"}


@pytest.mark.parametrize(
    "how",
    [
        {"sparing": False},
        {"before": newest(5)},
        {"before": newest(run="b")},
        {"instance": Instance(AT, AT, False)},
    ],
    ids=["asked for", "another batch", "another log", "another server"],
)
def test_everything_is_scanned_where_the_last_run_says_nothing(
    run: Run, how: dict[str, Any]
) -> None:
    """Who asks waits for the answer; another run's batch, or another server, is not known."""
    assert run.scan(**how) == ALL
    assert run.scan(**how | {"sparing": True}) == {}


def test_an_interval_that_would_break_the_promise_is_refused() -> None:
    """Changes are in the target within half an hour, even those that no count shows."""
    assert Postgres("source", (SHOP,), scan_every=timedelta(0)).scan_every == timedelta(0)
    with pytest.raises(DeclarationError, match="source source: scan_every is 0 to 25 minutes"):
        Postgres("source", (SHOP,), scan_every=timedelta(minutes=26))
