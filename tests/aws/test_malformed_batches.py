"""Damaged and made-up objects in the ingestion bucket: transform says which, and writes nothing."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.common import telemetry
from functions.common.errors import CorruptLogError
from functions.common.parquet import digest, packed
from functions.common.storage import Bucket
from functions.transform import handler as transform
from tests.aws.transform_pipeline import Pipeline, one_of_each
from tests.source_rows import source_rows

MANIFEST = "batches/source/0000000001.json"
GONE = "source/design/2024-03-01/0000000009-0000000000001.parquet"
Edit = Callable[[dict[str, Any]], None]


def key_of(table: str) -> str:
    return f"source/{table}/2024-03-01/0000000001-0000000000001.parquet"


ORDERS = key_of("sales_order")


@pytest.fixture
def lake(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An ingestion bucket with one batch of every table, and transform deployed behind it."""
    monkeypatch.setenv("INGESTION_BUCKET", pipeline.logs.ingested.bucket.name)
    monkeypatch.setenv("PROCESSED_BUCKET", pipeline.logs.processed.bucket.name)
    monkeypatch.setattr(telemetry.metrics, "namespace", "totesys-etl-dev")
    transform._logs.cache_clear()
    orders = source_rows("sales_order", *({"sales_order_id": number} for number in range(1, 400)))
    pipeline.ingest(one_of_each(sales_order=orders), deleted={"design": [5]})
    yield pipeline.logs.ingested.bucket
    transform._logs.cache_clear()


def overwrite(lake: Bucket, key: str, body: bytes) -> None:
    """Do what nothing in the pipeline does."""
    lake.client.put_object(Bucket=lake.name, Key=key, Body=body)


def edit(lake: Bucket, change: Edit) -> None:
    document = json.loads(lake.get(MANIFEST))
    change(document)
    overwrite(lake, MANIFEST, json.dumps(document).encode())


def replace(lake: Bucket, rows: pa.Table, key: str = ORDERS) -> None:
    """Replace an object by other rows, and let the manifest say that they are right."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    believe(lake, sink.getvalue().to_pybytes(), key, rows.num_rows)


def believe(lake: Bucket, body: bytes, key: str, rows: int) -> None:
    """Replace an object by another, and let the manifest say that it is the right one."""
    overwrite(lake, key, body)

    def adopt(document: dict[str, Any]) -> None:
        [file] = document["tables"][key.split("/")[1]]["files"]
        file |= {"sha256": digest(body), "rows": rows}

    edit(lake, adopt)


def invoke(event: object = None) -> dict[str, Any]:
    """Invoke transform as Lambda does; what it raises is what Lambda counts as an error."""
    context: Any = SimpleNamespace(
        function_name="transform",
        memory_limit_in_mb=1769,
        invoked_function_arn="arn:aws:lambda:eu-west-2:123456789012:function:transform",
        aws_request_id="e6b1f1b0-0000-0000-0000-000000000000",
        get_remaining_time_in_millis=lambda: 600_000,
    )
    any_event: Any = event
    result: dict[str, Any] = transform.handler(any_event, context)
    return result


def refusal(pipeline: Pipeline) -> str:
    """Return the error of an invocation that has no batch as its effect."""
    with pytest.raises(CorruptLogError) as failure:
        invoke()
    assert [key for key in pipeline.objects() if key.startswith("batches/source/")] == []
    return str(failure.value)


def test_the_batch_is_remodelled_as_it_is(pipeline: Pipeline, lake: Bucket) -> None:
    """The batch that the tests below damage is valid to begin with."""
    assert invoke()["batches"] == [1]
    assert pipeline.logs.processed.read(1).tables["fact_sales_order"].rows == 399


@pytest.mark.parametrize(
    "event",
    [
        None,
        True,
        7,
        1.5,
        "junk",
        [],
        [{"Records": []}],
        {"Records": None},
        {"Records": [{"s3": {"object": {"key": "batches/source/9999999999.json"}}}]},
        {"Records": [{"s3": {"bucket": {"name": "elsewhere"}, "object": {"key": "../../x"}}}]},
        {"replay": "x", "batch": -1, "detail": {"deep": [[[[[]]]]]}},
    ],
    ids=repr,
)
def test_an_event_is_a_hint(pipeline: Pipeline, lake: Bucket, event: object) -> None:
    """Whatever an event holds, the batches that wait are processed, and no others."""
    assert invoke(event)["batches"] == [1]
    assert invoke(event)["batches"] == []


@pytest.mark.parametrize(
    ("damage", "digests"),
    [
        pytest.param(lambda body: body[:-1], True, id="last byte"),
        pytest.param(lambda body: body + b"\x00", True, id="longer"),
        pytest.param(lambda body: b"", False, id="empty"),
        pytest.param(lambda body: body[: len(body) // 2], False, id="half"),
        pytest.param(lambda body: b"batch,rows\n1,2\n", False, id="csv"),
    ],
)
def test_a_damaged_object_is_named(
    pipeline: Pipeline,
    lake: Bucket,
    damage: Callable[[bytes], bytes],
    digests: bool,
) -> None:
    """Whatever is left of an object, it is named with the next step, and the batch waits.

    `digests` is whether the manifest has the digest of the good one, or of the damaged one.
    """
    good, manifest = lake.get(ORDERS), lake.get(MANIFEST)
    overwrite(lake, ORDERS, damage(good))
    if not digests:
        believe(lake, damage(good), ORDERS, 399)

    message = refusal(pipeline)

    assert message.startswith(f"s3://{lake.name}/{ORDERS} is damaged: ")
    assert message.endswith("Restore its first version, which S3 keeps")
    overwrite(lake, ORDERS, good)
    overwrite(lake, MANIFEST, manifest)
    assert invoke()["batches"] == [1]


@pytest.mark.parametrize("rows", [398, 400])
def test_rows_that_are_not_as_many_as_the_manifest_says_are_refused(
    pipeline: Pipeline, lake: Bucket, rows: int
) -> None:
    """No row is lost or added between extract and transform without a word."""

    def miscount(document: dict[str, Any]) -> None:
        document["tables"]["sales_order"]["files"][0]["rows"] = rows

    edit(lake, miscount)

    assert f"it has 399 rows, and its manifest says {rows}" in refusal(pipeline)


def test_an_object_without_rows_is_refused(pipeline: Pipeline, lake: Bucket) -> None:
    """An empty object instead of rows is no empty table."""
    believe(lake, packed(source_rows("sales_order")), ORDERS, 399)

    assert "it has 0 rows, and its manifest says 399" in refusal(pipeline)


@pytest.mark.parametrize(
    ("table", "column", "other"),
    [
        ("sales_order", "units_sold", pa.string()),
        ("sales_order", "unit_price", pa.float64()),
        ("sales_order", "created_at", pa.date32()),
        ("sales_order", "agreed_payment_date", pa.binary()),
        ("sales_order", "_unfit", pa.int32()),
        ("payment", "paid", pa.int8()),
        ("department", "department_name", pa.binary()),
    ],
)
def test_a_column_of_another_type_is_named(
    pipeline: Pipeline, lake: Bucket, table: str, column: str, other: pa.DataType
) -> None:
    """Well-formed objects of another version or hand are refused by table and column."""
    rows = source_rows(table, {})
    place = rows.schema.get_field_index(column)
    replace(lake, rows.set_column(place, column, pa.nulls(1, other)), key_of(table))

    assert refusal(pipeline).startswith(
        f"rows of {table} in the ingestion bucket have no column {column} of type "
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.drop_columns(["paid"]),
        lambda rows: rows.rename_columns({"paid": "paid_"}),
        lambda rows: rows.append_column("paid", pa.nulls(1, pa.bool_())),
    ],
    ids=["missing", "renamed", "twice"],
)
def test_a_column_that_is_not_there_once_is_named(
    pipeline: Pipeline, lake: Bucket, change: Callable[[pa.Table], pa.Table]
) -> None:
    """A column that is missing, or that is there twice, is refused by table and column."""
    replace(lake, change(source_rows("payment", {})), key_of("payment"))

    assert refusal(pipeline).startswith(
        "rows of payment in the ingestion bucket have no column paid of type "
    )


def test_a_column_that_the_star_does_not_need_is_passed_over(
    pipeline: Pipeline, lake: Bucket
) -> None:
    """An added column is no damage."""
    rows = source_rows("sales_order", {}).append_column("added", pa.nulls(1, pa.binary()))
    replace(lake, rows)

    assert invoke()["batches"] == [1]


@pytest.mark.parametrize("table", ["sales_order", "design", "department", "address"])
def test_a_row_without_its_key_is_refused(pipeline: Pipeline, lake: Bucket, table: str) -> None:
    """A row that cannot be counted cannot be quarantined either."""
    rows = source_rows(table, {f"{table}_id": 1}, {f"{table}_id": None})
    replace(lake, rows, key_of(table))

    message = f"rows of {table} in the ingestion bucket have no {table}_id"
    assert refusal(pipeline) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(batch=2), "says that it is batch 2"),
        (lambda m: m.update(batch=-1), "is not a manifest"),
        (lambda m: m["tables"]["design"]["files"].append(
            m["tables"]["design"]["files"][0] | {"key": GONE}), "cannot be read"),
        (lambda m: m["tables"]["design"].update(files=m["tables"]["design"]["files"] * 2),
         "is named twice"),
        (lambda m: m["tables"]["design"].update(files=m["tables"]["staff"]["files"]),
         "is not under source/design/"),
    ],
    ids=["other number", "negative", "no object", "twice", "another table's"],
)  # fmt: skip
def test_a_manifest_that_misleads_is_refused(
    pipeline: Pipeline, lake: Bucket, change: Edit, message: str
) -> None:
    """A manifest that is well-formed and wrong stops at itself, and is named."""
    edit(lake, change)

    assert message in refusal(pipeline)


def test_a_damaged_quarantine_is_not_forgotten(pipeline: Pipeline, lake: Bucket) -> None:
    """Rows that wait are not lost with the object that holds them: the next batch waits too."""
    stars = pipeline.logs.processed.bucket
    pipeline.ingest({"payment": source_rows("payment", {"payment_date": "soon"})})
    invoke()
    key = str(pipeline.logs.processed.read(2).quarantine["payment"].file)
    good = stars.get(key)
    overwrite(stars, key, good[:-1])
    pipeline.ingest({"payment": source_rows("payment", {"payment_id": 2})})

    with pytest.raises(CorruptLogError, match=f"{key} is damaged"):
        invoke()
    overwrite(stars, key, good)
    assert invoke()["batches"] == [3]
    assert pipeline.held(pipeline.logs.processed.read(3), "payment") == [
        (1, 2, "payment_date 'soon' is not a date")
    ]
