"""The Iceberg tables of a round beside the warehouse: each snapshot that is left, and the newest.

A snapshot names the marker of the load that it shows. So each commit is compared, also one that
others followed at once, one that was killed before it could say so, and one of two at a time: by
pyiceberg, with what `deploy.py query` says as of that marker. The newest ones are also compared
with the warehouse itself, and as DuckDB reads them.

Compared are the declared columns: the number of a record and the calendar are the warehouse's own.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.io import FileIO
from pyiceberg.table import StaticTable

from deployer.packaging.packages import ROOT
from deployer.query.cache import Cache
from deployer.query.lake import Lake
from etl import Pipeline
from etl.loading import folder, load
from functions.lake.files import LakeFiles
from tests.pipeline.arena import Arena
from tests.pipeline.remembering import Rows, answers
from tests.pipeline.rounds import LakeVerdict
from tests.pipeline.verdict import AMOUNTS
from tests.pipeline.warehouse_rows import rows_in

SOURCE = "source"


@dataclass(frozen=True)
class Commit:
    """A snapshot of a table, and the marker of the load that it shows."""

    table: str
    snapshot: int
    marker: int


def judge(place: Arena) -> LakeVerdict:
    """Compare all commits of a round that is over."""
    with tempfile.TemporaryDirectory(prefix="lake ") as cache:
        tables = IcebergTables(place, Path(cache))
        return LakeVerdict(len(tables.commits()), tables.wrong())


class Objects(LakeFiles):
    """The objects of an arena, whose client is no default one."""

    s3: Any = None

    def __init__(self, properties: Any = None) -> None:
        FileIO.__init__(self, properties or {})
        self._client = self.s3


class IcebergTables:
    """The tables that `lake` keeps in an arena; `cache` has what queries read."""

    def __init__(self, place: Arena, cache: Path) -> None:
        self._place = place
        self._cache = Cache(cache)
        self._pipeline: Pipeline = load(place.environment["PIPELINE"])
        Objects.s3 = place.lake.s3
        io = {"py-io-impl": f"{Objects.__module__}.{Objects.__name__}"}
        self._opened: dict[str, Any] = {
            name: StaticTable.from_metadata(location, io)
            for name, location in place.lake_tables.items()
        }
        self._markers = self._all_markers()

    def commits(self) -> list[Commit]:
        """Return all snapshots that are there, by table and in the order of their commits."""
        found = []
        for name, table in self._opened.items():
            ordered = sorted(table.metadata.snapshots, key=lambda each: each.sequence_number)
            # Markers ascend; a snapshot that merged files names none.
            named = [int(each.summary.get("loaded.marker") or 0) for each in ordered]
            markers = accumulate(named, max)
            found += [
                Commit(name, each.snapshot_id, marker)
                for each, marker in zip(ordered, markers, strict=True)
                if marker
            ]
        return found

    def wrong(self) -> list[str]:
        """Return where a snapshot is not what the warehouse had, or a table not what it has."""
        by_marker: defaultdict[int, list[Commit]] = defaultdict(list)
        for each in self.commits():
            by_marker[each.marker].append(each)
        said = (each for marker in sorted(by_marker) for each in self._as_of(by_marker[marker]))
        by_duckdb = read_by_duckdb(self._place)
        return [*said, *self.wrong_now(), *self.wrong_now(by_duckdb)]

    def _as_of(self, commits: list[Commit]) -> Iterator[str]:
        """Compare snapshots of one marker, but of tables that are ahead of a restored warehouse."""
        [number] = {each.marker for each in commits}
        commits = [each for each in commits if not self._is_ahead(each)]
        questions = {each.table: self._select(each.table) for each in commits}
        found = answers(
            Lake(self._place.lake.s3, self._place.lake.processed, self._pipeline, [SOURCE],
                 self._cache),
            folder(self._place.environment["PIPELINE"]),
            self._place.warehouse.schema,
            questions,
            datetime.fromisoformat(self._markers[number]["written_at"]),
        )  # fmt: skip
        for each in commits:
            rows = self._opened[each.table].scan(snapshot_id=each.snapshot).to_arrow()
            expected = Counter(found[each.table])
            yield from _differences(f"{each.table} at marker {number}", _rows(rows), expected)

    def wrong_now(self, read: Mapping[str, pa.Table] | None = None) -> list[str]:
        """Return where tables are not what the warehouse has, as pyiceberg or somebody has read.

        Rows may be missing that the warehouse had before the buckets were emptied.
        """
        found = []
        for target in (each.target for each in self._pipeline.mappings(SOURCE)):
            before = self._place.before.get(target.id, [])
            if target.id not in self._opened:
                [[count]] = rows_in(self._place.warehouse, f"SELECT count(*) FROM {target.name}")
                if count > len(before):
                    found.append(f"{target.id} is in the warehouse alone")
                continue
            rows = read[target.id] if read else self._opened[target.id].scan().to_arrow()
            expected = rows_in(self._place.warehouse, self._select(target.id))
            had = [tuple(row[name] for name in rows.column_names) for row in before]
            found += _differences(
                f"{target.id} now", _rows(rows), Counter(map(tuple, expected)), Counter(had)
            )
        return found

    def _select(self, table: str) -> str:
        names = [field.name for field in self._opened[table].schema().fields]
        return f"SELECT {', '.join(names)} FROM {table}"

    def _is_ahead(self, commit: Commit) -> bool:
        """Return whether the warehouse had gone back to fewer batches than the table has."""
        has: list[int] = [
            self._markers[number]["has"].get(commit.table, 0)
            for number in range(1, commit.marker + 1)
        ]
        return has[-1] < max(has)

    def _all_markers(self) -> Mapping[int, Mapping[str, Any]]:
        lake, prefix = self._place.lake, f"loaded/{SOURCE}/"
        pages = lake.s3.get_paginator("list_objects_v2").paginate(
            Bucket=lake.processed, Prefix=prefix
        )
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        bodies = [lake.s3.get_object(Bucket=lake.processed, Key=key)["Body"].read() for key in keys]
        return {each["number"]: each for each in map(json.loads, bodies)}


def read_by_duckdb(place: Arena) -> dict[str, pa.Table]:
    """Return the newest rows of all tables."""
    lake = place.lake
    with tempfile.TemporaryDirectory(prefix="duckdb ") as name:
        there = Path(name)
        pages = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.processed)
        for key in (each["Key"] for page in pages for each in page.get("Contents", [])):
            path = there / lake.processed / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(lake.s3.get_object(Bucket=lake.processed, Key=key)["Body"].read())
        command = [sys.executable, "-m", "tests.lake.duckdb_reader", name]
        asked = json.dumps(place.lake_tables).encode()
        done = subprocess.run(command, input=asked, capture_output=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return {
            table: pa.ipc.open_file((there / f"{table}.arrow").read_bytes()).read_all()
            for table in place.lake_tables
        }


def _rows(rows: pa.Table) -> Rows:
    """Return rows as the driver of a warehouse has them: an amount may be a text."""
    return Counter(
        tuple(
            Decimal(value) if name in AMOUNTS and value is not None else value
            for name, value in row.items()
        )
        for row in rows.to_pylist()
    )


def _differences(
    where: str, found: Rows, expected: Rows, before: Rows | None = None
) -> Iterator[str]:
    """Yield what is wrong with the rows `found`; of those `before`, any may be missing."""
    missing = list((expected - found - (before or Counter())).items())
    more = list((found - expected).items())
    if missing or more:
        yield f"{where}: {missing[:3]} are missing, {more[:3]} too many"
