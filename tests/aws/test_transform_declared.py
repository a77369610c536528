"""Transform of pipelines with any keys, joins and mappings, over the life of their declarations."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from etl import (
    Integer,
    Numeric,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    Table,
    Text,
    latest,
)
from functions.common.errors import PipelineCodeError
from functions.common.logs import Logs
from functions.common.manifests import Balance
from functions.common.storage import Bucket
from functions.transform import handler as transform
from functions.transform.sweep import sweep_all
from tests.aws.declared_lake import (
    AT,
    Lake,
    customer,
    customers,
    declared,
    dim_staff,
    everyone,
    fact_line,
    line,
    order,
    staff,
)


@pytest.fixture
def new_lake(moto_s3: Any) -> Callable[[str], Lake]:
    def make(source: str) -> Lake:
        def bucket(side: str) -> Bucket:
            moto_s3.create_bucket(
                Bucket=f"{source}-{side}",
                CreateBucketConfiguration={"LocationConstraint": "eu-west-2"},
            )
            return Bucket(moto_s3, f"{source}-{side}")

        return Lake(Logs.of(bucket("ingestion"), bucket("processed"), source))

    return make


@pytest.fixture
def lake(new_lake: Callable[[str], Lake]) -> Lake:
    return new_lake("shop")


ANN = {"id": "a-1", "name": "Ann"}
ORDER = {"id": "O,1", "customer_id": "a-1"}
LINE = {"order_id": "O,1", "number": 1, "maker": "M", "code": 7, "price": "1.50"}
PRODUCT = {"maker": "M", "code": 7, "name": "Lamp"}


def test_rows_of_any_keys_become_target_rows(lake: Lake) -> None:
    """Text, UUID and composite keys, odd names and schemas go through, accounted for."""
    lake.ingest(customer=[ANN], order=[ORDER], line=[LINE], product=[PRODUCT])
    done = lake.transform()
    assert {name: table.rows for name, table in done.tables.items() if table.rows} == {
        "customers": 1, "orders": 1, "fact_line": 1,
    }  # fmt: skip
    [[row]] = lake.rows(done, fact_line)
    assert (row["order_id"], row["number"], row["product"]) == ("O,1", 1, "Lamp")
    assert done.balance["Kunde%25"] == Balance(1, 0, 1, 0)
    assert (done.quarantine, done.absent) == ({}, {})


def test_deleted_keys_go_by_the_target_s_names(lake: Lake) -> None:
    """Tombstones have every column of the key, as the target has it, or are of no use to it."""
    lake.ingest(deleted={line: [LINE, LINE | {"number": 3_000_000_000}], customer: [ANN]})
    done = lake.transform()
    [file] = done.tables["fact_line"].tombstones
    assert lake.stored(file.key) == [{"order_id": "O,1", "number": 1}]
    [file] = done.tables["customers"].tombstones
    assert lake.stored(file.key) == [{"id": "a-1"}]


def test_rows_wait_for_parents_of_any_key_through_levels(lake: Lake) -> None:
    """A line waits for its order, which waits for its customer; all are released together."""
    lake.ingest(customer=[ANN | {"name": None}], order=[ORDER], line=[LINE], product=[PRODUCT])
    first = lake.transform()
    assert lake.held(first, order) == [("O,1", 1, "orders", "waits for customer a-1")]
    assert lake.held(first, line) == [("O,1", 1, 1, "fact_line", "waits for order O,1")]
    assert first.absent == {"Kunde%25": ["a-1"], "order": ["O,1"]}
    lake.ingest(customer=[ANN])
    second = lake.transform()
    assert (second.quarantine, second.absent) == ({}, {})
    [[row]] = lake.rows(second, fact_line)
    assert (row["order_id"], row["product"]) == ("O,1", "Lamp")
    assert second.balance["line"] == Balance(taken=0, released=1, out=1, quarantined=0)


def test_a_parent_that_the_source_lacks_is_waited_for(lake: Lake) -> None:
    """A row whose parent is nowhere waits until the parent comes."""
    lake.ingest(order=[ORDER], missing={"Kunde%25": ["a-1"]})
    assert lake.held(lake.transform(), order) == [("O,1", 1, "orders", "waits for customer a-1")]
    lake.ingest(customer=[ANN])
    assert lake.transform().quarantine == {}


def test_a_row_may_join_nothing_and_not_something_unknown(lake: Lake) -> None:
    """A NULL reference has no partner; one to a row that is not there is a fault of the row."""
    plain = LINE | {"number": 2, "maker": None, "code": None}
    lake.ingest(line=[LINE, plain])
    done = lake.transform()
    assert lake.held(done, line) == [("O,1", 1, 1, "fact_line", "product M, 7 is missing")]
    assert [[row["product"] for row in part] for part in lake.rows(done, fact_line)] == [[None]]


def test_rows_that_only_join_in_are_not_remodelled(lake: Lake) -> None:
    """A partner beside the changed rows is used, and neither written nor looked at for itself."""
    boss = {"id": 1, "name": "Bea", "boss_id": 99}
    lake.ingest(staff=[{"id": 2, "name": "Cy", "boss_id": 1}], partners={staff: [boss]})
    done = lake.transform()
    assert lake.rows(done, dim_staff) == [[{"id": 2, "name": "Cy", "boss": "Bea"}]]
    assert done.quarantine == {}


def test_a_row_may_be_fit_for_one_target_and_not_for_another(lake: Lake) -> None:
    """Each target table has its own quarantine of a source table's rows, and its own account."""
    lake.ingest(staff=[{"id": 2, "name": "Cy", "boss_id": 1}])
    first = lake.transform()
    assert lake.rows(first, everyone) == [[{"id": 2, "name": "Cy", "boss_id": 1}]]
    assert lake.held(first, staff) == [(2, 1, "dim_staff", "boss 1 is missing")]
    assert first.balance["staff"] == Balance(taken=2, released=0, out=1, quarantined=1)
    lake.ingest(staff=[{"id": 3, "name": None}])
    second = lake.transform()
    assert lake.held(second, staff) == [
        (2, 1, "dim_staff", "boss 1 is missing"),
        (3, 2, "dim_staff", "has no name"),
        (3, 2, "everyone", "has no name"),
    ]
    lake.ingest(design=[])
    assert lake.transform().quarantine == second.quarantine
    lake.ingest(deleted={staff: [{"id": 2}, {"id": 3}]})
    assert lake.transform().quarantine == {}


def test_a_new_target_table_gets_all_rows_so_far(lake: Lake) -> None:
    """Every state in the log is in it, in order, and no other table is written again."""
    lake.pipeline = declared(everyone)
    for number in range(1, 51):
        lake.ingest(staff=[{"id": number % 5, "name": f"name {number}"}])
    lake.transform()
    lake.pipeline = declared(everyone, dim_staff)
    lake.ingest()
    done = lake.transform()
    assert done.batch == 51
    filled = done.tables["dim_staff"]
    assert (filled.filled, filled.rows) == (True, 50)
    assert lake.rows(done, dim_staff) == [
        [{"id": number % 5, "name": f"name {number}", "boss": None} for number in range(1, 51)]
    ]
    assert done.tables["everyone"].files == []
    lake.ingest(staff=[{"id": 1, "name": "last"}])
    after = lake.transform().tables["dim_staff"]
    assert (after.filled, after.rows) == (False, 1)


def test_filling_ends_where_the_batches_would_have_led(lake: Lake) -> None:
    """Rows that were unfit, corrected or deleted in between end as if it had been there always."""
    lake.pipeline = declared(everyone)
    lake.ingest(staff=[{"id": 1, "name": None}, {"id": 2, "name": None}, {"id": 3, "name": "C"}])
    lake.ingest(staff=[{"id": 1, "name": "A"}])
    lake.ingest(deleted={staff: [{"id": 3}, {"id": 4}, {"id": 2}]})
    lake.ingest(staff=[{"id": 4, "name": "D"}, {"id": 5, "name": "E", "boss_id": 9}])
    lake.transform()
    lake.pipeline = declared(everyone, dim_staff)
    lake.ingest()
    done = lake.transform()
    assert [[row["id"] for row in part] for part in lake.rows(done, dim_staff)] == [[3, 1, 4]]
    assert lake.held(done, staff) == [(5, 4, "dim_staff", "boss 9 is missing")]
    [gone] = done.tables["dim_staff"].tombstones
    assert lake.stored(gone.key) == [{"id": 3}, {"id": 2}]


def test_a_table_that_is_declared_later_is_read_where_it_begins(lake: Lake) -> None:
    """Batches that do not know a table have no rows of it, and are read all the same."""
    lake.pipeline = declared(customers)
    for _ in range(3):
        lake.ingest(customer=[ANN], tables=[customer])
    lake.transform()
    lake.pipeline = declared(customers, everyone)
    lake.ingest(staff=[{"id": 1, "name": "A"}])
    done = lake.transform()
    assert (done.tables["everyone"].filled, lake.rows(done, everyone)) == (
        True,
        [[{"id": 1, "name": "A", "boss_id": None}]],
    )
    assert done.tables["customers"].files == []


def test_older_rows_may_lack_a_column_that_is_declared_now(lake: Lake) -> None:
    """A column that such a row lacks is NULL where that is allowed, else the row waits."""
    lake.pipeline = declared(customers)
    lake.ingest(staff=[{"id": 1, "name": "A"}], customer=[ANN])
    lake.transform()
    columns = {**staff.columns, "pay": Numeric(6, 2, nullable=True), "team": Text()}
    grown = Table("staff", key="id", columns={**columns, "boss_id": Integer(nullable=True)})
    lake.pipeline = Pipeline(
        sources=[Postgres("shop", (customer, grown))],
        targets=[PostgresWarehouse("warehouse", (customers, latest(grown)))],
    )
    lake.ingest(tables=[customer])
    assert lake.held(lake.transform(), grown) == [(1, 1, "staff", "has no team")]


def test_a_target_table_that_is_not_declared_any_more_is_left_out(lake: Lake) -> None:
    """Its rows are not made, and what was open for it is forgotten."""
    lake.ingest(staff=[{"id": 2, "name": "Cy", "boss_id": 1}])
    lake.transform()
    lake.pipeline = declared(customers, everyone)
    lake.ingest(customer=[ANN], staff=[{"id": 1, "name": "Bea"}])
    done = lake.transform()
    assert (sorted(done.tables), done.quarantine) == (["customers", "everyone"], {})


def test_what_only_joins_in_is_never_swept(lake: Lake) -> None:
    """Rows that a release or a new target table may need again stay as long as their batch."""
    boss = {"id": 1, "name": "Bea"}
    lake.ingest(staff=[{"id": 2, "name": "Cy", "boss_id": 1}], partners={staff: [boss]})
    lake.ingest(at=AT + timedelta(days=9))
    lake.transform()
    assert sweep_all(lake.pipeline, lake.logs, AT.date() + timedelta(days=30), lambda: True) == 0
    [file] = lake.logs.ingested.read(1).tables["staff"].partners
    assert lake.logs.ingested.bucket.get(file.key)


def test_a_function_that_fails_stops_its_source_with_a_clear_error(lake: Lake) -> None:
    """No batch is claimed without the rows of all target tables."""
    broken = latest(key="id", name="broken")(lambda staff: staff[["name"]])
    lake.pipeline = declared(everyone, broken)
    lake.ingest(staff=[{"id": 1, "name": "A"}])
    with pytest.raises(
        PipelineCodeError, match="target table broken: its function returned no colu"
    ):
        lake.transform()
    assert lake.logs.processed.newest() == 0


def test_a_source_that_fails_does_not_stop_the_others(
    moto_s3: Any, new_lake: Callable[[str], Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every source is processed; then the first error is raised."""
    shop = new_lake("shop")
    broken = latest(key="id", name="broken")(lambda staff: staff[["name"]])
    depot = Table("depot", key="id", columns={"id": Integer()})
    pipeline = Pipeline(
        sources=[Postgres("shop", (staff,)), Postgres("depot", (depot,))],
        targets=[PostgresWarehouse("warehouse", (broken, latest(depot)))],
    )
    buckets = (shop.logs.ingested.bucket, shop.logs.processed.bucket)
    second = Lake(Logs.of(*buckets, "depot"), pipeline)
    shop.ingest(staff=[{"id": 1, "name": "A"}], tables=[staff])
    second.ingest(depot=[{"id": 1}], tables=[depot])
    monkeypatch.setenv("INGESTION_BUCKET", buckets[0].name)
    monkeypatch.setenv("PROCESSED_BUCKET", buckets[1].name)
    monkeypatch.setattr(transform, "_pipeline", lambda: pipeline)
    transform._logs.cache_clear()
    context: Any = SimpleNamespace(
        function_name="transform",
        memory_limit_in_mb=1769,
        invoked_function_arn="arn:aws:lambda:eu-west-2:123456789012:function:transform",
        aws_request_id="e6b1f1b0-0000-0000-0000-000000000000",
        get_remaining_time_in_millis=lambda: 600_000,
    )
    with pytest.raises(PipelineCodeError):
        transform.handler({}, context)
    transform._logs.cache_clear()
    assert (shop.logs.processed.newest(), second.logs.processed.newest()) == (0, 1)
    assert second.logs.processed.read(1).tables["depot"].rows == 1
