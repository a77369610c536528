"""Transform, from batch log to batch log, on buckets that moto keeps in this process."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from functions.common import telemetry
from functions.common.batchlog import BatchLog
from functions.common.errors import BatchUnbalanced, LogCorrupted, SettingsError
from functions.common.manifests import (
    Balance,
    IngestionManifest,
    ProcessedManifest,
    Quarantine,
    Source,
    TableCapture,
)
from functions.common.parquet import PartWriter
from functions.common.storage import Bucket
from functions.transform import handler as transform
from tests.source_rows import COLUMNS, source_rows

SNAPSHOT = datetime(2024, 3, 1, 9, 31, tzinfo=UTC)
NOW = datetime(2024, 3, 1, 9, 32, tzinfo=UTC)
SOURCE = Source("7000000000000000001", 1, "totesys", SNAPSHOT)


def now() -> datetime:
    return NOW


@dataclass
class Pipeline:
    """Two buckets with their logs, and a hand that plays extract."""

    logs: transform.Logs
    runs: int = field(default=0)

    def ingest(
        self,
        tables: dict[str, pa.Table],
        *,
        deleted: dict[str, list[int]] | None = None,
        missing: dict[str, list[int]] | None = None,
        errors: dict[str, str] | None = None,
    ) -> None:
        """Put a batch in the ingestion log."""
        number = self.logs.ingested.newest() + 1
        captures = {
            name: self._capture(number, name, tables.get(name), (deleted or {}).get(name, []))
            for name in COLUMNS
        }
        for name, error in (errors or {}).items():
            captures[name] = msgspec.structs.replace(captures[name], error=error)
        manifest = IngestionManifest(
            number, NOW, "extract", SOURCE, captures, missing or {}, "keys/0000000001.json"
        )
        assert self.logs.ingested.claim(manifest)

    def _capture(
        self, number: int, name: str, rows: pa.Table | None, deleted: list[int]
    ) -> TableCapture:
        key, lake, day = f"{name}_id", self.logs.ingested.bucket, SNAPSHOT.date()
        data = PartWriter(lake, name, number, day)
        if rows is not None:
            data.write(rows)
        gone = PartWriter(lake, f"tombstones/{name}", number, day)
        gone.write(pa.table({key: pa.array(deleted, pa.int64())}))
        return TableCapture(
            key=key,
            columns=[],
            fingerprint="",
            horizon=1,
            seen=[],
            files=data.close(),
            deleted=len(deleted),
            tombstones=gone.close(),
        )

    def transform(self) -> ProcessedManifest:
        """Work off what waits; return the newest manifest."""
        self.runs += 1
        for _ in transform.work_off(self.logs, f"run {self.runs}", now, lambda: True):
            pass
        return self.logs.processed.read(self.logs.processed.newest())

    def rows(self, manifest: ProcessedManifest, table: str) -> list[dict[str, Any]]:
        """Return the rows of a star table in a batch."""
        return [row for file in manifest.tables[table].files for row in self.stored(file.key)]

    def stored(self, key: str) -> list[dict[str, Any]]:
        body = self.logs.processed.bucket.get(key)
        return list(pq.read_table(pa.BufferReader(body)).to_pylist())

    def held(self, manifest: ProcessedManifest, table: str) -> list[tuple[int, int, str]]:
        """Return key, batch and reason of the open rows of a source table."""
        rows = self.stored(manifest.quarantine[table].file)
        return [(row[f"{table}_id"], row["_batch"], row["_reason"]) for row in rows]

    def objects(self) -> dict[str, bytes]:
        """Return all objects of the processed bucket."""
        bucket = self.logs.processed.bucket
        return {key: bucket.get(key) for key in bucket.keys_after("", "", 1000)}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    with mock_aws():
        yield boto3.client("s3")


@pytest.fixture
def new_pipeline(client: Any) -> Callable[[str], Pipeline]:
    def make(name: str) -> Pipeline:
        for side in ("ingestion", "processed"):
            client.create_bucket(
                Bucket=f"{name}-{side}",
                CreateBucketConfiguration={"LocationConstraint": "eu-west-2"},
            )
        lake, stars = Bucket(client, f"{name}-ingestion"), Bucket(client, f"{name}-processed")
        return Pipeline(
            transform.Logs(
                BatchLog(lake, "batches/", IngestionManifest),
                BatchLog(stars, "batches/", ProcessedManifest),
            )
        )

    return make


@pytest.fixture
def pipeline(new_pipeline: Callable[[str], Pipeline]) -> Pipeline:
    return new_pipeline("totesys")


def one_of_each(**others: pa.Table) -> dict[str, pa.Table]:
    return {name: source_rows(name, {}) for name in COLUMNS} | others


def test_a_batch_becomes_a_star(pipeline: Pipeline) -> None:
    """Every table of a batch is in its star table, accounted for row by row."""
    pipeline.ingest(one_of_each())
    done = pipeline.transform()
    assert {name: table.rows for name, table in done.tables.items()} == {
        "dim_location": 1,
        "dim_counterparty": 1,
        "dim_currency": 1,
        "dim_design": 1,
        "dim_payment_type": 1,
        "dim_staff": 1,
        "dim_transaction": 1,
        "fact_sales_order": 1,
        "fact_purchase_order": 1,
        "fact_payment": 1,
    }
    assert done.balance == dict.fromkeys(
        [name for name in COLUMNS if name != "department"], Balance(1, 0, 1, 0)
    )
    assert (done.source, done.quarantine, done.absent) == (SOURCE, {}, {})
    [file] = done.tables["dim_staff"].files
    assert file.key == "dim_staff/2024-03-01/0000000001-0001.parquet"
    assert [row["department_name"] for row in pipeline.stored(file.key)] == ["Facilites"]


def test_an_event_without_news_writes_nothing(pipeline: Pipeline) -> None:
    """An event that comes twice, or with nothing new, changes nothing."""
    pipeline.ingest(one_of_each())
    pipeline.transform()
    before = pipeline.objects()
    pipeline.transform()
    assert pipeline.objects() == before


def test_a_lost_event_loses_no_batch(pipeline: Pipeline) -> None:
    """Batches whose events were lost are worked off with the next, in order."""
    for units in (1, 2, 3):
        pipeline.ingest({"sales_order": source_rows("sales_order", {"units_sold": units})})
    pipeline.transform()
    manifests = [pipeline.logs.processed.read(number) for number in (1, 2, 3)]
    assert [
        [row["units_sold"] for row in pipeline.rows(manifest, "fact_sales_order")]
        for manifest in manifests
    ] == [[1], [2], [3]]


def test_a_bad_row_is_held_and_the_others_go_on(pipeline: Pipeline) -> None:
    """A row that cannot be in the warehouse is kept with its reason and its original values."""
    bad = {"sales_order_id": 2, "agreed_delivery_date": "2023-02-30"}
    orders = source_rows("sales_order", {}, bad, {"sales_order_id": 3})
    pipeline.ingest(one_of_each(sales_order=orders))
    done = pipeline.transform()
    assert [row["sales_order_id"] for row in pipeline.rows(done, "fact_sales_order")] == [1, 3]
    assert done.balance["sales_order"] == Balance(taken=3, released=0, out=2, quarantined=1)
    entry = done.quarantine["sales_order"]
    assert entry == Quarantine("quarantine/sales_order/0000000001.parquet", 1)
    [original] = source_rows("sales_order", bad).to_pylist()
    reason = "agreed_delivery_date '2023-02-30' is not a date"
    assert pipeline.stored(entry.file) == [original | {"_batch": 1, "_reason": reason}]


def test_a_mended_row_arrives_by_itself(pipeline: Pipeline) -> None:
    """A row that is mended in the source leaves the quarantine and goes to the star."""
    bad = source_rows("payment", {"payment_amount": None, "_unfit": '{"payment_amount": "NaN"}'})
    pipeline.ingest(one_of_each(payment=bad))
    assert pipeline.held(pipeline.transform(), "payment") == [
        (1, 1, "payment_amount NaN is not a number")
    ]
    pipeline.ingest({"payment": source_rows("payment", {})})
    done = pipeline.transform()
    assert [row["payment_id"] for row in pipeline.rows(done, "fact_payment")] == [1]
    assert (done.quarantine, done.balance["payment"]) == ({}, Balance(1, 0, 1, 0))


def test_a_row_that_comes_again_as_bad_is_held_once(pipeline: Pipeline) -> None:
    """The quarantine shows the latest state of a row."""
    pipeline.ingest({"payment": source_rows("payment", {"payment_date": "soon"})})
    pipeline.transform()
    pipeline.ingest({"payment": source_rows("payment", {"payment_date": "later"})})
    done = pipeline.transform()
    assert pipeline.held(done, "payment") == [(1, 2, "payment_date 'later' is not a date")]


def test_a_fact_waits_for_its_parent_and_arrives_with_it(pipeline: Pipeline) -> None:
    """Facts of a parent that is held wait with it, in whatever batch, and arrive with it."""
    pipeline.ingest(one_of_each(currency=source_rows("currency", {"currency_code": "XXQ"})))
    first = pipeline.transform()
    assert first.absent == {"currency": [1]}
    assert pipeline.held(first, "sales_order") == [(1, 1, "waits for currency 1")]
    pipeline.ingest({"sales_order": source_rows("sales_order", {"sales_order_id": 2})})
    assert pipeline.held(pipeline.transform(), "sales_order") == [
        (1, 1, "waits for currency 1"),
        (2, 2, "waits for currency 1"),
    ]
    orders = source_rows("sales_order", {"sales_order_id": 3})
    pipeline.ingest({"currency": source_rows("currency", {}), "sales_order": orders})
    done = pipeline.transform()
    assert [row["sales_order_id"] for row in pipeline.rows(done, "fact_sales_order")] == [1, 2, 3]
    assert [row["payment_id"] for row in pipeline.rows(done, "fact_payment")] == [1]
    assert done.balance["sales_order"] == Balance(taken=1, released=2, out=3, quarantined=0)
    assert (done.quarantine, done.absent) == ({}, {})


def test_a_fact_waits_for_a_parent_that_the_source_lacks(pipeline: Pipeline) -> None:
    """A fact whose parent is not in the source waits until it is, without stopping the others."""
    pipeline.ingest(
        {"sales_order": source_rows("sales_order", {"design_id": 999})}, missing={"design": [999]}
    )
    first = pipeline.transform()
    assert first.absent == {"design": [999]}
    assert pipeline.held(first, "sales_order") == [(1, 1, "waits for design 999")]
    pipeline.ingest({"design": source_rows("design", {"design_id": 999})})
    done = pipeline.transform()
    assert [row["design_id"] for row in pipeline.rows(done, "fact_sales_order")] == [999]
    assert (done.quarantine, done.absent) == ({}, {})


def test_a_fact_that_waits_for_two_says_which_is_left(pipeline: Pipeline) -> None:
    """The reason is today's: a parent that has come is waited for no more."""
    order = source_rows("sales_order", {"staff_id": 5, "design_id": 7})
    pipeline.ingest({"sales_order": order}, missing={"staff": [5], "design": [7]})
    assert pipeline.held(pipeline.transform(), "sales_order") == [
        (1, 1, "waits for design 7; waits for staff 5")
    ]
    pipeline.ingest({"design": source_rows("design", {"design_id": 7})})
    done = pipeline.transform()
    assert pipeline.held(done, "sales_order") == [(1, 1, "waits for staff 5")]
    assert done.balance["sales_order"] == Balance(0, 0, 0, 0)


def test_a_bad_department_holds_its_staff_and_their_orders(pipeline: Pipeline) -> None:
    """What depends on a held row over two steps waits too, and all arrives when it is mended."""
    pipeline.ingest(one_of_each(department=source_rows("department", {"location": None})))
    first = pipeline.transform()
    assert pipeline.held(first, "staff") == [(1, 1, "department 1 has no location")]
    assert pipeline.held(first, "purchase_order") == [(1, 1, "waits for staff 1")]
    assert sorted(first.quarantine) == ["purchase_order", "sales_order", "staff"]
    pipeline.ingest({name: source_rows(name, {}) for name in ("department", "staff")})
    done = pipeline.transform()
    arrived = [name for name, table in done.tables.items() if table.rows]
    assert arrived == ["dim_staff", "fact_sales_order", "fact_purchase_order"]
    assert (done.quarantine, done.absent) == ({}, {})


def test_a_bad_address_holds_its_counterparty(pipeline: Pipeline) -> None:
    """An address that cannot be a location cannot be a counterparty's either."""
    pipeline.ingest(one_of_each(address=source_rows("address", {"city": None})))
    done = pipeline.transform()
    assert pipeline.held(done, "address") == [(1, 1, "has no city")]
    assert pipeline.held(done, "counterparty") == [(1, 1, "address 1 has no city")]
    assert done.absent == {"address": [1], "counterparty": [1]}


def test_a_quarantine_that_nothing_changes_is_carried_on(pipeline: Pipeline) -> None:
    """Open rows stay open over batches that do not touch them, without being written again."""
    pipeline.ingest({"payment": source_rows("payment", {"payment_date": "soon"})})
    first = pipeline.transform()
    pipeline.ingest({"payment": source_rows("payment", {"payment_id": 2})})
    second = pipeline.transform()
    assert second.quarantine == first.quarantine
    written = [key for key in pipeline.objects() if key.startswith("quarantine/")]
    assert written == ["quarantine/payment/0000000001.parquet"]


def test_a_deleted_row_leaves_the_quarantine(pipeline: Pipeline) -> None:
    """A row that is deleted in the source is waited for no more, and is a tombstone of the star."""
    pipeline.ingest({"payment": source_rows("payment", {"payment_date": "soon"})})
    pipeline.transform()
    pipeline.ingest({}, deleted={"payment": [1], "department": [4]})
    done = pipeline.transform()
    assert done.quarantine == {}
    payments = done.tables["fact_payment"]
    [file] = payments.tombstones
    assert (payments.rows, payments.deleted, file.rows) == (0, 1, 1)
    assert file.key == "tombstones/fact_payment/2024-03-01/0000000002-0001.parquet"
    assert pipeline.stored(file.key) == [{"payment_id": 1}]


def test_tombstones_are_in_the_warehouse_s_terms(pipeline: Pipeline) -> None:
    """A deleted address is a deleted location; a key that no integer holds was never loaded."""
    pipeline.ingest({}, deleted={"address": [1, 3_000_000_000, 2]})
    locations = pipeline.transform().tables["dim_location"]
    assert locations.deleted == 2
    assert pipeline.stored(locations.tombstones[0].key) == [{"location_id": 1}, {"location_id": 2}]


def test_a_table_that_extract_left_out_holds_up_no_other(pipeline: Pipeline) -> None:
    """A table that drifted has no rows in the batch; the others come through."""
    pipeline.ingest(
        {"design": source_rows("design", {})}, errors={"payment": "column paid is gone"}
    )
    done = pipeline.transform()
    assert (done.tables["dim_design"].rows, done.tables["fact_payment"].rows) == (1, 0)


def test_open_rows_outlive_a_new_column(pipeline: Pipeline) -> None:
    """Rows that came before a column was added stay open beside those that came after."""
    pipeline.ingest({"payment": source_rows("payment", {"payment_date": "soon"})})
    pipeline.transform()
    wider = source_rows(
        "payment",
        {"payment_id": 2, "payment_date": "later", "note": "new"},
        types={"note": pa.string(), "payment_amount": pa.decimal128(20, 4)},
    )
    pipeline.ingest({"payment": wider})
    done = pipeline.transform()
    rows = pipeline.stored(done.quarantine["payment"].file)
    assert [(row["payment_id"], row["note"]) for row in rows] == [(1, None), (2, "new")]


def test_released_rows_may_be_of_a_narrower_type(pipeline: Pipeline) -> None:
    """Rows that waited while a column was widened go out exactly, beside the batch's own."""
    missing = {"transaction": [9]}
    pipeline.ingest({"payment": source_rows("payment", {"transaction_id": 9})}, missing=missing)
    pipeline.transform()
    wider = source_rows(
        "payment", {"payment_id": 2}, types={"payment_amount": pa.decimal128(20, 4)}
    )
    parent = source_rows("transaction", {"transaction_id": 9})
    pipeline.ingest({"payment": wider, "transaction": parent})
    done = pipeline.transform()
    rows = pipeline.rows(done, "fact_payment")
    assert [(row["payment_id"], str(row["payment_amount"])) for row in rows] == [
        (1, "100000.00"),
        (2, "100000.0000"),
    ]


def test_a_big_table_passes_in_slices(pipeline: Pipeline) -> None:
    """A table of more rows than are held at a time comes through whole, but for its bad rows."""
    orders = [{"sales_order_id": number} for number in range(1, 70_001)]
    for number in (1, 65_536, 65_537, 70_000):
        orders[number - 1]["agreed_payment_date"] = None  # type: ignore[assignment]
    pipeline.ingest({"sales_order": source_rows("sales_order", *orders)})
    done = pipeline.transform()
    held = [key for key, _, _ in pipeline.held(done, "sales_order")]
    assert held == [1, 65_536, 65_537, 70_000]
    rows = pipeline.rows(done, "fact_sales_order")
    expected = [number for number in range(1, 70_001) if number not in held]
    assert [row["sales_order_id"] for row in rows] == expected


def test_the_same_batches_give_the_same_bytes(new_pipeline: Callable[[str], Pipeline]) -> None:
    """Transform is a function of its batches: run anywhere, it writes the same data objects."""
    contents = []
    for name in ("here", "there"):
        pipeline = new_pipeline(name)
        bad = source_rows("currency", {"currency_code": "XXQ"})
        pipeline.ingest(one_of_each(currency=bad))
        pipeline.ingest(one_of_each(), deleted={"staff": [8]})
        pipeline.transform()
        contents.append(pipeline.objects())
    assert contents[0] == contents[1]


def test_a_batch_that_another_run_claims_is_that_run_s(pipeline: Pipeline) -> None:
    """Two runs at once give one batch; the slower one goes on from the other's manifest."""
    pipeline.ingest({"payment": source_rows("payment", {"payment_date": "soon"})})
    pipeline.ingest({"payment": source_rows("payment", {"payment_id": 2})})
    others = iter([True])

    def while_another_run_is_faster() -> datetime:
        if next(others, False):
            for _ in transform.work_off(pipeline.logs, "fast", now, lambda: False):
                pass
        return NOW

    ours = list(
        transform.work_off(pipeline.logs, "slow", while_another_run_is_faster, lambda: True)
    )
    assert [manifest.batch for manifest in ours] == [2]
    first, second = (pipeline.logs.processed.read(number) for number in (1, 2))
    assert (first.run, second.run) == ("fast", "slow")
    assert second.quarantine == first.quarantine


def test_what_a_dead_run_left_is_passed_over(pipeline: Pipeline) -> None:
    """Objects of a run that died before its manifest are neither overwritten nor believed."""
    stars = pipeline.logs.processed.bucket
    for key in (
        "quarantine/payment/0000000001.parquet",
        "fact_payment/2024-03-01/0000000001-0001.parquet",
    ):
        assert stars.put_new(key, b"half")
    payments = source_rows("payment", {"payment_date": "soon"}, {"payment_id": 2})
    pipeline.ingest({"payment": payments})
    done = pipeline.transform()
    assert done.quarantine["payment"].file == "quarantine/payment/0000000001-2.parquet"
    assert [row["payment_id"] for row in pipeline.rows(done, "fact_payment")] == [2]


def test_a_run_that_is_short_of_time_leaves_the_rest(pipeline: Pipeline) -> None:
    """A run ends after a whole batch when its time runs out, and the next goes on from there."""
    for _ in range(2):
        pipeline.ingest({"design": source_rows("design", {})})
    runs = [
        [
            manifest.batch
            for manifest in transform.work_off(pipeline.logs, "run", now, lambda: False)
        ]
        for _ in range(3)
    ]
    assert runs == [[1], [2], []]


def test_rows_that_do_not_add_up_stop_the_batch(pipeline: Pipeline) -> None:
    """A batch whose rows are not all accounted for never gets a manifest."""
    twice = source_rows("department", {}, {})
    pipeline.ingest(one_of_each(department=twice))
    message = "batch 1: of 1 rows of staff and 0 released ones, 2 went to dim_staff and 0 to"
    with pytest.raises(BatchUnbalanced, match=message):
        pipeline.transform()
    assert pipeline.logs.processed.newest() == 0


def test_an_emptied_ingestion_bucket_is_noticed(
    pipeline: Pipeline, new_pipeline: Callable[[str], Pipeline]
) -> None:
    """A log that starts again behind a longer one is said, not silently skipped."""
    pipeline.ingest({"design": source_rows("design", {})})
    pipeline.transform()
    emptied = replace(pipeline.logs, ingested=new_pipeline("emptied").logs.ingested)
    with pytest.raises(LogCorrupted, match=r"has batch 1, but the newest of .* is 0"):
        list(transform.work_off(emptied, "run", now, lambda: True))


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("INGESTION_BUCKET", "totesys-ingestion")
    monkeypatch.setenv("PROCESSED_BUCKET", "totesys-processed")
    # Lambda sets it before the import, which has happened here.
    monkeypatch.setattr(telemetry.metrics, "namespace", "totesys-etl-dev")
    transform._logs.cache_clear()
    yield SimpleNamespace(
        function_name="totesys-etl-dev-transform",
        memory_limit_in_mb=1769,
        invoked_function_arn="arn:aws:lambda:eu-west-2:123456789012:function:transform",
        aws_request_id="e6b1f1b0-0000-0000-0000-000000000000",
        get_remaining_time_in_millis=lambda: 600_000,
    )
    transform._logs.cache_clear()


def test_the_function_tells_what_it_did(
    pipeline: Pipeline, context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result and the metrics name the batches and how many rows are held, by table."""
    pipeline.ingest({"payment": source_rows("payment", {"payment_date": "soon"})})
    pipeline.ingest({"design": source_rows("design", {})})
    result = transform.handler({"any": "event"}, context)
    assert result == {
        "batches": [1, 2],
        "quarantined": {"payment": 1},
        "seconds": pytest.approx(0, abs=60),
    }
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [metrics] = [line for line in printed if "_aws" in line]
    assert metrics["RowsQuarantined"] == [1.0, 0.0]
    assert metrics["BatchesTransformed"] == [2.0]
    # An event that comes twice has the same request id, and is two runs.
    assert pipeline.logs.processed.read(2).run != context.aws_request_id


def test_a_missing_setting_is_named(
    client: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that was deployed without a setting says which."""
    monkeypatch.delenv("PROCESSED_BUCKET")
    with pytest.raises(SettingsError, match="PROCESSED_BUCKET"):
        transform.handler({}, context)
