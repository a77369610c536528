"""The page of a pipeline, made from its logs and its warehouse: what it says, and when."""

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import boto3
import pytest

from deployer.configuration.databases import parse_database_url
from etl import Figure
from functions.page import asking
from functions.page import handler as page_handler
from functions.page.storing import KEY
from local.connection import connect
from pipelines.totesys.figures import FIGURES
from tests.pipeline.conftest import Context, Functions
from tests.postgres_fixtures import Source, Warehouse

SetUp = Callable[[Source, Warehouse], Functions]


@pytest.fixture(autouse=True)
def _stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "dev")


def make(functions: Functions, event: dict[str, Any] | None = None) -> dict[str, Any]:
    context: Any = Context("page")
    made: dict[str, Any] = page_handler.handler({"now": True} if event is None else event, context)
    return made


def page(functions: Functions) -> str:
    return functions.body(functions.processed, KEY).decode()


def texts(html: str) -> str:
    """Return the text of a page, its cells apart from each other."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def alter(url: str, *statements: str) -> None:
    with connect(url) as connection:
        for statement in statements:
            connection.run(statement)


def test_the_page_says_how_the_pipeline_is_doing(functions: Functions) -> None:
    """Freshness, tables, figures and batches stand on it, as they are in the warehouse."""
    functions.run()

    made = make(functions)

    html = page(functions)
    said = texts(html)
    assert made["made"] is True
    assert made["bytes"] == len(html.encode())
    with connect(functions.warehouse.superuser_url) as connection:
        for table in ("fact_sales_order", "dim_staff", "dim_date"):
            [[rows]] = connection.run(f"SELECT count(*) FROM {table}")
            assert f"{table} {rows:,}" in said
    for title in ("Freshness", "Sales by week", "Sales by country", "Newest batches of source"):
        assert f"<bdi>{title}</bdi>" in html or title in said
    assert "Not shown" not in said
    assert "Nothing is put aside." in said
    assert "Sales in pounds" not in said  # without rates


def test_what_the_page_says_to_a_browser(functions: Functions) -> None:
    """It is HTML, and asked for again each time; others' caches have nothing of it."""
    functions.run()
    make(functions)

    found = functions.s3.head_object(Bucket=functions.processed, Key=KEY)

    assert (found["ContentType"], found["CacheControl"]) == ("text/html; charset=utf-8", "no-cache")


def test_rows_that_are_put_aside_are_counted_by_reason_without_values(
    functions: Functions,
) -> None:
    """Table, reason and count are on the page, and nothing of what was in the rows."""
    alter(
        functions.source.superuser_url,
        "UPDATE sales_order SET agreed_delivery_date = 's3cret' WHERE sales_order_id < 4",
    )
    alter(
        functions.warehouse.superuser_url,
        f"SET search_path = '{functions.warehouse.schema}'",
        "ALTER TABLE dim_design ADD CHECK (design_id <> 1)",
    )

    functions.run()
    make(functions)

    said = texts(page(functions))
    assert "sales_order agreed_delivery_date is not a date 3" in said
    assert "dim_design a check constraint does not hold [23514]" in said
    assert "s3cret" not in page(functions)


def test_names_of_a_prepared_warehouse_are_followed(functions: Functions) -> None:
    """Every figure works where tables, columns and record ids have other names."""
    alter(
        functions.warehouse.superuser_url,
        f"SET search_path = '{functions.warehouse.schema}'",
        "ALTER TABLE fact_purchase_order RENAME TO fact_purchase_orders",
        "ALTER TABLE fact_payment RENAME last_updated_time TO last_updated",
        "ALTER TABLE fact_sales_order RENAME sales_record_id TO id",
    )
    functions.run()

    make(functions)

    assert "Not shown" not in texts(page(functions))
    assert "fact_purchase_order " in texts(page(functions))


def test_figures_show_the_newest_records_without_deleted_ones(
    functions_on: SetUp,
    new_source: Callable[[], Source],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An order that was changed counts once, as it is now, and one that was deleted never."""
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    functions = functions_on(new_source(), new_managed_warehouse())
    functions.run()
    with connect(functions.source.superuser_url) as connection:
        connection.run("SET session_replication_role = replica")
        connection.run("UPDATE sales_order SET units_sold = 2000000 WHERE sales_order_id = 2")
        connection.run("DELETE FROM sales_order WHERE sales_order_id = 1")
        [[orders, units]] = connection.run(
            "SELECT count(*), sum(units_sold) FROM sales_order WHERE created_at >="
            " (SELECT date_trunc('week', max(created_at)) FROM sales_order) - interval '84 days'"
        )
    functions.run()

    make(functions)

    [table] = re.findall(r'aria-label="Sales by currency">.*?</section>', page(functions))
    rows = re.findall(r"<tr>(.*?)</tr>", table)[1:]
    cells = [[texts(cell) for cell in re.findall(r"<td.*?</td>", row)] for row in rows]
    assert sum(int(row[1].replace(",", "")) for row in cells) == orders
    assert sum(int(row[2].replace(",", "")) for row in cells) == units


def test_the_page_is_made_when_there_is_news_and_once_a_minute(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without news it stays; of the markers of a minute, the first has it made."""
    functions.run()
    assert make(functions, {})["made"] is True
    assert make(functions, {"Records": []}) == {"made": False}

    alter(functions.source.superuser_url, "UPDATE staff SET first_name = 'Ann' WHERE staff_id = 1")
    functions.run()
    assert make(functions, {"Records": []}) == {"made": False}  # the last one is seconds old

    monkeypatch.setattr(page_handler, "AT_MOST_EVERY", page_handler.AT_MOST_EVERY * 0)
    assert make(functions, {})["made"] is True
    assert make(functions, {}) == {"made": False}


def test_a_page_is_made_while_the_warehouse_is_away(functions: Functions) -> None:
    """It says so, and shows everything else: that is when somebody looks at it."""
    functions.run()
    secrets = boto3.client("secretsmanager")
    name = functions.processed.replace("-processed", "/warehouse")
    address = parse_database_url(functions.warehouse.loader_url).secret() | {"port": 1}
    secrets.put_secret_value(SecretId=name, SecretString=json.dumps(address))

    assert make(functions)["made"] is True

    said = texts(page(functions))
    assert "cannot be reached" in said
    assert said.count("Not shown: the warehouse could not be asked") == len(FIGURES)
    assert "Newest batches of source" in said


def test_a_page_is_made_of_a_damaged_log(functions: Functions) -> None:
    """A source whose log cannot be read is named with the reason; the tables are there still."""
    functions.run()
    functions.s3.delete_object(Bucket=functions.ingestion, Key="batches/source/0000000001.json")
    functions.s3.put_object(
        Bucket=functions.ingestion, Key="batches/source/0000000001.json", Body=b"{"
    )

    assert make(functions)["made"] is True

    said = texts(page(functions))
    assert "source : s3://" in said
    assert "is not a manifest" in said
    assert "Tables of warehouse" in said


def test_a_page_before_the_first_batch_says_that_there_is_none(functions: Functions) -> None:
    """A pipeline that was just deployed has a page, which is of no use and fails in nothing."""
    make(functions)

    said = texts(page(functions))
    assert "source none is loaded" in said
    assert "Not shown" not in said
    assert "No rows." in said


def test_a_figure_that_takes_too_long_is_cut_off(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends it, the page says which one it was, and the next ones are shown."""
    functions.run()
    figures = page_handler._lake().pipeline.figures
    monkeypatch.setattr(asking, "SECONDS", 2.0)
    slow = Figure("Slow", "SELECT 1 AS one FROM pg_sleep(30)")
    monkeypatch.setattr(page_handler._lake().pipeline, "figures", (slow, figures[2]))

    assert make(functions)["seconds"] < 10

    said = texts(page(functions))
    assert "Slow Not shown:" in said
    assert "statement timeout" in said
    assert said.count("Not shown") == 1


def test_figures_that_would_make_the_page_late_are_left_out(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some seconds no figure is begun, and each says why it is not there."""
    functions.run()
    monkeypatch.setattr(asking, "BEGIN_SECONDS", -1.0)

    make(functions)

    said = texts(page(functions))
    assert said.count("Not shown: the figures before it took") == len(FIGURES)
    assert "dim_staff 20" in said


def test_an_optional_figure_is_left_out_without_rows_and_without_its_table(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stands where it would be; one that is not optional says why it is not there."""
    functions.run()
    alter(functions.warehouse.superuser_url, "DROP TABLE dim_sales_target")
    missing = "SELECT 1 AS one FROM current_none"
    monkeypatch.setattr(
        page_handler._lake().pipeline,
        "figures",
        (
            Figure("Empty", "SELECT staff_id FROM dim_staff WHERE false", optional=True),
            Figure("Targets", "SELECT staff_id FROM dim_sales_target", optional=True),
            Figure("Wrong", missing, optional=True),
        ),
    )

    make(functions)

    said = texts(page(functions))
    assert "Empty" not in said
    assert "Targets" not in said
    assert "Wrong Not shown:" in said
