"""The registry of the source's tables: their names and columns, and their last change.

It is part of each batch's manifest, so it says what the batch was made from. A change of a
carried table is reason enough for a batch, even one without rows. Each change is reported once, by
the run that registers it. A table that is not carried is reported with the first batch that is
written while it exists, and forgotten with the first one after it was dropped.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from etl import Postgres
from etl.tables import table_id
from functions.common.manifests import IngestionManifest, TableSchema
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.columns import fingerprint, read_others
from functions.sources.postgres.plan import TablePlan


@dataclass(frozen=True)
class Registry:
    """The source's tables by name, and messages about how they differ from the last batch's.

    `is_news` says whether a batch must be written for the registry alone.
    """

    schemas: dict[str, TableSchema]
    drift: list[str]
    is_news: bool


def register(
    connection: PostgresConnection,
    source: Postgres,
    plans: dict[str, TablePlan],
    before: IngestionManifest | None,
    at: datetime,
) -> Registry:
    """Compare the tables of a snapshot, taken `at` a moment, with the last batch's registry.

    In the first one nothing counts as a change.
    """
    known = before.schemas if before else {}
    found = {name: _carried(plan, known.get(name), at) for name, plan in plans.items()}
    ignored = {table_id(table.schema, name) for table in source.tables for name in source.ignore}
    for name, types in read_others(connection, source.tables).items():
        if name not in ignored:
            found[name] = TableSchema(list(types), fingerprint(types), at, carried=False)
    schemas = {name: _standing(now, known.get(name)) for name, now in sorted(found.items())}
    drift = [text for plan in plans.values() for text in _changes(plan, schemas, known)]
    drift += [
        f"table {name} is new and not declared: declare it if the warehouse needs it"
        for name in sorted(schemas.keys() - known.keys() - plans.keys() if known else ())
    ]
    is_news = any(
        schemas[name] != known.get(name) if before else plan.error for name, plan in plans.items()
    )
    return Registry(schemas, drift, is_news)


def _carried(plan: TablePlan, was: TableSchema | None, at: datetime) -> TableSchema:
    columns, digest = list(plan.columns.types), plan.columns.fingerprint
    if not columns and was is not None:
        columns, digest = was.columns, was.fingerprint
    return TableSchema(columns, digest, at, carried=True, error=plan.error)


def _standing(now: TableSchema, was: TableSchema | None) -> TableSchema:
    """Return the entry of a table, with the moment of its last change."""
    return was if was is not None and replace(now, since=was.since) == was else now


def _changes(
    plan: TablePlan, schemas: dict[str, TableSchema], known: dict[str, TableSchema]
) -> Iterator[str]:
    """Yield how a table's columns have changed, but not why it stops."""
    now, was, stopped = schemas[plan.id], known.get(plan.id), plan.error is not None
    if was is not None and was.fingerprint != now.fingerprint:
        for text in _differences(dict(was.columns), dict(now.columns), stopped):
            yield f"{plan.table}: {text}"
    elif was is not None and plan.was_made_again and not stopped:
        yield (
            f"{plan.table}: it, or a part or a column of it, was recreated: all of its rows "
            "are read"
        )


def _differences(was: dict[str, str], now: dict[str, str], stopped: bool) -> Iterable[str]:
    """Return how columns {name: SQL type} differ, and what that means unless the table stops."""
    means = dict.fromkeys(("new", "retyped", "gone"), "") if stopped else _MEANING
    new = [f"column {name} ({now[name]}) is new{means['new']}" for name in now if name not in was]
    retyped = [
        f"column {name} was {was[name]} and is now {now[name]}{means['retyped']}"
        for name in now
        if was.get(name, now[name]) != now[name]
    ]
    gone = [
        f"column {name} ({was[name]}) is gone{means['gone']}" for name in was if name not in now
    ]
    return [*new, *retyped, *gone] or ["its columns are in another order: nothing to do"]


_MEANING = {
    "new": ": it goes as far as the ingestion bucket",
    "retyped": ": it goes through",
    "gone": ": it was not declared",
}
