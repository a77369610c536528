"""Compare one target table: count the differences, and explain them by the batch logs."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from etl import Pipeline
from etl.mapping import Mapping
from functions.common.keys import as_type, is_among, keys_of
from functions.common.logs import Logs
from functions.common.objects import Key
from functions.reconcile.as_of import AsOf
from functions.reconcile.comparison import Comparison
from functions.reconcile.expect import Expected
from functions.reconcile.tombstones import deleted_keys
from functions.sources import Current
from functions.targets import Comparer, Counted

REPAIRED_AT_ONCE = 10_000  # keys of a table, about 100 kB of an event


@dataclass
class Run:
    """One comparison of all tables of a source: both snapshots, and the state of the logs.

    `changed` are the keys, by source table, that have changed since the batch; a parent's are known
    before the rows that refer to it are compared. `extra` are unexplained keys, by source table, up
    to as many as one repair takes.
    """

    pipeline: Pipeline
    current: Current
    target: Comparer
    logs: Logs
    as_of: AsOf
    changed: dict[str, pa.Array] = field(default_factory=dict)
    extra: dict[str, list[Key]] = field(default_factory=dict)


def compare_table(run: Run, mapping: Mapping) -> Comparison:
    """Compare a target table with the rows expected from the source."""
    if (progress := run.as_of.progress(mapping)) is not None:
        return Comparison(error=f"{progress}: compare again when all are in the warehouse")
    expected = Expected(run.current, run.pipeline, mapping, run.as_of)
    if expected.error is not None:
        return Comparison(error=expected.error)
    table = mapping.main
    with run.target.disagreements(mapping, expected.slices(), expected.unfit) as found:
        changed = pa.concat_arrays(expected.changed)
        run.changed[table.id] = changed
        pending, unexplained = [], 0
        for keys in found.in_target_only():
            mine = as_type(keys, changed.type)
            gone = run.as_of.had(table, mine) if expected.is_known else is_among(mine, [])
            pending.append(mine.filter(gone))
            unexplained += len(keys) - pc.sum(gone, min_count=0).as_py()
        aside, released = _put_aside(run, mapping, changed.type)
        if expected.is_known:
            pending += [changed, released]
        found.explain(pending, _deleted(run, mapping) if unexplained else iter(()), aside)
        counted = found.counted()
        if counted.extra:
            extra = found.unexplained(REPAIRED_AT_ONCE)
            run.extra[table.id] = list(dict.fromkeys([*run.extra.get(table.id, ()), *extra]))
    note = _note(run.as_of.batch, counted, is_known=expected.is_known)
    return Comparison(**asdict(counted), note=note)


def _put_aside(run: Run, mapping: Mapping, kind: pa.DataType) -> tuple[pa.Array, pa.Array]:
    """Return the keys of rows in quarantine, and of those that wait for a row that has changed."""
    waits = run.pipeline.waits(mapping)
    linked = [name for wait in waits for name in wait.columns]
    rows = run.as_of.put_aside(mapping, [*mapping.main.keys, *linked])
    if rows is None:
        return pa.array([], kind), pa.array([], kind)
    keys = as_type(keys_of(rows, mapping.main.keys), kind)
    has_come = pa.repeat(pa.scalar(False), len(keys))
    for wait in waits:
        parents = keys_of(rows, wait.columns)
        has_come = pc.or_(has_come, is_among(parents, run.changed.get(wait.parent.id, [])))
    return keys, keys.filter(has_come)


def _deleted(run: Run, mapping: Mapping) -> Iterator[pa.Array]:
    for rows in deleted_keys(run.logs.processed, mapping.target.id, run.as_of.latest):
        yield keys_of(rows, mapping.target.key)


def _note(batch: int, counted: Counted, *, is_known: bool) -> str | None:
    """Return what the numbers of a table do not show, None if nothing."""
    notes = []
    agrees = not (counted.missing or counted.different or counted.extra)
    if not agrees and not batch:
        notes.append("no batch is in this warehouse yet: load fills it")
    elif not agrees and not is_known:
        notes.append(
            f"what has changed since batch {batch} is not known (the source was restarted, restored"
            " or altered), so rows on their way count too: compare again after the next batch"
        )
    if counted.quarantined:
        notes.append(
            f"in quarantine: {counted.quarantined:,} (no repair helps: correct them in the source)"
        )
    if counted.extra > REPAIRED_AT_ONCE:
        notes.append(f"a repair takes {REPAIRED_AT_ONCE:,} extra rows: repeat it")
    return "; ".join(notes) or None
