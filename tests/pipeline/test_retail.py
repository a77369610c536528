"""retail from the drop to the analyses, with files as the shop writes them."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from etl import Model
from functions.load import handler as load_handler
from functions.sources.files import reader
from pipelines.retail.pipeline import (
    FEEDS,
    MODELS,
    agg_public_holiday,
    agg_shipments,
    best_performing_product,
)
from pipelines.retail.sample import bad_files, files
from tests.pipeline import retail_oracle as oracle
from tests.pipeline.conftest import Functions, forget_clients
from tests.pipeline.managed_warehouse import query
from tests.pipeline.reconciling import disagreements, extract, fresh_clients, reconcile
from tests.pipeline.retail_oracle import Row, Shop
from tests.postgres_fixtures import Source, Warehouse

__all__ = ["fresh_clients"]

NOW = datetime.now(UTC)
SAMPLE = {
    key: b"".join(text.splitlines(keepends=True)[:2001])
    for key, text in files("shop", NOW.replace(tzinfo=None)).items()
}
TODAY = NOW.date()


@dataclass
class Drop:
    """The functions of retail, their drop bucket, and how many days later than today it is."""

    functions: Functions
    bucket: str
    days: int = 0
    texts: dict[str, bytes] = field(default_factory=dict)
    mails: list[str] = field(default_factory=list)

    def now(self, zone: Any) -> datetime:
        return datetime.now(zone) + timedelta(days=self.days)

    def drop(self, texts: Mapping[str, bytes]) -> None:
        self.texts |= texts
        for key, text in texts.items():
            self.functions.s3.put_object(Bucket=self.bucket, Key=key, Body=text)

    def run(self, *, now: bool = False) -> dict[str, Any]:
        """Run the functions as `deploy.py run` does; return what extract said."""
        extracted = extract({"now": now})
        self.functions.transform()
        self.functions.load()
        return extracted

    def rows(self, key: str) -> list[dict[str, str]]:
        """Return the lines of a file as it was dropped last."""
        text = self.texts.get(key, b"").decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))

    @property
    def shop(self) -> Shop:
        """The rows of all files, for the oracle."""
        orders, reviews, shipments, products = (
            [_values(row) for row in self.rows(feed.pattern)] for feed in FEEDS
        )
        return Shop(orders, reviews, shipments, products)

    def require_staged(self) -> None:
        """Compare each staging table with its file, line by line."""
        for feed in FEEDS:
            texts = ", ".join(f"coalesce({name}::text, '')" for name in feed.table.columns)
            sql = f"SELECT {texts} FROM staging.{feed.table.name}"
            staged = Counter(tuple(row) for row in query(self.functions.warehouse, sql))
            assert staged == Counter(tuple(row.values()) for row in self.rows(feed.pattern))

    def analyses(self, model: Model) -> list[dict[str, Any]]:
        """Return the rows of an analysis, by day."""
        sql = f"SELECT * FROM analytics.{model.name} ORDER BY ingestion_date"
        return [
            dict(zip(model.columns, row, strict=True))
            for row in query(self.functions.warehouse, sql)
        ]

    def exported(self, model: Model, day: date) -> list[dict[str, str]]:
        key = f"exports/analytics/{model.name}/{day}.csv"
        text = self.functions.body(self.functions.processed, key).decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))


def _values(row: Mapping[str, str]) -> Row:
    def value(name: str, text: str) -> Any:
        if not text:
            return None
        if name.endswith("_date"):
            return date.fromisoformat(text)
        return text if name == "product_name" else int(text)

    return {name: value(name, text) for name, text in row.items()}


def expected(shop: Shop, day: date) -> dict[str, dict[str, Any]]:
    """Return what the analyses are to be, by name."""
    return {
        agg_public_holiday.name: oracle.public_holidays(shop, day),
        agg_shipments.name: oracle.shipments(shop, day),
        best_performing_product.name: oracle.best_product(shop, day),
    }


@pytest.fixture
def drop(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_source: Callable[..., Source],
    new_managed_warehouse: Callable[..., Warehouse],
    manage: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> Drop:
    """The functions of retail before an empty bucket and an empty, managed warehouse."""
    warehouse = new_managed_warehouse("staging", has_more_schemas=True)
    functions = functions_on(new_source(0), warehouse)
    bucket = functions.ingestion.replace("ingestion", "drop")
    functions.s3.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    functions.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    found = Drop(functions, bucket)
    monkeypatch.setenv("PIPELINE", "retail")
    monkeypatch.setenv("DROP_BUCKET", bucket)
    monkeypatch.setenv("NOTIFY", "every-batch")
    monkeypatch.setattr(reader, "datetime", SimpleNamespace(now=found.now))
    monkeypatch.setattr(
        load_handler, "give_notice", lambda _, subject, text: found.mails.append(text)
    )
    manage()
    forget_clients()
    reader._client.cache_clear()
    return found


def test_a_drop_is_staged_and_analysed_once_a_day(drop: Drop) -> None:
    """Staging equals the files; a day has one row of each analysis, however often it is run."""
    drop.drop({key: SAMPLE[key] for key in ("orders.csv", "reviews.csv", "products.csv")})
    assert drop.run()["postponed"]
    drop.drop({"shipment_deliveries.csv": SAMPLE["shipment_deliveries.csv"]})
    assert drop.run()["batch"] == 1

    drop.require_staged()
    first = expected(drop.shop, TODAY)
    assert {model.name: drop.analyses(model) for model in MODELS} == {
        name: [row] for name, row in first.items()
    }

    drop.drop({"orders.csv": b"".join(SAMPLE["orders.csv"].splitlines(keepends=True)[:1500])})
    again = drop.run()
    assert (again["batch"], "at most once in 1 day" in again["waiting"]) == (None, True)
    assert drop.run(now=True)["batch"] == 2

    drop.require_staged()
    second = expected(drop.shop, TODAY)
    assert {model.name: drop.analyses(model) for model in MODELS} == {
        name: [row] for name, row in second.items()
    }
    assert second != first


def test_the_next_day_has_a_row_and_an_export_of_its_own(drop: Drop) -> None:
    """A file that has not changed need not be dropped again."""
    drop.drop(SAMPLE)
    drop.run()
    before = expected(drop.shop, TODAY)
    drop.drop({"reviews.csv": b"review,product_id\n5,3\n5,3\n1,3\n4,2\n"})
    drop.days = 1

    assert drop.run()["batch"] == 2

    drop.require_staged()
    after = expected(drop.shop, TODAY + timedelta(days=1))
    for model in MODELS:
        assert drop.analyses(model) == [before[model.name], after[model.name]]
        [row] = drop.exported(model, TODAY + timedelta(days=1))
        assert row == {name: _text(value) for name, value in after[model.name].items()}
        assert drop.exported(model, TODAY) != drop.exported(model, TODAY + timedelta(days=1))
    assert reconcile()["agrees"]


def test_a_drop_that_is_refused_changes_nothing_and_its_correction_counts_at_once(
    drop: Drop,
) -> None:
    """All files or none; the same day is soon enough for a correction. Products have no names."""
    drop.drop({key: SAMPLE[key] for key in SAMPLE if key != "products.csv"})
    drop.run()
    before = drop.analyses(best_performing_product)
    assert str(before[0]["product_name"]).startswith("product ")
    good = drop.texts["orders.csv"]
    drop.drop({"orders.csv": good.replace(b",2", b",x2"), "reviews.csv": b"review,product_id\n"})
    drop.days = 1
    assert drop.run()["batch"] == 2
    assert drop.analyses(best_performing_product) == before
    assert "orders.csv" in drop.mails[-1]

    drop.drop({"orders.csv": good})
    assert drop.run(now=True)["batch"] == 3

    drop.require_staged()
    tomorrow = TODAY + timedelta(days=1)
    assert drop.analyses(best_performing_product)[1] == {
        **oracle.best_product(drop.shop, tomorrow), "product_name": None,
    }  # fmt: skip


def test_bad_rows_are_refused_and_the_mail_says_so(drop: Drop) -> None:
    """Each file is accounted for, each result is in words, and the rest of the rows are staged."""
    drop.drop(files("shop", NOW.replace(tzinfo=None)))
    drop.run()
    good = dict(drop.texts)
    drop.drop(bad_files("shop", NOW.replace(tzinfo=None)))
    drop.run(now=True)

    drop.texts = good
    drop.require_staged()
    mail = drop.mails[-1]
    assert "orders.csv: 10,003 rows read, 10,000 staged, 3 refused" in mail
    assert "reviews.csv: 7,002 rows read, 7,000 staged, 2 refused" in mail
    for model in MODELS:
        assert model.says
        assert model.says(drop.analyses(model)) in mail
        assert f"exports/analytics/{model.name}/{TODAY}.csv" in mail
    report = reconcile()
    assert report["agrees"]
    assert disagreements(report)["orders"] == {"quarantined": 3}


def _text(value: Any) -> str:
    """Return a value as an export has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
