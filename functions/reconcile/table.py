"""Compare one star table: what disagrees, and what the batch logs explain of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pg8000.native
import pyarrow as pa

from etl import Pipeline
from etl import mapping as declared
from functions.common.keys import is_among, keys_of
from functions.reconcile.as_of import AsOf, Lake
from functions.reconcile.compare import Comparison, Disagreements
from functions.reconcile.expect import Expected
from functions.reconcile.tombstones import deleted_keys
from functions.sources.postgres.plan import TablePlan
from functions.targets.postgres.stage import stage_of
from functions.targets.postgres.tables import Layout

REPAIRED_AT_ONCE = 10_000  # keys of a table, about 100 kB of an event


@dataclass
class Run:
    """One comparison of all tables: both snapshots, and what is known of the batches before.

    `changed` are the keys, by source table, that changed since the batch; those of a dimension are
    there before its facts are compared. `extra` are the keys, by source table, that nothing
    explains, up to as many as one repair takes.
    """

    pipeline: Pipeline
    source: pg8000.native.Connection
    warehouse: pg8000.native.Connection
    star: Layout
    plans: Mapping[str, TablePlan]
    lake: Lake
    as_of: AsOf
    changed: dict[str, pa.Array] = field(default_factory=dict)
    extra: dict[str, list[int]] = field(default_factory=dict)


def compare_table(run: Run, mapping: declared.Mapping) -> Comparison:
    """Compare a star table with the rows that the source makes of it."""
    expected = Expected(run.source, run.plans, run.pipeline, mapping, run.as_of)
    if expected.error is not None:
        return Comparison(error=expected.error)
    stage = stage_of(run.star, mapping.target.name)
    stage.fill(run.warehouse, expected.slices())
    with Disagreements(run.warehouse, stage, expected.unfit) as found:
        table = mapping.main
        waits = run.pipeline.waits(mapping)
        linked = [name for wait in waits for name in wait.columns]
        aside = run.as_of.put_aside(mapping, [*table.keys, *linked])
        pending, unexplained = [], 0
        for keys in found.in_warehouse_only():
            gone = run.as_of.had(table.id, keys) if expected.is_known else keys[:0]
            pending.append(gone)
            unexplained += len(keys) - len(gone)
        if expected.is_known:
            pending += _changed(run, mapping, expected, aside)
        deleted = _deleted(run, mapping) if unexplained else iter(())
        found.explain(pending, deleted, [keys_of(aside, table.keys)])
        compared = found.counted()
        if compared.extra:
            run.extra[table.id] = found.unexplained(REPAIRED_AT_ONCE)
    note = _note(run.as_of.batch, compared, is_known=expected.is_known)
    return replace(compared, note=note)


def _changed(
    run: Run, mapping: declared.Mapping, expected: Expected, aside: pa.Table
) -> list[pa.Array]:
    """Return the keys of rows that are on their way: they, or what they waited for, changed."""
    keys = keys_of(aside, mapping.main.keys)
    changed = pa.concat_arrays([keys[:0], *expected.changed])
    run.changed[mapping.main.id] = changed
    found = [changed]
    for wait in run.pipeline.waits(mapping):
        has_come = is_among(keys_of(aside, wait.columns), run.changed.get(wait.parent.id, []))
        found.append(keys.filter(has_come))
    return found


def _deleted(run: Run, mapping: declared.Mapping) -> Iterator[pa.Array]:
    for rows in deleted_keys(run.lake.processed, mapping.target.id, run.as_of.latest):
        yield keys_of(rows, mapping.target.key)


def _note(batch: int, compared: Comparison, *, is_known: bool) -> str | None:
    """Say what a reader could not tell from the numbers of a table that disagrees."""
    notes = []
    if not compared.agrees and not batch:
        notes.append("no batch is in this warehouse yet: load fills it")
    elif not compared.agrees and not is_known:
        notes.append(
            f"what has changed since batch {batch} is not known (the source was restarted, restored"
            " or altered), so rows on their way count too: compare again after the next batch"
        )
    if compared.quarantined:
        notes.append(
            f"in quarantine: {compared.quarantined:,} (no repair helps: correct them in the source)"
        )
    if compared.extra > REPAIRED_AT_ONCE:
        notes.append(f"a repair takes {REPAIRED_AT_ONCE:,} extra rows: repeat it")
    return "; ".join(notes) or None
