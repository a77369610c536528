"""Load alone: batches that a test writes, a pipeline that it declares, and a real warehouse."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pg8000.native import identifier

from deployer.configuration.databases import parse_database_url
from etl import PostgresWarehouse, TargetTable
from etl.mapping import Mapping
from etl.targets import Target
from functions.common.batchlog import BatchLog
from functions.common.loaded import LoadedMarker
from functions.common.logs import MarkerLog
from functions.common.manifests import ProcessedManifest, Source, StarTable
from functions.common.objects import DataFile
from functions.common.parquet import PartWriter
from functions.load.loading import Progress, Step, load_pending
from functions.targets import Feed, Place, kind_of
from local.connection import connect
from tests.postgres_fixtures import Warehouse
from tests.unit.fake_bucket import FakeBucket

DAY = date(2024, 11, 16)
START = datetime(2024, 11, 16, 12, tzinfo=UTC)


@dataclass
class Rows:
    """A batch's rows of a table: files of rows, each a table, and the keys that are gone."""

    files: Sequence[pa.Table] = ()
    gone: pa.Table | None = None
    filled: bool = False
    snapshot: bool = False
    sequence: bool = False


class _Secrets:
    """Secrets Manager with the one secret that is asked for."""

    def __init__(self, url: str, kind: str) -> None:
        self._text = json.dumps(parse_database_url(url, kind).secret())

    def get_secret_value(self, **_: str) -> dict[str, str]:
        return {"SecretString": self._text}


@dataclass
class Scene:
    """A log of batches, one `every` so often, and the warehouse that they are loaded into.

    `options` are the settings of its pipeline, `folder` is where this has its files.
    """

    warehouse: Warehouse
    tables: tuple[TargetTable, ...]
    managed: bool = True
    every: timedelta = timedelta(minutes=1)
    options: dict[str, str] = field(default_factory=dict)
    folder: Path = Path()
    target: Target = field(init=False)
    bucket: FakeBucket = field(default_factory=FakeBucket)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.declare(*self.tables)

    @property
    def place(self) -> Place:
        """Where the warehouse is, and the settings of the function."""
        settings = {
            "WAREHOUSE_SECRET_ID": "warehouse",
            "WAREHOUSE_SCHEMA": self.warehouse.schema,
            "WAREHOUSE_MANAGED": "true" if self.managed else "false",
        }
        secrets: Any = _Secrets(self.warehouse.loader_url, self.target.kind)
        return Place(self.target, self.folder, settings, secrets, self.options)

    @property
    def markers(self) -> list[LoadedMarker]:
        """The markers of all steps."""
        return [step.marker for step in self.steps]

    def declare(self, *tables: TargetTable, **options: Any) -> None:
        """Let these be the tables from now on, in this order."""
        self.tables = tables
        self.target = PostgresWarehouse("warehouse", tables, **options)
        self.log = BatchLog(self.bucket, "source", ProcessedManifest)

    def batch(self, **tables: Rows | pa.Table) -> int:
        """Write the next batch; a table that is not named has nothing in it."""
        number = self.log.newest() + 1
        found = {name: self._entry(number, name, rows) for name, rows in tables.items()}
        snapshot = START + number * self.every
        manifest = ProcessedManifest(
            batch=number,
            written_at=snapshot,
            run=str(number),
            source=Source("1", 1, "live", snapshot),
            tables={table.id: StarTable(0, []) for table in self.tables} | found,
            balance={},
            quarantine={},
            absent={},
        )
        assert self.log.claim(manifest)
        return number

    def _entry(self, number: int, name: str, rows: Rows | pa.Table) -> StarTable:
        given = rows if isinstance(rows, Rows) else Rows([rows])
        files = [file for each in given.files for file in self._write(number, name, each)]
        gone = [] if given.gone is None else self._write(number, f"tombstones/{name}", given.gone)
        return StarTable(
            sum(file.rows for file in files),
            files,
            sum(file.rows for file in gone),
            gone,
            given.filled,
            given.snapshot,
            given.sequence,
        )

    def _write(self, number: int, name: str, rows: pa.Table) -> list[DataFile]:
        writer = PartWriter(self.bucket, name, number, DAY)
        writer.write(rows)
        return writer.close()

    def load(self, has_time: Callable[[], bool] = lambda: True) -> list[tuple[int, Progress]]:
        """Load what is pending; return each batch, and whether it was new."""
        mappings = tuple(Mapping(table, None, ()) for table in self.tables)  # type: ignore[arg-type]
        feed = Feed(mappings, self.log, MarkerLog(self.bucket, "source"))
        done = []
        with kind_of(self.target).loader(self.place, feed, 600) as loader:
            assert loader is not None
            for step in load_pending(loader, feed, has_time):
                self.steps.append(step)
                done.append((step.marker.batch, step.progress))
        return done

    def forget_last_marker(self) -> None:
        """Be a loader that died between its commit and its marker."""
        del self.bucket.objects[max(key for key in self.bucket.objects if "loaded/" in key)]
        self.bucket = FakeBucket(self.bucket.objects)
        self.log = BatchLog(self.bucket, "source", ProcessedManifest)

    def query(self, sql: str) -> list[list[Any]]:
        """Run SQL as the superuser, with the schema's names at hand."""
        with connect(self.warehouse.superuser_url) as connection:
            connection.run(f"SET search_path = {identifier(self.warehouse.schema)}")
            found: list[list[Any]] | None = connection.run(sql)
            return found or []


def rows_of(schema: dict[str, pa.DataType], *rows: tuple[Any, ...]) -> pa.Table:
    """Return rows with columns of these names and types."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [
        pa.array(list(column), kind) for column, kind in zip(columns, schema.values(), strict=True)
    ]
    return pa.table(arrays, names=list(schema))
