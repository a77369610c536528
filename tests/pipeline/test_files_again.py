"""Files whose rows come again: by a replay, or to repair what disagrees."""

from typing import Any

import pytest

from etl import Feed, Files, Pipeline, PostgresWarehouse
from functions.transform import handler as transform_handler
from local.connection import connect
from tests.pipeline.conftest import forget_clients
from tests.pipeline.file_shop import FEEDS, TARGETS, Shop, empty_shop, price, shop
from tests.pipeline.reconciling import extract

__all__ = ["empty_shop", "shop"]


@pytest.mark.parametrize("event", [{"replay": 3}, {"read": ["price"]}], ids=["replay", "repair"])
def test_a_history_gets_no_state_twice_when_a_file_comes_again(
    shop: Shop, event: dict[str, Any]
) -> None:
    """Its states are there already, each followed by the next: only a last one can be missing."""
    shop.run(prices_1="item,day,amount\npen,2026-01-09,1.00\npen,2026-01-09,2.00\n")
    before = states(shop)

    extract(event)
    shop.functions.transform()
    shop.functions.load()

    assert before[("pen", "2026-01-09")] == ["1.00", "2.00"]
    assert states(shop) == before


def test_a_history_gets_all_states_of_a_file_that_was_refused_before(shop: Shop) -> None:
    """A replay, with more rows allowed to be refused, is the first to bring its rows in."""
    bad = "x,y,z\n" * 3
    shop.run(prices_3=f"item,day,amount\npen,2026-01-09,1.00\npen,2026-01-09,2.00\n{bad}")
    assert ("pen", "2026-01-09") not in states(shop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transform_handler, "load", lambda name: tolerant())
        forget_clients()
        extract({"replay": 3})
        shop.functions.transform()
        shop.functions.load()

    assert states(shop)[("pen", "2026-01-09")] == ["1.00", "2.00"]


def tolerant() -> Pipeline:
    """Return the pipeline as it is after more rows of prices may be refused."""
    feeds = (*FEEDS[:-1], Feed(price, "prices/*.csv", max_rejects=0.9))
    return Pipeline(
        sources=[Files("shop", feeds)], targets=[PostgresWarehouse("warehouse", TARGETS)]
    )


def states(shop: Shop) -> dict[tuple[str, str], list[str]]:
    """Return the amounts of each key in the history, one after the other."""
    warehouse = shop.functions.warehouse
    found: dict[tuple[str, str], list[str]] = {}
    with connect(warehouse.superuser_url) as connection:
        for item, day, amount in connection.run(
            f'SELECT item, day::text, amount::text FROM "{warehouse.schema}".price_history'
            " ORDER BY price_history_record_id"
        ):
            found.setdefault((item, day), []).append(amount)
    return found
