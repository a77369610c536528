"""A shop with keys and joins of every kind, and the lake between its extract and its load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace
from pandas import DataFrame

from etl import (
    SELF,
    Integer,
    Numeric,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    SmallInteger,
    Table,
    TargetTable,
    Text,
    Uuid,
    history,
    latest,
)
from functions.common.keys import Key
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest, ProcessedManifest, Source, TableCapture
from functions.common.objects import DataFile
from functions.common.parquet import PartWriter
from functions.transform import handler as transform
from functions.transform.trial import carried

AT = datetime(2024, 3, 1, 9, 31, tzinfo=UTC)

SOURCE = Source("7000000000000000001", 1, "shop", AT)

Rows = Sequence[Mapping[str, Any]]

customer = Table("Kunde%", key="id", alias="customer", columns={"id": Uuid(), "name": Text()})

product = Table("product", key=("maker", "code"), schema="stock", columns={
    "maker": Text(), "code": SmallInteger(), "name": Text(nullable=True),
})  # fmt: skip

order = Table("order", key="id", columns={
    "id": Text(), "customer_id": Uuid(references=customer), "note": Text(nullable=True),
})  # fmt: skip

line = Table("line", key=("order_id", "number"), columns={
    "order_id": Text(references=order), "number": Integer(),
    "maker": Text(nullable=True), "code": Integer(nullable=True), "price": Numeric(6, 2),
}, references={("maker", "code"): product})  # fmt: skip

staff = Table("staff", key="id", columns={
    "id": Integer(), "name": Text(), "boss_id": Integer(nullable=True, references=SELF),
})  # fmt: skip


@history(key=("order_id", "number"))
def fact_line(line: DataFrame, product: DataFrame) -> DataFrame:
    """Lines, each with its product if it has one."""
    names = product.rename(columns={"name": "product"})
    return line.merge(names, how="left", on=["maker", "code"])


@latest(key="id", joins={"boss": "boss_id"})
def dim_staff(staff: DataFrame, boss: DataFrame) -> DataFrame:
    """Staff, each with the name of who is above them."""
    above = boss[["id", "name"]].rename(columns={"id": "boss_id", "name": "boss"})
    return staff.merge(above, how="left", on="boss_id")[["id", "name", "boss"]]


everyone = latest(staff, name="everyone")

customers = latest(customer, name="customers")

orders = history(order, name="orders")

TABLES = (customer, product, order, line, staff)

TARGETS = (customers, orders, fact_line, dim_staff, everyone)


def declared(*targets: TargetTable) -> Pipeline:
    return Pipeline(
        sources=[Postgres("shop", TABLES)], targets=[PostgresWarehouse("warehouse", targets)]
    )


@dataclass
class Lake:
    """Two buckets, and a hand that plays extract."""

    logs: Logs
    pipeline: Pipeline = field(default_factory=lambda: declared(*TARGETS))

    def ingest(
        self,
        *,
        partners: Mapping[Table, Rows] | None = None,
        deleted: Mapping[Table, Rows] | None = None,
        missing: dict[str, list[Key]] | None = None,
        tables: Sequence[Table] = TABLES,
        at: datetime = AT,
        **rows: Rows,
    ) -> None:
        """Put a batch in the ingestion log; rows go by the names that functions call them."""
        number = self.logs.ingested.newest() + 1
        captures = {
            table.id: TableCapture(
                key=list(table.keys),
                columns=[],
                fingerprint="",
                horizon=1,
                seen=[],
                files=self._write(table, number, rows.get(table.parameter, ())),
                partners=self._write(table, number, (partners or {}).get(table, ())),
                tombstones=self._write(table, number, (deleted or {}).get(table, ()), keys=True),
            )
            for table in tables
        }
        keys = f"keys/{self.logs.ingested.source}/2024-03-01/0000000001-0000000000001.parquet"
        manifest = IngestionManifest(
            number,
            AT,
            "extract",
            replace(SOURCE, snapshot_at=at),
            captures,
            missing or {},
            keys,
            "0a" * 32,
            {},
        )
        assert self.logs.ingested.claim(manifest)

    def _write(
        self, table: Table, number: int, rows: Rows, *, keys: bool = False
    ) -> list[DataFile]:
        name = f"{self.logs.ingested.source}/{table.id}"
        prefix = f"tombstones/{name}" if keys else name
        writer = PartWriter(self.logs.ingested.bucket, prefix, number, AT.date())
        written = carried(table, rows)
        known = written.append_column("_known", pa.array([False] * len(rows), pa.bool_()))
        writer.write(written.select(table.keys) if keys else known)
        return writer.close()

    def transform(self) -> ProcessedManifest:
        """Work off what waits; return the newest manifest."""
        for _ in transform.work_off(self.pipeline, self.logs, "run", lambda: AT, lambda: True):
            pass
        return self.logs.processed.read(self.logs.processed.newest())

    def rows(self, manifest: ProcessedManifest, target: TargetTable) -> list[list[dict[str, Any]]]:
        """Return the rows of a target table in a batch, by file."""
        return [self.stored(file.key) for file in manifest.tables[target.id].files]

    def stored(self, key: str) -> list[dict[str, Any]]:
        body = self.logs.processed.bucket.get(key)
        return list(pq.read_table(pa.BufferReader(body)).to_pylist())

    def held(self, manifest: ProcessedManifest, table: Table) -> list[tuple[Any, ...]]:
        """Return the keys, the batch, the target and the reason of the open rows of a table."""
        entry = manifest.quarantine.get(table.id)
        parts = entry.all_parts if entry else []
        rows = [row for part in parts for row in self.stored(part.file)]
        own = ("_batch", "_target", "_reason")
        return [tuple(row[name] for name in (*table.keys, *own)) for row in rows]
