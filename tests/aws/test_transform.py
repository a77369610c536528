"""Transform, from batch log to batch log."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from functions.common import telemetry
from functions.common.errors import CorruptLogError, PipelineCodeError, SettingsError
from functions.common.manifests import Balance
from functions.transform import handler as transform
from pipelines.totesys.pipeline import PIPELINE
from tests.aws.transform_pipeline import NOW, SNAPSHOT, SOURCE, Pipeline, now, one_of_each
from tests.source_rows import COLUMNS, source_rows


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
    assert file.key == "dim_staff/2024-03-01/0000000001-0000000000001.parquet"
    assert [row["department_name"] for row in pipeline.stored(file.key)] == ["Facilites"]


def test_an_event_without_news_writes_nothing(pipeline: Pipeline) -> None:
    """An event that comes twice, or with nothing new, changes nothing."""
    pipeline.ingest(one_of_each())
    pipeline.transform()
    before = pipeline.objects()
    pipeline.transform()
    assert pipeline.objects() == before


def test_a_lost_event_loses_no_batch(pipeline: Pipeline) -> None:
    """Batches whose events were lost are processed with the next, in order."""
    for units in (1, 2, 3):
        pipeline.ingest({"sales_order": source_rows("sales_order", {"units_sold": units})})
    pipeline.transform()
    manifests = [pipeline.logs.processed.read(number) for number in (1, 2, 3)]
    assert [
        [row["units_sold"] for row in pipeline.rows(manifest, "fact_sales_order")]
        for manifest in manifests
    ] == [[1], [2], [3]]


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
    """Two runs at once give one batch; the slower one continues from the other's manifest."""
    pipeline.ingest({"payment": source_rows("payment", {"payment_date": "soon"})})
    pipeline.ingest({"payment": source_rows("payment", {"payment_id": 2})})
    others = iter([True])

    def while_another_run_is_faster() -> datetime:
        if next(others, False):
            for _ in transform.work_off(PIPELINE, pipeline.logs, "fast", now, lambda: False):
                pass
        return NOW

    ours = list(
        transform.work_off(
            PIPELINE, pipeline.logs, "slow", while_another_run_is_faster, lambda: True
        )
    )
    assert [manifest.batch for manifest in ours] == [2]
    first, second = (pipeline.logs.processed.read(number) for number in (1, 2))
    assert (first.run, second.run) == ("fast", "slow")
    assert second.quarantine == first.quarantine


def test_what_a_dead_run_left_is_passed_over(pipeline: Pipeline) -> None:
    """Objects of a run that died before its manifest are neither overwritten nor believed."""
    stars = pipeline.logs.processed.bucket
    for key in (
        "quarantine/source/payment/2024-03-01/0000000001-0000000000001.parquet",
        "fact_payment/2024-03-01/0000000001-0000000000001.parquet",
    ):
        assert stars.put_new(key, b"half")
    payments = source_rows("payment", {"payment_date": "soon"}, {"payment_id": 2})
    pipeline.ingest({"payment": payments})
    done = pipeline.transform()
    assert (
        done.quarantine["payment"].file
        == "quarantine/source/payment/2024-03-01/0000000001-0000000000002.parquet"
    )
    assert [row["payment_id"] for row in pipeline.rows(done, "fact_payment")] == [2]


def test_a_run_that_is_short_of_time_leaves_the_rest(pipeline: Pipeline) -> None:
    """A run ends after a whole batch when its time runs out, and the next continues from there."""
    for _ in range(2):
        pipeline.ingest({"design": source_rows("design", {})})
    runs = [
        [
            manifest.batch
            for manifest in transform.work_off(PIPELINE, pipeline.logs, "run", now, lambda: False)
        ]
        for _ in range(3)
    ]
    assert runs == [[1], [2], []]


def test_rows_that_do_not_add_up_stop_the_batch(pipeline: Pipeline) -> None:
    """A batch whose rows are not all accounted for never gets a manifest."""
    twice = source_rows("department", {}, {})
    pipeline.ingest(one_of_each(department=twice))
    message = "target table dim_staff: its function returned 2 rows for 1: each row of its first"
    with pytest.raises(PipelineCodeError, match=message):
        pipeline.transform()
    assert pipeline.logs.processed.newest() == 0


def test_an_emptied_ingestion_bucket_is_noticed(
    pipeline: Pipeline, new_pipeline: Callable[[str], Pipeline]
) -> None:
    """A log that starts again behind a longer one is said, not silently skipped."""
    pipeline.ingest({"design": source_rows("design", {})})
    pipeline.transform()
    emptied = replace(pipeline.logs, ingested=new_pipeline("emptied").logs.ingested)
    with pytest.raises(CorruptLogError, match=r"has batch 1, but the newest of .* is 0"):
        list(transform.work_off(PIPELINE, emptied, "run", now, lambda: True))


def test_an_ingestion_bucket_that_was_emptied_and_filled_again_is_noticed(
    pipeline: Pipeline, new_pipeline: Callable[[str], Pipeline]
) -> None:
    """The first batches of the new log are not skipped because of the old one's numbers."""
    pipeline.ingest(one_of_each())
    pipeline.transform()
    other = new_pipeline("emptied")
    for minute in (32, 33):
        other.ingest(one_of_each(), at=SNAPSHOT.replace(minute=minute))
    emptied = replace(pipeline.logs, ingested=other.logs.ingested)

    with pytest.raises(CorruptLogError, match=r"batch 1 of .* was not made from .* Empty both$"):
        list(transform.work_off(PIPELINE, emptied, "run", now, lambda: True))


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


def test_the_function_reports_what_it_did(
    pipeline: Pipeline, context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result and the metrics name the batches and how many rows are held, by table."""
    pipeline.ingest({"payment": source_rows("payment", {"payment_date": "soon"})})
    pipeline.ingest({"design": source_rows("design", {})})
    result = transform.handler({"any": "event"}, context)
    found = {"batches": [1, 2], "quarantined": {"payment": 1}}
    assert result == found | {"sources": {"source": found}, "seconds": pytest.approx(0, abs=60)}
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [metrics] = [line for line in printed if "_aws" in line]
    assert metrics["RowsQuarantined"] == [1.0, 0.0]
    assert metrics["BatchesTransformed"] == [2.0]
    # An event that comes twice has the same request id, and is two runs.
    assert pipeline.logs.processed.read(2).run != context.aws_request_id


def test_a_missing_setting_is_named(
    moto_s3: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that was deployed without a setting says which."""
    monkeypatch.delenv("PROCESSED_BUCKET")
    with pytest.raises(SettingsError, match="PROCESSED_BUCKET"):
        transform.handler({}, context)
