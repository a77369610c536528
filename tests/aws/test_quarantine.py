"""Rows in quarantine: which, why, and when they are released."""

import pyarrow as pa

from functions.common.manifests import Balance
from tests.aws.transform_pipeline import Pipeline, one_of_each
from tests.source_rows import source_rows


def test_a_bad_row_is_held_and_the_others_go_on(pipeline: Pipeline) -> None:
    """A row that cannot be in the warehouse is kept with its reason and its original values."""
    bad = {"sales_order_id": 2, "agreed_delivery_date": "2023-02-30"}
    orders = source_rows("sales_order", {}, bad, {"sales_order_id": 3})
    pipeline.ingest(one_of_each(sales_order=orders))
    done = pipeline.transform()
    assert [row["sales_order_id"] for row in pipeline.rows(done, "fact_sales_order")] == [1, 3]
    assert done.balance["sales_order"] == Balance(taken=3, released=0, out=2, quarantined=1)
    entry = done.quarantine["sales_order"]
    assert (entry.file, entry.rows) == (
        "quarantine/source/sales_order/2024-03-01/0000000001-0000000000001.parquet",
        1,
    )
    [original] = source_rows("sales_order", bad).to_pylist()
    reason = "agreed_delivery_date '2023-02-30' is not a date"
    assert pipeline.stored(str(entry.file)) == [
        original | {"_batch": 1, "_reason": reason, "_target": "fact_sales_order"}
    ]


def test_a_corrected_row_arrives_by_itself(pipeline: Pipeline) -> None:
    """A row that is corrected in the source leaves the quarantine and goes to the star."""
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
    """Rows that depend on a held row over two steps wait too, and arrive once it is corrected."""
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
    assert written == ["quarantine/source/payment/2024-03-01/0000000001-0000000000001.parquet"]


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
    assert file.key == "tombstones/fact_payment/2024-03-01/0000000002-0000000000001.parquet"
    assert pipeline.stored(file.key) == [{"payment_id": 1}]


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
    rows = pipeline.stored(str(done.quarantine["payment"].file))
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
