"""The life of a row for a person, within 80 columns."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from deployer.query.tables import Document
from deployer.terminal import printable
from deployer.why.asking import Asked

WHAT = {
    "new": "is new",
    "changed": "has changed",
    "same": "has the values that it had",
    "ignored": "comes again: the first one counts",
    "quarantined": "is in quarantine",
    "refused": "is refused",
    "deleted": "is deleted",
    "replaced": "is not in the newer state of its table",
}


def shown(asked: Asked, life: list[Document]) -> Iterator[Text]:
    """Yield the lines: for each batch what became of the row, its values, and what made them."""
    key = zip(asked.columns, asked.key.parts, strict=True)
    named = ", ".join(f"{name} {part}" for name, part in key)
    made = f"made of {asked.mapping.main.name} in source {asked.source.name}"
    yield Text(printable(f"{asked.mapping.target.name}: {named} ({made})"), "bold", overflow="fold")
    if not life:
        yield Text("no batch has it, neither as a row nor in quarantine")
    before: Mapping[str, Any] = {}
    for step in life:
        yield from _step(step, before)
        if step["row"] and step["what"] != "ignored":
            before = step["row"]


def _step(step: Document, before: Mapping[str, Any]) -> Iterator[Text]:
    replay = f", a replay of batch {step['replay_of']}" if step["replay_of"] else ""
    yield Text(f"batch {step['batch']}{replay}: {WHAT[step['what']]}", "bold")
    loaded = ", again ".join(map(_time, step["loaded_at"])) or "not yet"
    yield Text(f"  true {_time(step['true_at'])}, loaded {loaded}", overflow="fold")
    if step["reason"]:
        yield _line("  ", step["reason"])
    if step["what"] in ("new", "changed", "ignored"):
        for name, value in step["row"].items():
            if name not in before or before[name] != value or step["what"] == "new":
                yield _line("    ", f"{name} = {_value(value)}")
    if refused := step["refused_by_warehouse"]:
        end = f", {refused['outcome']} {_time(refused['until'])}" if refused["until"] else ""
        yield _line("  ", f"the warehouse refused it {_time(refused['at'])}{end}:")
        yield _line("    ", refused["reason"])
    for source in step["made_from"]:
        joined = f", joined as {source['joined_as']}" if source["joined_as"] else ""
        key = ", ".join(_value(value) for value in source["key"].values())
        yield _line("  ", f"from {source['table']} {key} of batch {source['batch']}{joined}")
        yield _line("    ", _origin(source["origin"]))


def _origin(origin: Mapping[str, Any]) -> str:
    if "database" in origin:
        transaction = origin["transaction"]
        said = "" if transaction is None else f"transaction {transaction}, "
        return f"database {origin['database']}, {said}snapshot {_time(origin['snapshot']['at'])}"
    if "received_at" in origin:
        signed = {True: "signature checked", False: "from the provider's list"}
        said = signed.get(origin["signed"], "signature checked or from the provider's list")
        return f"event {origin['event']}, received {_time(origin['received_at'])}, {said}"
    if "url" in origin:
        return f"{origin['url']}, asked {_time(origin['asked_at'])}, line {origin['line']}"
    version = origin["version"] or origin["etag"]
    return f"s3://{origin['bucket']}/{origin['key']}, version {version}, line {origin['line']}"


def _line(indent: str, text: str) -> Text:
    return Text(indent + printable(text), overflow="fold")


def _value(value: Any) -> str:
    return "NULL" if value is None else str(value)


def _time(text: str | None) -> str:
    """Return a time in UTC in whole seconds."""
    return "" if text is None else f"{text[:10]} {text[11:19]}"
