"""The verdict on a run that is over: warehouse against source, and the lake against itself.

Nothing in here raises on a difference: all of them are found, counted and named by their keys.
"""

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from tests.pipeline.oracle import EXPECTED, current, expected
from tests.pipeline.recorded import (
    FACTS,
    Row,
    States,
    committed_versions,
    distinct_neighbours,
    is_subsequence,
    warehouse_history,
)
from tests.postgres_fixtures import Source, Warehouse

AMOUNTS = {"item_unit_price", "payment_amount"}


@dataclass
class Verdict:
    """How many rows and records were compared, and what is wrong, as `table key: what`."""

    compared: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """All that is wrong."""
        return self.lost + self.twice + self.different + self.stuck + self.broken

    def __str__(self) -> str:
        parts = {name: found for name, found in vars(self).items() if name != "compared" and found}
        return "\n".join(
            f"{name} ({len(found)}): {'; '.join(found[:10])}" for name, found in parts.items()
        )


def compare(source: Source, warehouse: Warehouse, versions: States | None = None) -> Verdict:
    """Compare the warehouse with the source, which is quiet, and with its recorded history.

    A row that was deleted in the source stays in the warehouse, in its last state that was seen.
    `versions` are those of a source that had more than one history.
    """
    verdict = Verdict()
    there, here = expected(source), current(warehouse)
    for table in EXPECTED:
        _compare_current(verdict, table, there[table], here[table])
    _compare_calendar(verdict, there["dim_date"], here["dim_date"])
    versions = committed_versions(source) if versions is None else versions
    _compare_history(verdict, versions, warehouse_history(warehouse))
    return verdict


def _compare_current(verdict: Verdict, table: str, there: list[Any], here: list[Any]) -> None:
    rows = {row[0]: row for row in here}
    verdict.compared += len(here)
    verdict.twice += [
        f"{table} {key}" for key, times in Counter(row[0] for row in here).items() if times > 1
    ]
    verdict.lost += [f"{table} {row[0]}" for row in there if row[0] not in rows]
    verdict.different += [
        f"{table} {row[0]}: {row} in the source, {rows[row[0]]} in the warehouse"
        for row in there
        if row[0] in rows and rows[row[0]] != row
    ]


def _compare_calendar(verdict: Verdict, there: list[Any], here: list[Any]) -> None:
    """The calendar has all days that it should have and no gap; deleted facts' days stay."""
    _compare_current(verdict, "dim_date", there, here)
    verdict.broken += [
        f"dim_date: {before[0]} is followed by {after[0]}"
        for before, after in pairwise(here)
        if after[0] - before[0] != timedelta(days=1)
    ]


def _compare_history(verdict: Verdict, versions: States, records: States) -> None:
    for (fact, key), found in records.items():
        verdict.compared += len(found)
        if any(before == after for before, after in pairwise(found)):
            verdict.twice.append(f"{fact} {key}: two equal records follow each other")
        if not is_subsequence(found, versions.get((fact, key), [])):
            verdict.different.append(f"{fact} {key}: a history that never was: {found}")


@dataclass
class Lake:
    """The two buckets of a pipeline, watched: what was seen in them must stay as it was.

    `before` is the history that the warehouse had when the buckets were emptied last.
    """

    s3: Any
    ingestion: str
    processed: str
    seen: dict[tuple[str, str], str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    documents: dict[tuple[str, str], tuple[str, dict[str, Any]]] = field(default_factory=dict)
    before: States = field(default_factory=dict)
    batches_before: int = 0
    looks: int = 0

    def look(self) -> None:
        """Note what is there, and what has vanished or changed since the last look."""
        now = dict(self._objects())
        self.looks += 1
        self.changed += [
            f"s3://{bucket}/{key} {'changed' if (bucket, key) in now else 'vanished'}"
            for (bucket, key), tag in self.seen.items()
            if now.get((bucket, key)) != tag
        ]
        self.seen = now

    def _objects(self) -> Iterator[tuple[tuple[str, str], str]]:
        for bucket in (self.ingestion, self.processed):
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for item in page.get("Contents", []):
                    written = f"{item['ETag']} {item['LastModified']} {item['Size']}"
                    yield (bucket, item["Key"]), written

    def empty(self, bucket: str) -> None:
        """Remove all objects of a bucket."""
        while found := self.s3.list_objects_v2(Bucket=bucket).get("Contents"):
            keys = [{"Key": item["Key"]} for item in found]
            self.s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})

    def start_over(self, warehouse: Warehouse) -> None:
        """Empty both buckets while no function runs; what the warehouse has by then stays."""
        verdict, records = Verdict(), warehouse_history(warehouse)
        self.judge_history(verdict, records, is_complete=False)
        self.changed += verdict.wrong
        self.batches_before += len(self._log(self.ingestion, "batches/source/"))
        self.before, self.seen = records, {}
        for bucket in (self.ingestion, self.processed):
            self.empty(bucket)

    def judge_history(self, verdict: Verdict, records: States, *, is_complete: bool) -> None:
        """Add where the history of a fact is not what the batches showed, one after the other.

        Of one that is not complete, records may be missing: they were not loaded, or refused.
        """
        self.look()
        shown = self._shown()
        for fact, key in records.keys() | shown:
            found = records.get((fact, key), [])
            wanted = distinct_neighbours(
                self.before.get((fact, key), []) + shown.get((fact, key), [])
            )
            if not is_subsequence(found, wanted):
                verdict.twice.append(f"{fact} {key}: {found}, but the batches showed {wanted}")
            elif is_complete and found != wanted:
                verdict.lost.append(f"{fact} {key}: {found}, but the batches showed {wanted}")

    def _shown(self) -> States:
        """Return the states of every fact in the batches, in order."""
        states: States = {}
        for _, manifest in sorted(self._log(self.processed, "batches/source/").items()):
            for fact in FACTS:
                for file in manifest["tables"][fact]["files"]:
                    body = self.s3.get_object(Bucket=self.processed, Key=file["key"])["Body"]
                    for row in rows_as_loaded(pq.read_table(io.BytesIO(body.read()))):
                        states.setdefault((fact, cast("int", row[0])), []).append(row)
        return states

    def judge(self, verdict: Verdict) -> int:
        """Add what is wrong with the logs and the objects to a verdict; return how many batches.

        The logs have no gap and name the same moments, each batch was loaded, each data object
        belongs to one batch, what is named is there, and no row is left in quarantine or refused.
        """
        self.look()
        verdict.broken += self.changed
        ingested = self._log(self.ingestion, "batches/source/")
        processed = self._log(self.processed, "batches/source/")
        markers = self._log(self.processed, "loaded/source/")
        for log in (ingested, processed, markers):
            if sorted(log) != list(range(1, len(log) + 1)):
                verdict.broken.append(f"a log of {len(log)} has {sorted(log)}")
        loaded = {marker["batch"] for marker in markers.values()}
        if not ingested.keys() == processed.keys() == loaded:
            verdict.broken.append(
                f"{len(ingested)} batches, {len(processed)} remodelled, {len(loaded)} loaded"
            )
        for document in (*processed.values(), *markers.values()):
            batch = ingested.get(document["batch"])
            if batch is None or document["source"] != batch["source"]:
                verdict.broken.append(f"batch {document['batch']} has two contents")
        for bucket, log in ((self.ingestion, ingested), (self.processed, processed)):
            self._judge_files(verdict, bucket, log)
        verdict.stuck += _left_over(processed, markers)
        return self.batches_before + len(ingested)

    def _judge_files(self, verdict: Verdict, bucket: str, log: dict[int, dict[str, Any]]) -> None:
        """Each object is of one batch; a replay may name what the batch that it replays did."""
        named = {number: _files(manifest) for number, manifest in log.items()}
        owners: dict[str, int] = {}
        for number, keys in sorted(named.items()):
            borrowed = named.get(log[number].get("replay_of") or 0, set())
            for key in keys - borrowed:
                if owners.setdefault(key, number) != number or f"/{number:010d}-" not in key:
                    verdict.broken.append(f"{key} is also in batch {number}")
        verdict.broken += [
            f"{key} is not there" for key in owners if (bucket, key) not in self.seen
        ]

    def _log(self, bucket: str, prefix: str) -> dict[int, dict[str, Any]]:
        found = {}
        for (where, key), tag in self.seen.items():
            number = key.removeprefix(prefix).removesuffix(".json")
            if where == bucket and number.isdigit():
                found[int(number)] = self._document(bucket, key, tag)
        return found

    def _document(self, bucket: str, key: str, tag: str) -> dict[str, Any]:
        """Return a document of a log, which is read again only if it was written again."""
        known, document = self.documents.get((bucket, key), ("", {}))
        if known != tag:
            document = json.loads(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            self.documents[bucket, key] = (tag, document)
        return document


def _left_over(
    processed: dict[int, dict[str, Any]], markers: dict[int, dict[str, Any]]
) -> Iterator[str]:
    """Yield which rows wait after the last batch, for transform or for the warehouse."""
    if processed:
        for table, kept in processed[max(processed)]["quarantine"].items():
            yield f"{kept['rows']} rows of {table} are still in quarantine"
    if markers:
        for table, refused in markers[max(markers)].get("refused", {}).items():
            rows = sum(each["file"]["rows"] for each in refused)
            yield f"{rows} rows of {table} are still refused"


def rows_as_loaded(rows: pa.Table) -> Iterator[Row]:
    """Yield rows of a batch as the warehouse shows them: a text may stand for a number."""
    for row in rows.to_pylist():
        yield tuple(Decimal(value) if name in AMOUNTS else value for name, value in row.items())


def _files(manifest: dict[str, Any]) -> set[str]:
    tables = manifest["tables"].values()
    return {file["key"] for table in tables for file in table["files"] + table["tombstones"]}
