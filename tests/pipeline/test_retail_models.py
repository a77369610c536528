"""The three analyses of retail, as PostgreSQL computes them and as plain Python does, apart."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any

import pandas as pd
import pg8000.native
import pyarrow as pa
import pytest

from etl import Model, ddl
from etl.loading import folder
from functions.targets import Moment
from functions.targets.postgres.models import query_of
from functions.targets.session import Select
from local.connection import connect, copy_rows
from local.postgres import PostgresServer
from pipelines.retail.pipeline import (
    PIPELINE,
    agg_public_holiday,
    agg_shipments,
    best_performing_product,
    order_holidays,
)
from tests.pipeline import retail_oracle as oracle
from tests.pipeline.retail_oracle import Row, Shop
from tests.pipeline.retail_shops import random_shop

TODAY = date(2026, 11, 22)
Analyse = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def staging(postgres: PostgresServer) -> Iterator[pg8000.native.Connection]:
    """Yield a connection to a database with retail's staging tables."""
    with connect(postgres.superuser_url()) as connection:
        connection.run("CREATE DATABASE retail_models")
    with connect(postgres.superuser_url("retail_models")) as connection:
        connection.run("CREATE SCHEMA staging; SET search_path = staging")
        [target] = PIPELINE.targets
        statements = ddl.postgres(target, "staging")
        for table in target.tables:
            connection.run(statements[table.name])
        yield connection


@pytest.fixture
def analyse(staging: pg8000.native.Connection) -> Analyse:
    """Return a function of a model and a shop that returns the model's only row."""

    def row(model: Model, shop: Shop, reading: str = "at-least") -> dict[str, Any]:
        _fill(staging, shop)
        select = Select(model, folder("retail"), {"RETAIL_UNDELIVERED": reading})
        [values] = staging.run(f"SELECT * FROM {query_of(select, Moment(1, TODAY))}")
        return dict(zip([each["name"] for each in staging.columns or ()], values, strict=True))

    return row


def _fill(connection: pg8000.native.Connection, shop: Shop) -> None:
    rows: dict[str, Sequence[Row]] = {
        "orders": shop.orders,
        "reviews": shop.reviews,
        "shipment_deliveries": shop.shipments,
        "products": shop.products,
        "order_holidays": holidays_of(shop.orders),
    }
    for table, values in rows.items():
        connection.run(f"TRUNCATE {table}")
        copy_rows(connection, table, (list(row.values()) for row in values))


def holidays_of(orders: Sequence[Row]) -> list[dict[str, Any]]:
    """Return what the pipeline's own function makes of orders."""
    columns = {"order_id": pa.int32(), "order_date": pa.date32()}
    rows = pa.table(
        {name: pa.array([each[name] for each in orders], kind) for name, kind in columns.items()}
    )
    frame = order_holidays(rows.to_pandas(types_mapper=pd.ArrowDtype))
    found: list[dict[str, Any]] = pa.Table.from_pandas(frame, preserve_index=False).to_pylist()
    return found


def one_order(ordered: date, shipped: date | None = None, delivered: date | None = None) -> Shop:
    """Return a shop with an order of product 7 and its shipment."""
    order = {
        "order_id": 1, "customer_id": 1, "order_date": ordered, "product_id": 7,
        "unit_price": 5, "quantity": 2, "total_price": 10,
    }  # fmt: skip
    shipment = {
        "shipment_id": 1, "order_id": 1, "shipment_date": shipped, "delivery_date": delivered,
    }  # fmt: skip
    return Shop([order], [{"review": 5, "product_id": 7}], [shipment])


def and_newest(shop: Shop, newest: date) -> Shop:
    """Return the shop with an order of a later day, which has no shipment."""
    later = {**shop.orders[0], "order_id": 2, "order_date": newest, "product_id": 8}
    return replace(shop, orders=[*shop.orders, later])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("reading", ["at-least", "exactly"])
def test_analyses_equal_what_plain_python_computes(
    analyse: Analyse, seed: int, reading: str
) -> None:
    """Ties, year ends, leap days, missing dates and missing names included."""
    shop = random_shop(Random(seed))

    assert analyse(agg_public_holiday, shop) == oracle.public_holidays(shop, TODAY)
    assert analyse(agg_shipments, shop, reading) == oracle.shipments(shop, TODAY, reading)
    assert analyse(best_performing_product, shop) == oracle.best_product(shop, TODAY)


def test_a_shop_without_orders_and_reviews_has_its_rows_too(analyse: Analyse) -> None:
    """Files that have a header alone are a shop that has not opened, and no failure."""
    empty = Shop([])

    assert set(analyse(agg_public_holiday, empty).values()) == {TODAY, 0}
    assert list(analyse(agg_shipments, empty).values()) == [TODAY, 0, 0]
    assert list(analyse(best_performing_product, empty).values()) == [
        TODAY, None, None, False, 0, *[None] * 7
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shipped", "late"),
    [(date(2022, 3, 6), 0), (date(2022, 3, 7), 1), (date(2022, 3, 8), 1)],
)
def test_late_begins_six_days_after_the_order(analyse: Analyse, shipped: date, late: int) -> None:
    """Five days are early, six are late."""
    shop = one_order(date(2022, 3, 1), shipped)

    assert analyse(agg_shipments, shop)["tt_late_shipments"] == late
    best = analyse(best_performing_product, shop)
    assert (best["pct_early_shipments"], best["pct_late_shipments"]) == (
        100 * (1 - late),
        100 * late,
    )


def test_what_has_arrived_is_not_late(analyse: Analyse) -> None:
    """It was shipped after six days or more, so it is not early either."""
    best = analyse(
        best_performing_product, one_order(date(2022, 3, 1), date(2022, 3, 9), date(2022, 3, 10))
    )

    assert (best["pct_early_shipments"], best["pct_late_shipments"]) == (0, 0)


@pytest.mark.parametrize(
    ("days", "at_least", "exactly"), [(14, 0, 0), (15, 1, 1), (16, 1, 0), (400, 1, 0)]
)
def test_undelivered_has_two_readings(
    analyse: Analyse, days: int, at_least: int, exactly: int
) -> None:
    """RETAIL_UNDELIVERED chooses between 15 days or more and the fifteenth day alone."""
    newest = date(2022, 9, 5)
    shop = and_newest(one_order(date.fromordinal(newest.toordinal() - days)), newest)

    found = {
        reading: analyse(agg_shipments, shop, reading)["tt_undelivered_items"]
        for reading in ("at-least", "exactly")
    }
    assert found == {"at-least": at_least, "exactly": exactly}


@pytest.mark.parametrize(
    ("ordered", "newest", "counted"),
    [
        (date(2021, 10, 1), date(2022, 9, 30), 1),
        (date(2021, 10, 1), date(2022, 10, 1), 0),  # a year has one 1 October
        (date(2022, 10, 1), date(2022, 10, 1), 0),  # a Saturday
        (date(2022, 10, 3), date(2022, 10, 3), 1),  # the Monday in its stead
        (date(2021, 12, 27), date(2022, 1, 2), 1),
        (date(2021, 10, 4), date(2022, 9, 30), 0),  # a Monday like any other
    ],
)
def test_a_holiday_counts_on_a_working_day_of_the_last_year(
    analyse: Analyse, ordered: date, newest: date, counted: int
) -> None:
    """The year ends with the newest order's day, and begins the day after that of a year before."""
    shop = one_order(ordered) if ordered == newest else and_newest(one_order(ordered), newest)

    row = analyse(agg_public_holiday, shop)
    assert sum(count for name, count in row.items() if name.startswith("tt_")) == counted


def test_holidays_are_those_of_the_country_that_is_set(
    analyse: Analyse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RETAIL_COUNTRY moves the shop."""
    monkeypatch.setenv("RETAIL_COUNTRY", "DE")
    reunification = one_order(date(2022, 10, 3))

    assert holidays_of(reunification.orders)[0]["holiday"] == "German Unity Day"
    assert analyse(agg_public_holiday, reunification)["tt_order_hol_oct"] == 1


def test_what_the_analyses_say_is_fit_for_a_mail(analyse: Analyse) -> None:
    """The reader of the mail need not open a table."""
    shop = replace(
        one_order(date(2021, 12, 27), date(2022, 1, 3)),
        products=[{"product_id": 7, "product_name": "Udu Pot"}],
    )

    def said_of(model: Model) -> str:
        assert model.says
        return model.says([analyse(model, shop)])

    assert said_of(agg_public_holiday) == (
        "1 order on public holidays from Monday to Friday, in the year up to the newest order "
        "(Dec 1)."
    )
    assert said_of(agg_shipments) == "1 late shipment, 0 undelivered items."
    assert said_of(best_performing_product) == (
        "Best product: Udu Pot, with 5 review points; 100.00% of its reviews have five stars. It "
        "was ordered most on 2021-12-27, a public holiday. 0.00% of its shipments were early, "
        "100.00% are late."
    )
