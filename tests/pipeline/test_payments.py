"""The payments report of totesys: equal to what the warehouse's history says, on any day."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from pg8000.native import identifier, literal

from etl.loading import load
from functions.serve import handler as serve
from local.connection import connect
from tests.asking import Api, api_of
from tests.postgres_fixtures import Warehouse

TODAY = date(2024, 11, 16)
NAMES = {1: 'O\'Hara "&" <Sons>', 2: "Ünï GmbH"}
CURRENCIES = {1: "GBP", 2: "USD"}
TYPES = {1: "SALES_RECEIPT", 2: "PURCHASE_PAYMENT"}
COLUMNS = (
    "payment_record_id, payment_id, created_date, created_time, last_updated_date,"
    " {updated}, transaction_id, counterparty_id, payment_amount, currency_id, payment_type_id,"
    " paid, payment_date"
)

Record = tuple[int, date, str, int, int, int, bool]
"""Of a history: payment_id, payment_date, amount, currency, counterparty, type, paid."""


class Payments:
    """A warehouse with records of payments, and its report."""

    def __init__(self, warehouse: Warehouse, api: Api) -> None:
        self.warehouse = warehouse
        self.api = api
        self.records: list[Record] = []
        self.table, self.updated = "fact_payment", "last_updated_time"
        self.run(
            *(f"INSERT INTO dim_currency VALUES ({n}, '{x}', 'x')" for n, x in CURRENCIES.items()),
            *(f"INSERT INTO dim_payment_type VALUES ({n}, '{name}')" for n, name in TYPES.items()),
            *(
                f"INSERT INTO dim_counterparty VALUES ({n}, {literal(name)},"
                " 'a', NULL, NULL, 'c', 'p', 'c', '1')"
                for n, name in NAMES.items()
            ),
        )

    def run(self, *statements: str) -> None:
        with connect(self.warehouse.superuser_url) as connection:
            connection.run(f"SET search_path = {identifier(self.warehouse.schema)}")
            connection.run("SET session_replication_role = replica")
            connection.run("; ".join(["BEGIN", *statements, "COMMIT"]))

    def add(self, *records: Record) -> None:
        """Add records to the history, in this order."""
        first = len(self.records) + 1
        self.records += records
        rows = ", ".join(
            f"({number}, {key}, now(), now(), now(), now(), 1, {of}, {amount}, {currency}, {kind},"
            f" {paid}, '{day}')"
            for number, (key, day, amount, currency, of, kind, paid) in enumerate(records, first)
        )
        columns = COLUMNS.format(updated=self.updated)
        self.run(f"INSERT INTO {self.table} ({columns}) VALUES {rows}")

    def expected(self, report: str, today: date, gone: Sequence[int] = ()) -> list[dict[str, Any]]:
        """Return what plain Python makes of the records."""
        newest = {record[0]: record for record in self.records if record[0] not in gone}
        days = sorted((record[1], key) for key, record in newest.items())
        if report == "last5":
            chosen = [each for each in days if each[0] < today][-5:][::-1]
        else:
            chosen = [each for each in days if each[0] >= today][:5]
        return [_shown(newest[key]) for _, key in chosen]

    def rows(self, report: str, **parameters: str) -> list[dict[str, Any]]:
        answer = self.api.get(f"/payments/{report}", query=urlencode(parameters))
        assert answer.status == 200, answer.text
        rows: list[dict[str, Any]] = answer.json["rows"]
        return rows

    def check(self, today: date = TODAY, gone: Sequence[int] = ()) -> None:
        """Compare both reports of a day with what they should be."""
        for report in ("last5", "next5"):
            found = self.rows(report, day=today.isoformat())
            assert found == self.expected(report, today, gone)


def _shown(record: Record) -> dict[str, Any]:
    key, day, amount, currency, of, kind, paid = record
    return {
        "payment_id": key, "payment_date": day.isoformat(), "amount": amount,
        "currency": CURRENCIES[currency], "counterparty": NAMES[of], "payment_type": TYPES[kind],
        "paid": paid,
    }  # fmt: skip


def payment(key: int, day: date, amount: str = "12.50", *, paid: bool = False) -> Record:
    return key, day, amount, 1 + key % 2, 2 - key % 2, 1 + key % 2, paid


@pytest.fixture
def payments(new_warehouse: Callable[..., Warehouse], monkeypatch: pytest.MonkeyPatch) -> Payments:
    """A prepared warehouse, which does not say what was deleted."""
    warehouse = new_warehouse("team 7")
    api = api_of(monkeypatch, load("totesys"), warehouse)
    return Payments(warehouse, api)


def test_the_newest_record_of_each_payment_counts(payments: Payments) -> None:
    """Superseded records do not appear, also where they had another day."""
    days = [TODAY + timedelta(number) for number in range(-8, 8)]
    payments.add(*(payment(100 - number, day) for number, day in enumerate(days)))
    payments.check()
    moved = [payment(92, TODAY - timedelta(1), "0.10", paid=True), payment(91, TODAY)]
    payments.add(*moved, payment(100, TODAY + timedelta(90)))
    payments.check()
    amounts = [row["amount"] for row in payments.rows("last5", day=TODAY.isoformat())]
    assert amounts == ["12.50", "0.10", "12.50", "12.50", "12.50"]


def test_of_twenty_payments_on_a_day_the_ids_decide(payments: Payments) -> None:
    """The same five each time: the last before today, the first from today on."""
    keys = random.Random(7).sample(range(1, 1000), 40)
    payments.add(*(payment(key, TODAY - timedelta(n % 2)) for n, key in enumerate(keys)))
    payments.check()
    assert len(payments.rows("next5", day=TODAY.isoformat())) == 5


def test_fewer_than_five_payments_are_all_that_there_are(payments: Payments) -> None:
    """And none is an empty list."""
    payments.check()
    payments.add(payment(1, TODAY), payment(2, TODAY - timedelta(1)))
    payments.check()


def test_other_names_of_the_warehouse_are_followed(payments: Payments) -> None:
    """`fact_payment.last_updated_time` was once called `last_updated`."""
    payments.run("ALTER TABLE fact_payment RENAME last_updated_time TO last_updated")
    payments.updated = "last_updated"
    payments.add(payment(1, TODAY), payment(2, TODAY - timedelta(1)), payment(1, TODAY, "1.00"))
    payments.check()


@pytest.mark.parametrize("seed", range(3))
def test_any_history_is_reported_as_plain_python_reports_it(seed: int, payments: Payments) -> None:
    """Random payments that change their days, amounts and whether they are paid."""
    chosen = random.Random(seed)
    for _ in range(4):
        payments.add(
            *(
                payment(
                    chosen.randint(1, 60),
                    TODAY + timedelta(chosen.randint(-9, 9)),
                    f"{chosen.randint(-(10**9), 10**9) / 100:.2f}",
                    paid=chosen.random() < 0.5,
                )
                for _ in range(40)
            )
        )
        for number in range(-10, 11, 5):
            payments.check(TODAY + timedelta(number))


@pytest.mark.parametrize(
    ("now", "today"),
    [
        (datetime(2024, 1, 15, 23, 59, 59, 999_999, UTC), date(2024, 1, 15)),
        (datetime(2024, 1, 16, tzinfo=UTC), date(2024, 1, 16)),
        (datetime(2024, 7, 15, 22, 59, 59, tzinfo=UTC), date(2024, 7, 15)),
        (datetime(2024, 7, 15, 23, tzinfo=UTC), date(2024, 7, 16)),
        (datetime(2024, 3, 31, 0, 59, 59, tzinfo=UTC), date(2024, 3, 31)),
        (datetime(2024, 3, 31, 23, tzinfo=UTC), date(2024, 4, 1)),
        (datetime(2024, 10, 26, 23, tzinfo=UTC), date(2024, 10, 27)),
        (datetime(2024, 10, 27, 23, 59, tzinfo=UTC), date(2024, 10, 27)),
    ],
)
def test_today_is_the_day_in_london(
    now: datetime, today: date, payments: Payments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At midnight there, in summer too, and on the days on which the clocks change."""
    payments.add(*(payment(10 + number, today + timedelta(number)) for number in range(-7, 7)))
    monkeypatch.setattr(serve, "now", lambda: now)
    for report in ("last5", "next5"):
        assert payments.rows(report) == payments.expected(report, today)


def test_midnight_is_not_missed_by_an_answer_that_is_kept(
    payments: Payments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing changes in the warehouse, and a second later it is another day."""
    payments.add(payment(1, TODAY), payment(2, TODAY - timedelta(1)))
    before = datetime(2024, 11, 16, 23, 59, 59, tzinfo=UTC)
    for now, day in [(before, TODAY), (before + timedelta(seconds=1), TODAY + timedelta(1))]:
        monkeypatch.setattr(serve, "now", lambda at=now: at)
        assert payments.rows("next5") == payments.expected("next5", day)


def test_deleted_payments_do_not_appear(payments: Payments) -> None:
    """Where the warehouse says which were deleted; one that came back does again."""
    payments.add(*(payment(key, TODAY + timedelta(key - 10)) for key in range(1, 20)))
    payments.check()
    payments.run(
        "CREATE TABLE deleted_rows (table_name text, business_id text, seen_gone_at timestamptz,"
        " batch bigint, seen_again_at timestamptz)",
        "GRANT SELECT ON deleted_rows TO PUBLIC",
        "INSERT INTO deleted_rows VALUES ('fact_payment', '9', now(), 1, NULL),"
        " ('fact_payment', '11', now(), 1, NULL), ('fact_payment', '12', now(), 1, now()),"
        " ('fact_sales_order', '13', now(), 1, NULL)",
    )
    payments.api.renew()
    payments.check(gone=[9, 11])
