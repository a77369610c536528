"""What the commands of `deploy.py` print, for people and as JSON."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from rich.table import Table
from rich.text import Text

from deployer.aws.changes import Action, Change
from deployer.operations.findings import Finding, State
from deployer.operations.pipeline import Run
from deployer.terminal import printable, table
from etl import Pipeline

OUTCOMES: dict[Action, str] = {
    "created": "created",
    "updated": "updated",
    "removed": "removed",
    "left": "unchanged",
}
MARKS: dict[State, str] = {"ok": "OK", "to do": "TO DO", "unknown": "?"}
PENDING: dict[Action, str] = {"created": "create", "updated": "update", "removed": "remove"}


def changes_document(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the changes of a deployment, or of a plan, as a JSON document."""
    return {
        "counts": dict(Counter(change.action for change in changes)),
        "changes": [asdict(change) for change in changes if change.action != "left"],
    }


def counts(changes: Sequence[Change]) -> str:
    """Return the numbers of changes of a deployment, in one line."""
    by_action = Counter(change.action for change in changes)
    return ", ".join(f"{by_action[action]} {outcome}" for action, outcome in OUTCOMES.items())


def what_is_next(
    drop_bucket: str | None,
    endpoints: Mapping[str, str],
    reports: Mapping[str, str],
    unconfirmed: Sequence[str],
) -> Iterator[str]:
    """Yield what is left to do after a deployment: where files, events and requests go, by name."""
    if drop_bucket:
        yield f"Drop files into s3://{drop_bucket}/"
    for name, url in endpoints.items():
        yield f"Webhook URL of {name}, to enter at its provider: {url}"
    for url in reports.values():
        yield f"Reports: {url}"
    for email in unconfirmed:
        yield f"{email} receives no alarms until the link in the e-mail from AWS is opened"


def pending_lines(pending: Sequence[Change]) -> str:
    """Return what a deployment would change, attribute by attribute."""
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


def findings_document(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what doctor found as a JSON document; it is `ok` if nothing is to be done."""
    return {
        "ok": all(each.state != "to do" for each in findings),
        "findings": [asdict(each) for each in findings],
    }


def findings_lines(findings: Sequence[Finding]) -> Iterator[Text]:
    """Yield what doctor found, in lines of at most 80 columns."""
    for each in findings:
        said = printable(f"{each.what}: {each.text}")
        lines = wrap(f"{MARKS[each.state]:<7}{said}", 80, subsequent_indent=" " * 7)
        yield Text("\n".join(lines), "red" if each.state == "to do" else "")


def compared(tables: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a comparison as a table of at most 80 columns, a line for each target table."""
    kinds = ("source", "warehouse", "missing", "different", "extra", "pending")
    shown = table("target table", *kinds, numbers=frozenset(kinds))
    for name, found in tables.items():
        shown.add_row(name, *(f"{found[kind]:,}" for kind in kinds))
    return shown


def remarks(found: Mapping[str, Any], declared: Pipeline) -> Iterator[Text]:
    """Yield what the numbers of a comparison do not show: keys, errors, and a repair's batches."""
    several = {
        each.name for target in declared.targets for each in target.tables if len(each.key) > 1
    }
    for name, compared in found["tables"].items():
        for kind, keys in compared["examples"].items():
            shown = (f"({key})" if name in several else str(key) for key in keys)
            yield Text(printable(f"{name}: {kind}, such as {', '.join(shown)}"))
        for text in (_deleted(compared["deleted"]), compared["error"], compared["note"]):
            if text is not None:
                yield Text(printable(f"{name}: {text}"))
    if repaired := found.get("repaired"):
        loaded = sum(repaired["loaded"].values())
        batches = ", ".join(str(batch) for batch in repaired["batches"].values() if batch)
        yield Text(f"repair: batch {batches}, {loaded:,} rows new or updated")
        for text in repaired["stopped"].values():
            yield Text(printable(f"left out: {text}"))


def _deleted(deleted: int) -> str | None:
    """Return a remark on rows that the source has deleted and the warehouse keeps."""
    if not deleted:
        return None
    return (
        f"rows deleted in the source and kept: {deleted:,} (a managed warehouse marks them, in "
        "deleted_rows)"
    )


def ran(run: Run) -> Iterator[Table | Text]:
    """Yield what a run loaded, refused and exported, and what is waiting."""
    yield _loaded(run)
    for source, why in run.waiting.items():
        yield Text(printable(f"{source} waits: {why}"))
    for key, refused in run.refused.items():
        yield Text(printable(refused.text(key)), "red")
    yield from objects("refused rows", [each.errors for each in run.refused.values()])
    yield from objects("exports", run.exports)


def objects(what: str, urls: Sequence[str | None]) -> Iterator[Text]:
    """Yield objects by their URLs: a line for the bucket, then one for each key."""
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


def interrupted(*, goes_on: bool) -> str:
    """Return what Ctrl-C means: functions that were asked for something are not stopped by it."""
    if goes_on:
        return "interrupted: what is under way in AWS goes on; the same command follows it"
    return "interrupted: completed steps are kept; run again to continue"
