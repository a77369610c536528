"""An API from its answers to the warehouse: loaded, replayed and compared."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from etl import (
    Csv,
    Integer,
    Numeric,
    Pipeline,
    PostgresWarehouse,
    Resource,
    Rest,
    Table,
    Text,
    history,
    latest,
)
from functions.common import httpclient
from functions.common.errors import ProviderUnavailableError
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from functions.reconcile import handler as reconcile_handler
from functions.transform import handler as transform_handler
from local.connection import connect
from tests.pipeline.conftest import Context, Functions, forget_clients
from tests.pipeline.reconciling import disagreements, fresh_clients, reconcile, repair, run_in
from tests.rest_server import Reply, RestServer, serving

__all__ = ["fresh_clients"]

PRICE = {"item": Text(), "amount": Numeric(8, 4)}
price = Table("price", key="item", columns=PRICE)
note = Table("note", key="id", columns={"id": Integer(), "words": Text(nullable=True)})
PIPELINE = Pipeline(
    sources=[
        Rest(
            "shop",
            (
                Resource(price, "/prices", format=Csv(), max_rejects=0.5),
                Resource(note, "/notes", rows="notes"),
            ),
        )
    ],
    targets=[
        PostgresWarehouse(
            "warehouse",
            (
                history(price, columns=PRICE),
                latest(note, columns={"id": Integer(), "words": Text(nullable=True)}),
            ),
        )
    ],
)


@dataclass
class Shop:
    """The functions, and what the API answers by path."""

    functions: Functions
    server: RestServer
    prices: bytes = b"item,amount\npen,1.10\nink,5\n"
    notes: bytes = b'{"notes": [{"id": 1, "words": "a"}, {"id": 2, "words": null}]}'
    status: int = 200

    def says(self, path: str) -> Reply:
        of_prices = path.endswith("/prices")
        body = self.prices if of_prices else self.notes
        return Reply(body, self.status, "text/csv" if of_prices else "application/json")

    def extract(self, **event: Any) -> dict[str, Any]:
        said: dict[str, Any] = extract_handler.handler(event, Context("extract"))
        return said

    def prices_in_order(self) -> list[list[Any]]:
        """Return the records of prices as text."""
        return self.query("SELECT item, amount::text FROM price ORDER BY price_record_id")

    def query(self, sql: str) -> list[list[Any]]:
        with connect(self.functions.warehouse.superuser_url) as connection:
            connection.run(f'SET search_path = "{self.functions.warehouse.schema}"')
            found: list[list[Any]] = connection.run(sql)
            return found


@pytest.fixture
def shop(managed: Functions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The functions between an API and a managed warehouse, after a first run."""
    for handler in (extract_handler, transform_handler, load_handler, reconcile_handler):
        monkeypatch.setattr(handler, "load", lambda name: PIPELINE)
    monkeypatch.setattr(httpclient, "PAUSE_SECONDS", 0.0)
    with serving() as server:
        monkeypatch.setenv("SHOP_URL", server.url)
        forget_clients()
        made = Shop(managed, server)
        server.script = lambda asked: made.says(asked.path)
        managed.run()
        yield made


def test_a_correction_comes_through_with_history(shop: Shop) -> None:
    """Each state of a row is a record; an answer that is the same changes nothing."""
    shop.functions.run()
    shop.prices = b"item,amount\npen,1.1000\nink,5.0001\n"
    shop.functions.run()

    assert shop.prices_in_order() == [["pen", "1.1000"], ["ink", "5.0000"], ["ink", "5.0001"]]
    assert shop.query("SELECT id, words FROM note ORDER BY id") == [[1, "a"], [2, None]]
    report = reconcile()
    assert (report["agrees"], disagreements(report)) == (True, {})


def test_a_row_that_does_not_fit_is_put_aside_and_named(shop: Shop) -> None:
    """With its line and its reason, in an object for people; the others go on."""
    shop.prices = b"item,amount\npen,ten\nink,6\n"
    shop.functions.run()

    assert shop.prices_in_order()[2:] == [["ink", "6.0000"]]
    text = shop.functions.body(shop.functions.processed, "errors/price/1.csv").decode()
    [row] = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["line"], row["row"]) == ("2", "pen,ten")
    assert "amount" in row["reasons"]
    assert reconcile()["agrees"]


def test_a_replay_is_made_from_what_was_kept(shop: Shop) -> None:
    """Without the API, and without what later answers have said of the same rows."""
    shop.prices = b"item,amount\npen,1.10\nink,6\n"
    shop.functions.run()
    run_in(
        shop.functions.warehouse.superuser_url,
        f'DELETE FROM "{shop.functions.warehouse.schema}".note',
    )
    shop.status = 500
    asked = len(shop.server.asked)

    assert shop.extract(replay=1)["batch"] == 3
    shop.functions.transform()
    shop.functions.load()

    assert len(shop.server.asked) == asked
    assert shop.query("SELECT id FROM note ORDER BY id") == [[1], [2]]
    assert shop.prices_in_order() == [["pen", "1.1000"], ["ink", "5.0000"], ["ink", "6.0000"]]
    shop.status = 200
    assert shop.extract()["batch"] is None
    assert reconcile()["agrees"]


def test_what_the_api_says_now_is_compared_with_the_table(shop: Shop) -> None:
    """What it has changed since is pending; what somebody changed in the table is not."""
    shop.prices = b"item,amount\npen,1.20\nink,5\nnib,1\n"
    found = reconcile()
    assert (found["agrees"], found["tables"]["price"]["pending"]) == (True, 2)

    shop.functions.run()
    schema = shop.functions.warehouse.schema
    run_in(
        shop.functions.warehouse.superuser_url,
        f"UPDATE \"{schema}\".price SET amount = 9 WHERE item = 'ink'",
        f'DELETE FROM "{schema}".note WHERE id = 1',
    )
    found = reconcile()
    assert not found["agrees"]
    assert disagreements(found) == {"price": {"different": 1}, "note": {"missing": 1}}

    repair(shop.functions)
    assert reconcile()["agrees"]
    assert shop.query("SELECT id FROM note ORDER BY id") == [[1], [2]]


def test_an_api_that_does_not_answer_is_no_comparison(shop: Shop) -> None:
    """It is not reported that all agrees, nor that nothing does."""
    shop.status = 503
    with pytest.raises(ProviderUnavailableError, match=r"SHOP_URL: .* answered 503"):
        reconcile()
