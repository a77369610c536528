"""A target table that is declared when the log has many batches, all the way from the source."""

from collections.abc import Callable
from pathlib import Path

import pytest

from etl import Calendar, Pipeline, Postgres, PostgresWarehouse
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from functions.transform import handler as transform_handler
from pipelines.totesys.pipeline import PIPELINE, SOURCE_TABLES, STARS, fact_payment, payment
from tests.pipeline.conftest import Functions, forget_clients
from tests.pipeline.everything import Everything
from tests.pipeline.ground import run_sql
from tests.pipeline.oracle import current, expected, history


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that declares the pipeline without some source and target tables."""

    def declare(*without: object) -> None:
        tables = tuple(table for table in SOURCE_TABLES if table not in without)
        stars = tuple(star for star in STARS if star not in without)
        warehouse = PostgresWarehouse("warehouse", stars, Calendar("dim_date"))
        pipeline = Pipeline(
            sources=(Postgres("source", tables), *PIPELINE.files, *PIPELINE.apis),
            targets=[warehouse],
        )
        for handler in (extract_handler, transform_handler, load_handler):
            monkeypatch.setattr(handler, "load", lambda name: pipeline)
        forget_clients()

    return declare


def trade(functions: Functions, batches: int) -> None:
    """Make a log of batches in which a payment has three states, one of them twice."""
    functions.run()
    for number in range(1, batches):
        run_sql(
            functions.source.superuser_url,
            f"UPDATE payment SET payment_amount = {number % 2 + 1} WHERE payment_id = 7"
            if number <= 3
            else f"UPDATE design SET design_name = 'at {number}' WHERE design_id = 1",
        )
        functions.extract()
    functions.transform()
    functions.load()


def others(functions: Functions) -> dict[str, list[list[object]]]:
    """Return where each row of the other tables is, and which transaction wrote it."""
    return {
        star.name: run_sql(
            functions.warehouse.superuser_url,
            f"SELECT xmin::text, ctid::text FROM {star.name} ORDER BY ctid",
        )
        for star in STARS
        if star is not fact_payment
    }


def test_a_history_is_filled_from_the_log(
    functions: Functions, declare: Callable[..., None], tmp_path: Path
) -> None:
    """It has all states of the log, and each its origin; others are not written again."""
    declare(fact_payment)
    trade(functions, 12)
    before = others(functions)

    declare()
    functions.run()

    assert others(functions) == before
    assert current(functions.warehouse) == expected(functions.source)
    amounts = [row[7] for row in history(functions.warehouse, "fact_payment", 7)]
    assert amounts[1:] == [2, 1, 2]

    run_sql(
        functions.source.superuser_url,
        "UPDATE payment SET payment_amount = 9 WHERE payment_id IN (7, 8)",
    )
    functions.run()
    assert current(functions.warehouse) == expected(functions.source)
    told = Everything(functions, "totesys", "source").told("fact_payment", ["7"], tmp_path)
    assert [(step[0], [origin[1] for origin in step[-1]]) for step in told] == [
        (13, [1]), (13, [2]), (13, [3]), (13, [4]), (14, [14]),
    ]  # fmt: skip


def test_a_source_table_that_is_declared_later_is_read_whole(
    functions: Functions, declare: Callable[..., None]
) -> None:
    """The log has nothing of it: its rows come as they are now, and no other table's again."""
    declare(fact_payment, payment)
    trade(functions, 5)
    before = others(functions)

    declare()
    functions.run()

    assert others(functions) == before
    assert current(functions.warehouse) == expected(functions.source)
    assert len(history(functions.warehouse, "fact_payment", 7)) == 1
