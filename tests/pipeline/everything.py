"""Where rows come from, by reading everything: every document and every object of a source.

Plain and slow, and without any code of `deploy.py why`, whose answers it is compared with.
"""

import io
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq

from deployer.query.cache import Cache
from deployer.why.asking import asked
from deployer.why.life import life_of
from deployer.why.objects import Objects
from etl.loading import load
from etl.mapping import Mapping
from tests.pipeline.conftest import Functions

Row = dict[str, Any]
Key = tuple[str, ...]
Story = list[tuple[Any, ...]]
"""Batch, what it did, why, the row of the target, and its origins, by batch."""


@dataclass
class Everything:
    """The documents and objects of one source of a pipeline.

    `normal` is how files are keyed. The warehouse has `refused` some rows: table, key and batch.
    """

    functions: Functions
    pipeline: str
    source: str
    normal: Callable[[str], str | None] = str
    refused: Collection[tuple[str, str, int]] = ()
    _rows: dict[str, list[Row]] = field(default_factory=dict)

    def unexplained(self, cache: Path, random: Random, most: int = 2) -> list[str]:
        """Return where `why` says something else of some rows: of long lives, and at random."""
        wrong = []
        stories = self.stories()
        for table in sorted({table for table, _ in stories}):
            keys = sorted(key for name, key in stories if name == table)
            random.shuffle(keys)
            keys.sort(key=lambda key: -len(stories[table, key]))
            for key in {*keys[:most], *random.sample(keys, min(most, len(keys)))}:
                told = self.told(table, key, cache)
                if told != stories[table, key]:
                    wrong.append(f"{table} {key}: {told} and not {stories[table, key]}")
        return wrong

    def told(self, table: str, key: Sequence[str], cache: Path) -> Story:
        """Return what `why` says of a row."""
        functions = self.functions
        buckets = {"ingestion": functions.ingestion, "processed": functions.processed}
        objects = Objects(functions.s3, buckets, Cache(cache))  # type: ignore[arg-type]
        row = asked(load(self.pipeline), [self.source], table, key)
        steps = [json.loads(json.dumps(each.document())) for each in life_of(row, objects, ignore)]
        return [
            (
                step["batch"],
                step["what"],
                step["reason"],
                step["row"] and texts(step["row"]),
                sorted(
                    (each["table"], each["batch"], place_of(each["origin"]), texts(each["row"]))
                    for each in step["made_from"]
                ),
            )
            for step in steps
        ]

    def stories(self) -> dict[tuple[str, Key], Story]:
        """Return the life of each row of each target table that has a key."""
        prefix = f"batches/{self.source}/"
        both = self.functions.ingestion, self.functions.processed
        logs = [
            [self.functions.document(bucket, key) for key in self.functions.keys(bucket, prefix)]
            for bucket in both
        ]
        found: dict[tuple[str, Key], Story] = {}
        for mapping in load(self.pipeline).mappings(self.source):
            if mapping.target.key:
                lives = self._lives(mapping, list(zip(*logs, strict=True)))
                found |= {(mapping.target.name, key): life for key, life in lives.items()}
        return found

    def _lives(self, mapping: Mapping, log: list[tuple[Any, Any]]) -> dict[Key, Story]:
        lives: dict[Key, Story] = defaultdict(list)
        last: dict[Key, tuple[Any, Row]] = {}  # where the row of a key was extracted last
        there: dict[Key, Row] = {}
        target = mapping.target
        for ingested, processed in log:
            batch, entry = processed["batch"], processed["tables"].get(target.id, {})
            fit: dict[Key, list[Row]] = defaultdict(list)
            for key, row, why in self._extracted(mapping, ingested, processed):
                last[key] = ingested, row
                what = "quarantined" if ingested["known"] is None else "refused"
                if why is None:
                    fit[key].append(row)
                else:
                    lives[key].append(
                        (batch, what, why, None, self._from(mapping, ingested, row)[:1])
                    )
            for key, why in self._again(mapping, processed, ingested):
                origins = self._from(mapping, *last[key])[:1]
                lives[key].append((batch, "quarantined", why, None, origins))
            for row in self._all(processed["tables"], target.id, "files", self.functions.processed):
                key = tuple(str(row[name]) for name in target.key)
                came = (ingested, fit[key].pop(0)) if fit[key] else last[key]
                what = "new" if key not in there else "same" if there[key] == row else "changed"
                if target.way == "once" and key in there:
                    what = "ignored"
                if what != "ignored" and (target.name, *key, batch) not in self.refused:
                    there[key] = row
                lives[key].append(
                    (batch, what, None, texts(row), sorted(self._from(mapping, *came)))
                )
            for row in self._all(
                processed["tables"], target.id, "tombstones", self.functions.processed
            ):
                key = tuple(str(row[name]) for name in target.key)
                there.pop(key, None)
                lives[key].append((batch, "deleted", None, None, []))
            assert not entry.get("snapshot")
        return lives

    def _extracted(
        self, mapping: Mapping, ingested: Any, processed: Any
    ) -> Iterator[tuple[Key, Row, str | None]]:
        """Yield the rows of a batch, with why they are in no target table."""
        table = mapping.main
        reasons = self._reasons(processed.get("reasons", {}).get(mapping.target.id))
        reads = [
            (self._reasons(account["reasons"]), account["reason"], read)
            for account, read in zip(processed["files"], ingested["files"], strict=True)
            if read["table"] == table.id
        ]
        of_object = {key: each for each in reads for key in each[2]["objects"]}
        for file in ingested["tables"].get(table.id, {"files": []})["files"]:
            for row in self._read(self.functions.ingestion, file["key"]):
                values = [
                    self.normal(str(row[name])) for name in table.keys if row[name] is not None
                ]
                key = tuple(value for value in values if value is not None)
                if len(key) < len(table.keys):
                    continue
                if file["key"] in of_object:
                    why, whole, read = of_object[file["key"]]
                    yield key, {**row, "_file": read["file"]}, whole or why.get(str(row["_line"]))
                else:
                    yield key, row, reasons.get(",".join(key))

    def _again(self, mapping: Mapping, processed: Any, ingested: Any) -> Iterator[tuple[Key, str]]:
        """Yield the keys that stay in quarantine though something came for them."""
        files = ingested["tables"].get(mapping.main.id, {"files": []})["files"]
        own = {
            tuple(str(row[name]) for name in mapping.main.keys)
            for file in files
            for row in self._read(self.functions.ingestion, file["key"])
        }
        for key, why in self._reasons(processed.get("reasons", {}).get(mapping.target.id)).items():
            if (key,) not in own:
                yield (key,), why

    def _from(self, mapping: Mapping, ingested: Any, row: Row) -> list[Any]:
        """Return a row and those that it joins with, all of its batch."""
        batch, main = ingested["batch"], mapping.main
        found = [(main.name, batch, self._place(ingested, row), texts(without_own(row)))]
        known: dict[str, Row | None] = {mapping.parameter: row}
        for join in mapping.joins:
            child = known[join.child]
            known[join.parameter] = None
            if child is None:
                continue
            for name in ("files", "partners"):
                tables, bucket = ingested["tables"], self.functions.ingestion
                for other in self._all(tables, join.table.id, name, bucket):
                    if [other[key] for key in join.table.keys] == [child[c] for c in join.columns]:
                        known[join.parameter] = other
                        place = self._place(ingested, other)
                        found.append((join.table.name, batch, place, texts(without_own(other))))
        return found

    def _place(self, ingested: Any, row: Row) -> Any:
        if "_event" in row:
            return row["_event"], row["_received"], row["_signed"]
        if "_file" in row:
            return row["_file"]["key"], row["_file"]["version"], row["_line"]
        low = row.get("_transaction")
        if low is None:
            return None
        end = ingested["source"]["end"]
        return next(each for each in (low + (end >> 32 << 32), low) if each <= end)

    def _all(self, tables: Any, table: str, name: str, bucket: str) -> Iterator[Row]:
        for file in tables.get(table, {}).get(name, []):
            yield from self._read(bucket, file["key"])

    def _read(self, bucket: str, key: str) -> list[Row]:
        if key not in self._rows:
            body = io.BytesIO(self.functions.body(bucket, key))
            self._rows[key] = pq.read_table(body).to_pylist()
        return self._rows[key]

    def _reasons(self, file: Any) -> dict[str, str]:
        if not file:
            return {}
        listed = json.loads(self.functions.body(self.functions.processed, file["key"]))
        return {str(place): why for place, why in listed}


def ignore(_: str) -> None:
    """Show no progress."""


def place_of(origin: Row) -> Any:
    """Return where a row was, as `why` says it."""
    if "event" in origin:
        return origin["event"], origin["received_at"], str(origin["signed"]).lower()
    if "line" in origin:
        return origin["key"], origin["version"], origin["line"]
    return origin["transaction"]


def texts(row: Row) -> tuple[tuple[str, str | None], ...]:
    """Return values in a form in which those of JSON and of Parquet are equal."""
    return tuple((name, None if value is None else str(value)) for name, value in row.items())


def without_own(row: Row) -> Row:
    """Return a row without the columns that the engine adds."""
    return {name: value for name, value in row.items() if not name.startswith("_")}
