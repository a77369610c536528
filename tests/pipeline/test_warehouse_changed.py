"""A warehouse that somebody changed by hand, and what the markers say of it."""

from collections.abc import Callable

import pytest
from pg8000.native import identifier

from etl.loading import load as load_pipeline
from functions.common.errors import CorruptLogError
from functions.common.logs import MarkerLog
from functions.common.storage import Bucket
from functions.targets.postgres.session import PostgresTables
from functions.targets.postgres.tables import inspect
from functions.targets.standing import loaded_batch
from local.connection import connect
from tests.pipeline.conftest import Functions, forget_clients
from tests.pipeline.ground import run_sql
from tests.pipeline.oracle import RECORD_IDS, Rows, current, expected
from tests.pipeline.seven_batches import histories, load, settle
from tests.postgres_fixtures import Warehouse


@pytest.mark.parametrize("table", ["fact_sales_order", "dim_design", "dim_date"])
def test_one_table_that_was_created_again_is_filled_and_no_other(
    seven_batches: Functions, table: str
) -> None:
    """The batches that a table has are determined for each table."""
    settle(seven_batches)
    whole = histories(seven_batches.warehouse)
    others = {fact: ids(seven_batches.warehouse, fact) for fact in RECORD_IDS if fact != table}
    run_sql(
        seven_batches.warehouse.superuser_url,
        f"CREATE TABLE again (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"ALTER TABLE {table} RENAME TO former",
        f"ALTER TABLE again RENAME TO {table}",
        f"GRANT SELECT, INSERT, UPDATE ON {table} TO warehouse_loader",
    )

    settle(seven_batches)

    assert histories(seven_batches.warehouse) == whole
    assert {fact: ids(seven_batches.warehouse, fact) for fact in others} == others
    assert current(seven_batches.warehouse) == expected(seven_batches.source)


def ids(warehouse: Warehouse, fact: str) -> Rows:
    return run_sql(warehouse.superuser_url, f"SELECT {RECORD_IDS[fact]} FROM {fact} ORDER BY 1")


def test_a_record_removed_by_hand_repeats_no_history(seven_batches: Functions) -> None:
    """Only the batch whose last record is gone is applied again."""
    settle(seven_batches)
    whole = histories(seven_batches.warehouse)
    newest = "(SELECT max(sales_record_id) FROM fact_sales_order)"
    run_sql(
        seven_batches.warehouse.superuser_url,
        f"DELETE FROM fact_sales_order WHERE sales_record_id = {newest}",
    )

    settle(seven_batches)

    by_order = {
        fact: sorted(map(str, rows)) for fact, rows in histories(seven_batches.warehouse).items()
    }
    assert by_order == {fact: sorted(map(str, rows)) for fact, rows in whole.items()}


def test_a_widened_type_is_not_taken_for_another_history(seven_batches: Functions) -> None:
    """A column that may hold more leaves the warehouse the same."""
    settle(seven_batches)
    before = {fact: len(rows) for fact, rows in histories(seven_batches.warehouse).items()}
    run_sql(
        seven_batches.warehouse.superuser_url,
        "ALTER TABLE fact_sales_order ALTER unit_price TYPE numeric(14, 4)",
        "ALTER TABLE fact_sales_order ALTER units_sold TYPE bigint",
        "ALTER TABLE fact_sales_order ADD COLUMN note text",
    )

    settle(seven_batches)

    assert {fact: len(rows) for fact, rows in histories(seven_batches.warehouse).items()} == before


def test_the_commit_before_a_marker_is_synchronous_whatever_the_default(
    seven_batches: Functions,
) -> None:
    """A server that answers before a commit is on its disk does not do so to the loader."""
    name = identifier(seven_batches.warehouse.database)
    run_sql(
        seven_batches.warehouse.superuser_url,
        f"ALTER DATABASE {name} SET synchronous_commit = 'off'",
        "CREATE TABLE setting (value text)",
        "GRANT INSERT ON setting TO PUBLIC",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO"
        " public.setting VALUES (current_setting('synchronous_commit')); RETURN NULL; END$$",
        "CREATE TRIGGER note AFTER INSERT ON fact_payment EXECUTE FUNCTION note()",
    )

    load(seven_batches, 1)

    settings = "SELECT DISTINCT value FROM setting"
    assert run_sql(seven_batches.warehouse.superuser_url, settings) == [["on"]]


def test_the_newest_batch_of_a_warehouse_is_known_without_writing(
    seven_batches: Functions, new_warehouse: Callable[[], Warehouse]
) -> None:
    """A comparison with the source knows up to which batch the warehouse is complete."""
    load(seven_batches, 2)
    lake, empty = Bucket(seven_batches.s3, seven_batches.processed), new_warehouse()

    assert [newest_batch(seven_batches.warehouse, lake), newest_batch(empty, lake)] == [2, 0]
    assert len(seven_batches.keys(seven_batches.processed, "loaded/source/")) == 2


def newest_batch(warehouse: Warehouse, lake: Bucket) -> int:
    with connect(warehouse.loader_url) as connection:
        pipeline = load_pipeline("totesys")
        declared = [mapping.target for mapping in pipeline.mappings("source")]
        layout = inspect(connection, "public", pipeline.targets[0], declared)
        return loaded_batch(PostgresTables(connection, layout), MarkerLog(lake, "source"))


def test_batches_that_are_gone_are_not_taken_for_loaded(seven_batches: Functions) -> None:
    """Where only the batches were removed, load says so, and what to do."""
    load(seven_batches, 2)
    for key in seven_batches.keys(seven_batches.processed, "batches/source/"):
        seven_batches.s3.delete_object(Bucket=seven_batches.processed, Key=key)
    forget_clients()

    with pytest.raises(
        CorruptLogError, match="batch 2 is marked as loaded, and the newest in s3://"
    ):
        seven_batches.load()
