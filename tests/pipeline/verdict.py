"""The verdict on a run that is over: warehouse against source, and the lake against itself.

Nothing in here raises on a difference: all of them are found, counted and named by their keys.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

from tests.pipeline.oracle import EXPECTED, current, expected
from tests.pipeline.recorded import (
    States,
    committed_versions,
    is_subsequence,
    warehouse_history,
)
from tests.postgres_fixtures import Source, Warehouse


@dataclass
class Verdict:
    """How many rows and records were compared, and what is wrong, as `table key: what`."""

    compared: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """All that is wrong."""
        return self.lost + self.twice + self.different + self.broken

    def __str__(self) -> str:
        parts = {name: found for name, found in vars(self).items() if name != "compared" and found}
        return "\n".join(
            f"{name} ({len(found)}): {'; '.join(found[:10])}" for name, found in parts.items()
        )


def compare(source: Source, warehouse: Warehouse) -> Verdict:
    """Compare the warehouse with the source, which is quiet, and with its recorded history.

    A row that was deleted in the source stays in the warehouse, in its last state that was seen.
    """
    verdict = Verdict()
    there, here = expected(source), current(warehouse)
    for table in EXPECTED:
        _compare_current(verdict, table, there[table], here[table])
    _compare_calendar(verdict, there["dim_date"], here["dim_date"])
    _compare_history(verdict, committed_versions(source), warehouse_history(warehouse))
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
    """The two buckets of a pipeline, watched: what was seen in them must stay as it was."""

    s3: Any
    ingestion: str
    processed: str
    seen: dict[tuple[str, str], str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
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

    def judge(self, verdict: Verdict) -> int:
        """Add what is wrong with the logs and the objects to a verdict; return how many batches.

        The three logs have the same numbers without a gap and tell of the same moments, each data
        object belongs to one batch, and what is named is there.
        """
        self.look()
        verdict.broken += self.changed
        logs = [
            self._log(self.ingestion, "batches/"),
            self._log(self.processed, "batches/"),
            self._log(self.processed, "loaded/"),
        ]
        newest = max(len(log) for log in logs)
        for log in logs:
            if sorted(log) != list(range(1, newest + 1)):
                verdict.broken.append(f"a log of {newest} batches has {sorted(log)}")
        for number in range(1, newest + 1):
            sources = [log[number]["source"] for log in logs if number in log]
            if any(source != sources[0] for source in sources):
                verdict.broken.append(f"batch {number} has two contents: {sources}")
        for bucket, log in zip((self.ingestion, self.processed), logs, strict=False):
            self._judge_files(verdict, bucket, log)
        return newest

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
        for where, key in self.seen:
            if where == bucket and key.startswith(prefix):
                body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                found[int(key.removeprefix(prefix).removesuffix(".json"))] = json.loads(body)
        return found


def _files(manifest: dict[str, Any]) -> set[str]:
    tables = manifest["tables"].values()
    return {file["key"] for table in tables for file in table["files"] + table["tombstones"]}
