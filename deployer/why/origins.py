"""The source rows of a batch: where each of them comes from, and those that it joins with."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq

from deployer.query.tables import Document, File
from deployer.why.asking import Asked
from deployer.why.keys import Key
from deployer.why.objects import Objects, files_of
from etl import Events, Rest, Table
from etl.tables import OWN_COLUMNS

XIDS = 1 << 32  # a row has the lower 32 bits of the id of its transaction


@dataclass(frozen=True)
class SourceRow:
    """A row of a source table: its values, and its origin, which depends on the kind of source.

    `key` are the columns of its key; `true_at` is when it was true there. `reason` says why it is
    in no target table, if it is so.
    """

    table: str
    key: tuple[str, ...]
    batch: int
    values: Mapping[str, Any]
    origin: Mapping[str, Any]
    true_at: str
    reason: str | None = None
    parameter: str | None = None

    def document(self) -> Document:
        """Return it as a part of a JSON document."""
        return {
            "table": self.table,
            "joined_as": self.parameter,
            "batch": self.batch,
            "key": {name: shown(self.values.get(name)) for name in self.key},
            "origin": dict(self.origin),
            "row": {name: shown(value) for name, value in self.values.items()},
        }


@dataclass
class SourceRows:
    """The rows of batches from which a target row may be made."""

    asked: Asked
    objects: Objects
    _known: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def of(self, ingested: Document, processed: Document) -> list[SourceRow]:
        """Return the rows of a batch that have the key, in order."""
        if ingested.get("known") is None:
            return list(self._of_database(ingested, processed))
        return list(self._of_files(ingested, processed))

    def joined(self, row: SourceRow, ingested: Document) -> Iterator[SourceRow]:
        """Yield the rows of its batch with which a row joins, at any depth."""
        mapping = self.asked.mapping
        known: dict[str, Mapping[str, Any] | None] = {mapping.parameter: row.values}
        for join in mapping.joins:
            child = known.get(join.child)
            known[join.parameter] = None
            if child is None or any(child.get(name) is None for name in join.columns):
                continue
            kinds = [join.table.columns[name] for name in join.table.keys]
            key = Key.of(kinds, [child[name] for name in join.columns])
            for values in self._rows(ingested, join.table, key) if key else ():
                known[join.parameter] = values
                yield SourceRow(
                    join.table.name,
                    join.table.keys,
                    ingested["batch"],
                    _without_own(values),
                    _of_snapshot(ingested, join.table, values),
                    ingested["source"]["snapshot_at"],
                    parameter=join.parameter,
                )

    def _rows(self, ingested: Document, table: Table, key: Key) -> Iterator[dict[str, Any]]:
        capture = ingested["tables"].get(table.id, {})
        files = files_of([*capture.get("files", ()), *capture.get("partners", ())])
        for path in self.objects.paths("ingestion", files):
            yield from key.rows(path, table.keys)

    def _of_database(self, ingested: Document, processed: Document) -> Iterator[SourceRow]:
        table = self.asked.mapping.main
        capture = ingested["tables"].get(table.id, {})
        reasons = self._reasons(processed.get("reasons", {}).get(self.asked.target))
        why = reasons.get(self.asked.key.value)
        for path in self.objects.paths("ingestion", files_of(capture.get("files", ()))):
            for values in self.asked.key.rows(path, table.keys):
                yield SourceRow(
                    table.name,
                    table.keys,
                    ingested["batch"],
                    _without_own(values),
                    _of_snapshot(ingested, table, values),
                    ingested["source"]["snapshot_at"],
                    why,
                )

    def _of_files(self, ingested: Document, processed: Document) -> Iterator[SourceRow]:
        table = self.asked.mapping.main
        objects = {
            each.key: each for each in files_of(ingested["tables"].get(table.id, {})["files"])
        }
        mine = [each for each in processed["files"] if each["table"] == table.id]
        last = next((each for each in reversed(mine) if not each.get("reason")), None)
        for read, account in zip(ingested["files"], processed["files"], strict=True):
            if read["table"] != table.id:
                continue
            reasons = self._reasons(account.get("reasons"))
            files = [objects[key] for key in read["objects"]]
            fit = None
            if not self.asked.has_key:
                fit = self._places_in_target(processed) if account is last else set()
            for values in self._lines(files, reasons, fit):
                why = account.get("reason") or reasons.get(values["_line"])
                origin, at = self._origin(read, values)
                yield SourceRow(
                    table.name, table.keys, ingested["batch"], _without_own(values), origin, at, why
                )

    def _lines(
        self, files: list[File], reasons: Mapping[int | str, str], fit: set[int] | None
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of a file with the key, or those that made the rows in some places."""
        place = 0
        for path in self.objects.paths("ingestion", files):
            columns = self.asked.source_columns
            if fit is None:
                yield from self.asked.key.rows(path, columns, in_file=True)
                continue
            table = pq.ParquetFile(path).read()
            own = set(self.asked.key.places(path, columns, in_file=True))
            for at, line in enumerate(table["_line"].to_pylist()):
                if (line in reasons and at in own) or (line not in reasons and place in fit):
                    yield table.slice(at, 1).to_pylist()[0]
                place += line not in reasons

    def _places_in_target(self, processed: Document) -> set[int]:
        """Return the places of the rows in a table without a key, which has those of one file."""
        found, before = set(), 0
        files = files_of(processed["tables"].get(self.asked.target, {}).get("files", ()))
        for file, path in zip(files, self.objects.paths("processed", files), strict=True):
            found |= {before + at for at in self.asked.key.places(path, self.asked.columns)}
            before += file.rows
        return found

    def _reasons(self, file: Document | None) -> dict[int | str, str]:
        """Return why rows of a batch are in no target table, by their lines or keys."""
        return dict(self.objects.list_of(file)) if file else {}

    def _origin(self, read: Document, values: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        file = read["file"]
        match self.asked.source:
            case Events():
                at = values.get("_received")
                signed = {"true": True, "false": False}.get(values.get("_signed") or "")
                origin = {"event": values.get("_event"), "received_at": at, "signed": signed}
                return origin, at or file["modified"]
            case Rest():
                url = read.get("url") or f"{file['bucket']} {file['key']}"
                origin = {"url": url, "asked_at": file["modified"], "line": values["_line"]}
                return origin, file["modified"]
        origin = {name: file[name] for name in ("bucket", "key", "version", "etag", "modified")}
        return origin | {"line": values["_line"]}, file["modified"]


def _of_snapshot(ingested: Document, table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the origin of a row of a database; its transaction is known where it was recent."""
    source, xid = ingested["source"], values.get("_transaction")
    end = source.get("end") or 0
    return {
        "database": source["database"],
        "system_identifier": source["system_identifier"],
        "timeline": source["timeline"],
        "table": str(table).removeprefix("table "),
        "transaction": None if xid is None else end - (end - xid) % XIDS,
        "snapshot": {
            "at": source["snapshot_at"],
            "horizon": ingested["tables"][table.id].get("horizon"),
            "end": end,
        },
    }


def _without_own(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in OWN_COLUMNS}


def shown(value: Any) -> Any:
    """Return a value as JSON has it: integers, floats and truth as such, others as text.

    NaN and infinity, which JSON has not, are text.
    """
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.isoformat(sep=" ")
        case list():
            return [shown(each) for each in value]
    return str(value)
