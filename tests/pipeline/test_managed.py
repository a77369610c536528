"""A warehouse that is ours: what is missing is made, whatever is there is left as it is."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployer.configuration.databases import DatabaseAddress
from etl import PostgresWarehouse
from functions.common.errors import SettingsError, WarehouseSetupError
from local import command, target_tables
from local.connection import connect, session
from local.target_tables import ViewRow
from tests.pipeline.conftest import Functions
from tests.pipeline.local_process import local
from tests.pipeline.managed_warehouse import (
    OF_RATES,
    VIEWS,
    change,
    deleted,
    query,
    source_facts,
    views,
)
from tests.pipeline.oracle import current, expected, records
from tests.postgres_fixtures import Source, Warehouse

SetUp = Callable[[Source, Warehouse], Functions]

OF_FILES = "dim_sales_target"  # which a database has no rows for


def objects(warehouse: Warehouse) -> list[list[Any]]:
    """Return all tables and views of the schema, by their ids, with owner and comment."""
    return query(
        warehouse,
        "SELECT relname::text, oid::int, relowner::regrole::text, obj_description(oid, 'pg_class')"
        f" FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace = '{warehouse.schema}'"
        "::regnamespace ORDER BY 1",
    )


def test_an_empty_schema_gets_the_whole_star(managed: Functions) -> None:
    """Tables, views and the table of deletions are made by the first run, with or without rows."""
    assert managed.load()["batches"] == []
    made = objects(managed.warehouse)
    managed.run()

    ours = ["deleted_rows", "loaded_batches"]
    assert [name for name, *_ in made] == sorted(
        [*current(managed.warehouse), OF_FILES, *VIEWS, *OF_RATES, *ours]
    )
    assert {owner for _, _, owner, _ in made} == {"warehouse_loader"}
    assert current(managed.warehouse) == expected(managed.source)
    assert views(managed.warehouse) == source_facts(managed.source)
    assert deleted(managed.warehouse) == []


def test_a_star_that_is_complete_is_left_as_it_is(managed: Functions) -> None:
    """Further runs create nothing, and recreate nothing."""
    managed.run()
    made = objects(managed.warehouse)

    managed.load()

    assert objects(managed.warehouse) == made


def test_a_prepared_warehouse_gets_nothing(functions: Functions) -> None:
    """Without the setting there are the star tables as before, and no view or table of ours."""
    functions.run()

    assert [name for name, *_ in objects(functions.warehouse)] == sorted(
        [*current(functions.warehouse), OF_FILES, OF_RATES[0]]
    )


def test_what_was_dropped_is_made_and_filled_again(managed: Functions) -> None:
    """A view, or a table with all that depends on it, is back with its rows after the next run."""
    managed.run()

    query(managed.warehouse, "DROP VIEW current_payment")
    managed.load()
    assert views(managed.warehouse) == source_facts(managed.source)

    query(managed.warehouse, "DROP TABLE fact_payment, dim_payment_type CASCADE")
    assert managed.load()["batches"] == [1]
    assert current(managed.warehouse) == expected(managed.source)
    assert views(managed.warehouse) == source_facts(managed.source)


def test_the_names_of_the_installation_are_followed(managed: Functions) -> None:
    """A table under its other name is no missing one, and its view shows all columns it has."""
    managed.run()
    query(managed.warehouse, "ALTER TABLE fact_purchase_order RENAME TO fact_purchase_orders")
    query(managed.warehouse, "ALTER TABLE fact_payment RENAME last_updated_time TO last_updated")
    query(managed.warehouse, "ALTER TABLE fact_payment ADD note text DEFAULT 'none'")
    change(managed.source, "DELETE FROM purchase_order WHERE purchase_order_id = 1")

    managed.run()

    names = [name for name, *_ in objects(managed.warehouse)]
    assert ("fact_purchase_orders" in names, "fact_purchase_order" in names) == (True, False)
    [first, *_] = views(managed.warehouse)["fact_purchase_order"]
    assert first[0] == 2
    assert query(managed.warehouse, "SELECT last_updated IS NULL, note FROM current_payment"
                 " WHERE payment_id = 1") == [[False, "none"]]  # fmt: skip


def test_who_may_read_a_view_still_may_when_it_is_recreated(managed: Functions) -> None:
    """A new column of the fact comes into the view, and no grant is lost."""
    managed.run()
    query(managed.warehouse, "GRANT SELECT ON current_payment TO source_writer")
    query(managed.warehouse, "ALTER TABLE fact_payment ADD note text")

    managed.load()

    assert query(
        managed.warehouse,
        "SELECT has_table_privilege('source_writer', 'current_payment', 'SELECT'), count(note)"
        " FROM current_payment",
    ) == [[True, 0]]


def test_a_table_that_was_put_aside_is_not_shown(managed: Functions) -> None:
    """A view shows the table that has the name now, not the one that had it once."""
    managed.run()
    query(managed.warehouse, "ALTER TABLE fact_payment RENAME TO fact_payment_of_last_year")
    change(managed.source, "DELETE FROM payment WHERE payment_id <= 5")

    managed.run()

    assert views(managed.warehouse) == source_facts(managed.source)


@pytest.mark.parametrize("schema", ["stars", "we\"ird :schema; --'"])
def test_a_schema_of_any_name_is_shaped(
    functions_on: SetUp,
    new_source: Callable[[], Source],
    new_managed_warehouse: Callable[[str], Warehouse],
    manage: Callable[[], None],
    schema: str,
) -> None:
    """Whatever the schema is called, everything is made in it, and nothing elsewhere."""
    functions = functions_on(new_source(), new_managed_warehouse(schema))
    manage()
    functions.run()
    change(functions.source, "DELETE FROM payment WHERE payment_id = 1")
    functions.run()

    assert views(functions.warehouse) == source_facts(functions.source)
    assert query(functions.warehouse, "SELECT count(*), count(DISTINCT relnamespace) FROM pg_class"
                 " WHERE relowner = 'warehouse_loader'::regrole"
                 " AND relkind IN ('r', 'v')") == [[24, 1]]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "grant"),
    [
        ("public", 'USAGE, CREATE ON SCHEMA "public" TO "warehouse_loader"'),
        ("not there", 'CREATE ON DATABASE "{}" TO "warehouse_loader"'),
    ],
)
def test_a_role_that_may_not_create_reads_what_to_ask_for(
    managed: Functions, monkeypatch: pytest.MonkeyPatch, manage: Callable[[], None],
    schema: str, grant: str,
) -> None:  # fmt: skip
    """Nothing is made, the GRANT that is lacking is in the message, and with it all is well."""
    query(managed.warehouse, "ALTER SCHEMA public OWNER TO CURRENT_USER")
    monkeypatch.setenv("WAREHOUSE_SCHEMA", schema)
    manage()

    with pytest.raises(WarehouseSetupError) as caught:
        managed.load()

    found = re.search("GRANT (.*), or set WAREHOUSE_MANAGED=false", str(caught.value))
    assert found is not None
    assert found[1] == grant.format(managed.warehouse.database)
    assert objects(managed.warehouse) == []
    with connect(managed.warehouse.superuser_url) as connection:
        connection.run(f"GRANT {found[1]}")
        managed.run()
        shown = connection.run(f'SELECT count(*) FROM "{schema}".current_payment')
    assert shown == [[len(source_facts(managed.source)["fact_payment"])]]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE TABLE deleted_rows (business_id int)", "table deleted_rows in schema public"),
        ("CREATE VIEW current_payment AS SELECT 1 AS one", "current_payment in schema public"),
        ("CREATE TABLE current_payment (mine int)", "current_payment in schema public"),
    ],
)
def test_what_is_somebody_else_s_is_left_alone(managed: Functions, sql: str, message: str) -> None:
    """A table or view of another's under our name is never touched: the run says to rename it."""
    query(managed.warehouse, sql)
    before = objects(managed.warehouse)

    with pytest.raises(WarehouseSetupError, match=f"^.*{message}.*rename it"):
        managed.load()

    assert [entry for entry in objects(managed.warehouse) if entry in before] == before


def test_a_table_of_another_s_is_no_matter_for_a_prepared_warehouse(functions: Functions) -> None:
    """Without the setting, a table that happens to be called deleted_rows is not looked at."""
    query(functions.warehouse, "CREATE TABLE deleted_rows (id int)")
    functions.run()
    change(functions.source, "DELETE FROM payment WHERE payment_id = 1")

    functions.run()

    assert query(functions.warehouse, "SELECT * FROM deleted_rows") == []
    assert records(functions.warehouse)["fact_payment"] > 0


def test_the_local_sandbox_shows_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`local --managed` starts from an empty schema, and shows a deleted order in its views."""
    settings: list[str] = []
    ids: dict[str, int] = {}

    def view_rows(
        warehouse: DatabaseAddress, target: PostgresWarehouse, schema: str
    ) -> list[ViewRow]:
        settings.extend((folder / "env").read_text().splitlines())
        with session(warehouse) as connection:
            for view, fact in VIEWS.items():
                key = fact.removeprefix("fact_") + "_id"
                [[ids[view]]] = connection.run(f"SELECT count(DISTINCT {key}) FROM {fact}")
        return target_tables.view_rows(warehouse, target, schema)

    monkeypatch.setattr(command, "view_rows", view_rows)

    status = local("--managed", "--once", "--scale=0.02", "--dir", folder)

    out, err = capsys.readouterr()
    assert status == 0, err
    assert "export WAREHOUSE_MANAGED=true" in settings  # another terminal deploys the same
    shown = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith("current_"))
    assert {view: [int(cell) for cell in shown[view].split()] for view in VIEWS} == {
        "current_sales_order": [ids["current_sales_order"] - 1, 1],
        "current_purchase_order": [ids["current_purchase_order"], 0],
        "current_payment": [ids["current_payment"] - 1, 1],
    }


def test_a_setting_that_is_neither_true_nor_false_stops_the_load(
    managed: Functions, manage: Callable[[str], None]
) -> None:
    """A function whose setting was damaged by hand says which it is, and does nothing."""
    manage("yes")

    with pytest.raises(SettingsError, match="WAREHOUSE_MANAGED of this function is neither true"):
        managed.load()
    assert objects(managed.warehouse) == []
