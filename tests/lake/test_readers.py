"""Engines of others read the same rows from the tables as pyiceberg does."""

import os
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from functions.lake import files
from tests.lake import installed
from tests.lake.scene import Lake, Scene
from tests.lake.test_equal import WAYS, Warehouse, random_entry


@pytest.fixture(scope="module")
def readers() -> Path:
    """Make DuckDB with its extension for Iceberg, and Polars importable."""
    place = installed("lake-readers.txt")
    sys.path.append(str(place))
    return place


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


def test_duckdb_and_polars_read_the_same_rows(
    readers: Path, on_disk: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither reads through the other, or through pyiceberg."""
    monkeypatch.setitem(os.environ, "POLARS_ICEBERG_PLANNER", "pyiceberg")
    import duckdb  # noqa: PLC0415  installed by the fixture
    import polars  # noqa: PLC0415

    connection: Any = duckdb.connect()
    for name in ("avro", "iceberg"):
        [extension] = readers.rglob(f"{name}.duckdb_extension")
        connection.execute(f"LOAD '{extension}'")
    for name in WAYS:
        location = on_disk.table(name).metadata_location
        statement = f"SELECT * FROM iceberg_scan('{location.removeprefix('file://')}')"
        by_duckdb = connection.execute(statement).fetchall()
        by_polars = polars.scan_iceberg(location, reader_override="native").collect().rows()
        assert sorted(by_duckdb, key=repr) == on_disk.rows(name)
        assert sorted(by_polars, key=repr) == on_disk.rows(name)
