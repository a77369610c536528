"""Engines of others read the same rows from the tables as pyiceberg does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from functions.lake import files
from tests.lake import installed
from tests.lake.scene import Lake, Scene
from tests.lake.test_equal import WAYS, Warehouse, random_entry

# A process of its own: that of the tests may have loaded the DuckDB of `deploy.py query`.
READ = """
import json, sys
import duckdb, polars
extensions, tables = json.load(sys.stdin)
connection = duckdb.connect()
for extension in extensions:
    connection.execute(f"LOAD '{extension}'")
for location in tables:
    statement = f"SELECT * FROM iceberg_scan('{location.removeprefix('file://')}')"
    print(sorted(connection.execute(statement).fetchall(), key=repr))
    rows = polars.scan_iceberg(location, reader_override="native").collect().rows()
    print(sorted(rows, key=repr))
"""


def read_by_others(tables: list[str]) -> list[str]:
    """Return the rows of tables as DuckDB and as Polars read them, in turn."""
    place = installed("lake-readers.txt")
    extensions = [
        str(path)
        for name in ("avro", "iceberg")
        for path in place.rglob(f"{name}.duckdb_extension")
    ]
    paths = os.pathsep.join([str(place), str(installed("layer-lake.txt"))])
    done = subprocess.run(
        [sys.executable, "-c", READ],
        input=json.dumps([extensions, tables]),
        env={**os.environ, "PYTHONPATH": paths, "POLARS_ICEBERG_PLANNER": "pyiceberg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Tables after thirty batches, with all their objects in a folder."""
    monkeypatch.setattr(files, "SCHEME", f"file://{tmp_path}/")
    lake, warehouse, random = Lake(Scene(WAYS)), Warehouse(), Random(5)
    for number in range(30):
        entries = {name: random_entry(random, name) for name in WAYS}
        lake.scene.load(entries)
        warehouse.load(entries)
        if number % 10 == 9:
            for name in WAYS:
                lake.keep_up(name)
    for key, body in lake.scene.s3.objects.items():
        path = tmp_path / "lake" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    for name in WAYS:
        assert lake.rows(name) == warehouse.sorted(name)
    return lake


def test_duckdb_and_polars_read_the_same_rows(on_disk: Lake) -> None:
    """Neither reads through the other, or through pyiceberg."""
    read = read_by_others([on_disk.table(name).metadata_location for name in WAYS])

    for number, name in enumerate(WAYS):
        rows = repr(on_disk.rows(name))
        assert read[2 * number : 2 * number + 2] == [rows, rows]
