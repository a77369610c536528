"""Show a status to a person, within 80 columns."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from deployer.operations.progress import about, duration
from deployer.operations.status import Batch, FunctionStatus, SourceStatus, SourceTable, Status
from deployer.terminal import printable, table

NAME_WIDTH = 22  # of a table of the source; PostgreSQL allows 63 characters
KEYS_SHOWN = 3


def status_view(status: Status) -> tuple[Table, ...]:
    """Return the functions with their newest batches, the remarks, and the registered tables."""
    registries = (
        _registry(_of(name, status), source.schemas)
        for name, source in status.sources.items()
        if source.schemas
    )
    return _functions(status), _findings(status), *registries


def _of(source: str, status: Status) -> str:
    """Return the name of a source where there are several, and nothing for the only one."""
    return source if len(status.sources) > 1 else ""


def _functions(status: Status) -> Table:
    several = ["source"] if len(status.sources) > 1 else []
    shown = table(
        *("function", "state", "deployed", *several, "batch", "written (UTC)"),
        numbers=frozenset({"batch"}),
    )
    for use, function in status.functions.items():
        cells: tuple[str, ...] = (use, *_deployed(function))
        for name, source in status.sources.items():
            shown.add_row(*cells, *([name] if several else []), *_newest(source.batches.get(use)))
            cells = ("", "", "")
    return shown


def _deployed(function: FunctionStatus | None) -> tuple[str, str]:
    if function is None:
        return "not deployed", ""
    return function.state, _minute(function.last_modified)


def _newest(batch: Batch | None) -> tuple[str, str]:
    return (f"{batch.number:,}", _minute(batch.written_at)) if batch else ("", "")


def _findings(status: Status) -> Table:
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    before = ""
    for label, text in _lines(status):
        shown.add_row("" if label == before else label, text)
        before = label
    return shown


def _lines(status: Status) -> Iterator[tuple[str, Text]]:
    """Yield the remarks with their labels; what needs action is red."""
    for name, source in status.sources.items():
        for label, text in _source_lines(source):
            prefix = f"{_of(name, status)}: ".removeprefix(": ")
            yield label, Text(prefix) + text
    if status.drop_bucket:
        yield "drop into", _text(f"s3://{status.drop_bucket}/")
    if status.strangers:
        yield "not read", _text(_of_no_feed(status.strangers))
    yield from _endpoint_lines(status)
    ringing = [name for name, state in status.alarms.items() if state == "ALARM"]
    for name in ringing:
        yield "alarms", _red(name)
    if without := len(status.alarms) - len(ringing):
        yield "alarms", Text(f"{_counted(without, 'alarm')} without data yet")
    if status.failed_events:
        yield "queue", _red(_counted(status.failed_events, "failed event"))
    for email in status.unconfirmed:
        yield (
            "e-mail",
            _red(f"{email} has not confirmed the e-mail from AWS and receives no alarms"),
        )
    if status.hours_left is not None:
        yield "sandbox", _expiry(status.hours_left)


def _of_no_feed(keys: Sequence[str]) -> str:
    more = f" and {_counted(len(keys) - KEYS_SHOWN, 'other')}" if len(keys) > KEYS_SHOWN else ""
    return f"{', '.join(keys[:KEYS_SHOWN])}{more}: no feed matches"


def _endpoint_lines(status: Status) -> Iterator[tuple[str, Text]]:
    for name, url in status.endpoints.items():
        yield "endpoints", _text(f"{name}: {url}")
    if status.waiting_events:
        yield "queue", Text(f"{_counted(status.waiting_events, 'event')} not collected yet")
    if status.dead_events:
        yield "queue", _red(_counted(status.dead_events, "dead event"))


def _source_lines(source: SourceStatus) -> Iterator[tuple[str, Text]]:
    yield "freshness", _freshness(source)
    for name, why in source.stopped.items():
        yield "left out", _red(f"{name}: {why}")
    for name, progress in source.filling.items():
        yield "reading", _text(f"{name}: {progress.text}")
    if source.new_files:
        yield "files", Text(f"{_counted(source.new_files, 'file')} not read yet")
    for key, refused in source.refusals.items():
        yield "refused", _red(refused.text(key))
    if errors := next((each.errors for each in source.refusals.values() if each.errors), None):
        yield "refused", _text(f"rows in {errors.partition('/errors/')[0]}/errors/")
    for name, held in source.quarantine.items():
        yield "quarantine", _red(f"{name}: {_counted(held.rows, 'row')}")
        for reason, rows in held.reasons.items():
            yield "quarantine", _text(f"  {rows:,} x {reason}")


def _freshness(status: SourceStatus) -> Text:
    loaded, ingested = status.batches.get("load"), status.batches.get("extract")
    if loaded is None or status.snapshot_age is None or status.source_to_warehouse is None:
        return Text("no batch has been loaded")
    waiting = ingested.number - loaded.number if ingested else 0
    age, took = duration(status.snapshot_age), duration(status.source_to_warehouse)
    text = Text(f"batch {loaded.number:,}, the source as of {age} ago, loaded in {took}; ")
    if waiting > 0:
        return text + _red(f"{_counted(waiting, 'batch')} waiting{about(status.seconds_left)}")
    return text + Text("none waiting")


def _expiry(hours: float) -> Text:
    return Text(f"expires in {hours:.1f} hours") if hours > 0 else _red("has expired")


def _registry(source: str, schemas: Mapping[str, SourceTable]) -> Table:
    shown = table(
        f"table of {source}" if source else "source table",
        "columns",
        "fingerprint",
        "since (UTC)",
        "state",
        numbers=frozenset({"columns"}),
    )
    for name, each in schemas.items():
        short = name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 1]}…"
        since = _minute(each.since)
        shown.add_row(_text(short), str(each.columns), each.fingerprint, since, _carried(each))
    return shown


def _carried(each: SourceTable) -> Text:
    if each.is_carried:
        return _red("left out") if each.error else Text("read")
    return Text("dropped" if each.error else "not used")


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M}" if moment else ""


def _counted(number: int, noun: str) -> str:
    plural = {"batch": "batches"}.get(noun, f"{noun}s")
    return f"{number:,} {noun if number == 1 else plural}"


def _red(text: str) -> Text:
    return _text(text, "red")


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style)
