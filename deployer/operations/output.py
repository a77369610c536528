"""The output of the commands of `deploy.py`: for a person, and as JSON."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from deployer.aws.changes import Action, Change
from deployer.operations.pipeline import Run
from deployer.terminal import printable, table
from etl import Pipeline

SAID: dict[Action, str] = {
    "created": "created",
    "updated": "updated",
    "removed": "removed",
    "left": "unchanged",
}
PENDING: dict[Action, str] = {"created": "create", "updated": "update", "removed": "remove"}


def changes_document(changes: Sequence[Change]) -> dict[str, Any]:
    """Return what a deployment did, or would do, without what it left alone."""
    return {
        "counts": dict(Counter(change.action for change in changes)),
        "changes": [asdict(change) for change in changes if change.action != "left"],
    }


def counts(changes: Sequence[Change]) -> str:
    """Count the changes of a deployment, in words."""
    by_action = Counter(change.action for change in changes)
    return ", ".join(f"{by_action[action]} {said}" for action, said in SAID.items())


def pending_lines(pending: Sequence[Change]) -> str:
    """Say what a deployment would do, attribute by attribute."""
    if not pending:
        return "in sync: deploy would change nothing"
    return "\n".join(line for change in pending for line in _pending(change))


def _pending(change: Change) -> Iterator[str]:
    yield f"{PENDING[change.action]}  {change.kind} {change.name}"
    if change.action == "updated":
        for attribute, (before, after) in change.differences.items():
            yield f"          {attribute}: {_value(before)} -> {_value(after)}"


def _value(value: object) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, default=str))


def compared(tables: Mapping[str, Mapping[str, Any]]) -> Table:
    """Show how each target table agrees with the source, in 80 columns."""
    kinds = ("source", "warehouse", "missing", "different", "extra", "pending")
    shown = table("target table", *kinds, numbers=frozenset(kinds))
    for name, found in tables.items():
        shown.add_row(name, *(f"{found[kind]:,}" for kind in kinds))
    return shown


def remarks(found: Mapping[str, Any], declared: Pipeline) -> Iterator[Text]:
    """Say, of a comparison, what its numbers do not: keys, errors, and what a repair loaded."""
    several = {
        each.name for target in declared.targets for each in target.tables if len(each.key) > 1
    }
    for name, compared in found["tables"].items():
        for kind, keys in compared["examples"].items():
            shown = (f"({key})" if name in several else str(key) for key in keys)
            yield Text(printable(f"{name}: {kind}, such as {', '.join(shown)}"))
        for text in (_kept(compared["deleted"]), compared["error"], compared["note"]):
            if text is not None:
                yield Text(printable(f"{name}: {text}"))
    if repaired := found.get("repaired"):
        loaded = sum(repaired["loaded"].values())
        batches = ", ".join(str(batch) for batch in repaired["batches"].values() if batch)
        yield Text(f"repair: batch {batches}, {loaded:,} rows new or updated")
        for text in repaired["stopped"].values():
            yield Text(printable(f"left out: {text}"))


def _kept(deleted: int) -> str | None:
    """Say how many rows a table has only because the source deleted them."""
    if not deleted:
        return None
    return (
        f"rows deleted in the source and kept: {deleted:,} (only a managed warehouse marks them, "
        "in deleted_rows)"
    )


def ran(run: Run) -> Iterator[Table | Text]:
    """Say what a run loaded, what of it was refused, what it exported, and what waits."""
    yield _loaded(run)
    for source, why in run.waiting.items():
        yield Text(printable(f"{source} waits: {why}"))
    for key, refused in run.refused.items():
        yield Text(printable(refused.text(key)), "red")
    yield from objects("refused rows", [each.errors for each in run.refused.values()])
    yield from objects("exports", run.exports)


def objects(what: str, urls: Sequence[str | None]) -> Iterator[Text]:
    """Name objects of a bucket by their URLs: the bucket, and then a line for each key."""
    bucket = ""
    for url in filter(None, urls):
        [_, _, name, key] = url.split("/", 3)
        if name != bucket:
            yield Text(printable(f"{what} in s3://{name}/"))
        bucket = name
        yield Text(printable(f"  {key}"))


def _loaded(run: Run) -> Table | Text:
    new = {source: batch for source, batch in run.batches.items() if batch is not None}
    if not new:
        return Text("nothing new in the source")
    title = ", ".join(
        f"batch {batch}" + (f" of {source}" if len(run.batches) > 1 else "")
        for source, batch in new.items()
    )
    shown = table(title, "", "rows", numbers=frozenset({"rows"}))
    for what, tables in (
        ("changed in the source", run.rows),
        ("in quarantine", run.quarantined),
        ("changed in the warehouse", run.loaded),
    ):
        for name, rows in tables.items():
            shown.add_row(name, what, f"{rows:,}")
    return shown
