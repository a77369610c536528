"""The views for BI tools show what the page shows, in a prepared warehouse and in a managed one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pg8000.native import identifier

import pipelines.totesys
from local.connection import connect
from pipelines.totesys.figures import FIGURES
from tests.pipeline.conftest import Functions
from tests.pipeline.test_page import make, page, texts
from tests.postgres_fixtures import Source, Warehouse

BI = Path(pipelines.totesys.__file__).parent / "bi"
SetUp = Callable[[Source, Warehouse], Functions]
FIRST = "(SELECT date_trunc('week', max(created_date))::date - 84 FROM {})"
# What stands in the tables of the page, asked of the views.
QUERIES = {
    "Sales by week": (
        "SELECT week::text, currency, sum(amount) FROM bi_sales"
        f" WHERE created_date >= {FIRST.format('bi_sales')} GROUP BY 1, 2 ORDER BY 1, 2"
    ),
    "Purchases by week": (
        "SELECT week::text, currency, sum(amount) FROM bi_purchases"
        f" WHERE created_date >= {FIRST.format('bi_purchases')} GROUP BY 1, 2 ORDER BY 1, 2"
    ),
    "Sales by country": (
        "SELECT country, count(*), sum(units) FROM bi_sales"
        f" WHERE created_date >= {FIRST.format('bi_sales')} GROUP BY 1 ORDER BY 3 DESC, 1"
    ),
    "Amounts due and overdue": (
        "SELECT payment_type, currency, sum(amount) FILTER (WHERE overdue),"
        " sum(amount) FILTER (WHERE NOT overdue) FROM bi_payments WHERE NOT paid"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    ),
}


def installed(functions: Functions, *files: str) -> dict[str, list[list[Any]]]:
    """Install views as the warehouse's owner does, and return what they answer."""
    with connect(functions.warehouse.superuser_url) as connection:
        connection.run(f"SET search_path = {identifier(functions.warehouse.schema)}")
        for name in files:
            for statement in (BI / name).read_text().split(";\n"):
                if statement.strip():
                    connection.run(statement)
        return {title: connection.run(sql) or [] for title, sql in QUERIES.items()}


def require_as_on_the_page(functions: Functions, found: dict[str, list[list[Any]]]) -> None:
    make(functions)
    html = page(functions)
    for title, rows in found.items():
        card = html.partition(f'<section class="card" aria-label="{title}">')[2]
        shown = texts(card.partition("<tbody>")[2].partition("</tbody>")[0])
        assert rows
        assert shown.replace(",", "") == texts(
            " ".join("–" if cell is None else str(cell) for row in rows for cell in row)
        ), title


@pytest.fixture(autouse=True)
def _stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "dev")


def test_views_of_a_prepared_warehouse_show_what_the_page_shows(functions: Functions) -> None:
    """Both files, run once by whoever owns the schema, are all that a BI tool needs."""
    functions.run()

    require_as_on_the_page(functions, installed(functions, "current.sql", "views.sql"))


def test_views_of_a_managed_warehouse_leave_out_what_was_deleted(
    functions_on: SetUp,
    new_source: Callable[[], Source],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The current states are there; the second file alone makes the views over them."""
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    functions = functions_on(new_source(), new_managed_warehouse())
    functions.run()
    with connect(functions.source.superuser_url) as connection:
        connection.run("SET session_replication_role = replica")
        connection.run("DELETE FROM sales_order WHERE sales_order_id % 10 = 1")
        connection.run("UPDATE purchase_order SET item_quantity = item_quantity + 1")
    functions.run()

    require_as_on_the_page(functions, installed(functions, "views.sql"))


def test_every_figure_of_the_page_is_a_view_s() -> None:
    """A figure that is added to the page is thought of here, too."""
    of_the_same_views = {"Sales by design", "Sales by currency", "Payments not made yet"}
    of_the_rates = {"Sales in pounds"}  # views of their own have these

    assert {figure.title for figure in FIGURES} <= {*QUERIES, *of_the_same_views, *of_the_rates}
