"""A shop whose files are dropped into a bucket: lines that are a table, prices with a history."""

from dataclasses import dataclass

import pytest

from etl import (
    Date,
    Feed,
    Files,
    Integer,
    Numeric,
    Pipeline,
    PostgresWarehouse,
    Table,
    Text,
    history,
    latest,
    replace,
)
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from functions.reconcile import handler as reconcile_handler
from functions.sources.files import reader
from functions.transform import handler as transform_handler
from tests.pipeline.conftest import Functions, forget_clients
from tests.pipeline.reconciling import run_in

review = Table("review", key=(), columns={"stars": Integer(), "words": Text(nullable=True)})
stock = Table("stock", key="id", columns={"id": Integer(), "pieces": Integer()})
price = Table("price", key=("item", "day"), columns={
    "item": Text(), "day": Date(), "amount": Numeric(8, 2),
})  # fmt: skip
FEEDS = (
    Feed(review, "reviews.csv"),
    Feed(stock, "stock.csv", max_rejects=0.4),
    Feed(price, "prices/*.csv", max_rejects=0.4),
)
TARGETS = (replace(review), replace(stock), latest(price), history(price, name="price_history"))
PIPELINE = Pipeline(
    sources=[Files("shop", FEEDS)], targets=[PostgresWarehouse("warehouse", TARGETS)]
)

REVIEWS = "stars,words\n" + "5,good\n" * 3 + "1,\n" * 2
STOCK = "id,pieces\n1,10\n2,20\n3,30\n"
FIRST = "item,day,amount\npen,2026-01-01,1.00\npen,2026-01-02,1.10\nink,2026-01-01,5.00\n"
SECOND = "item,day,amount\npen,2026-01-02,1.20\nnib,2026-01-01,0.50\n"


@dataclass
class Shop:
    """The functions, and the bucket that files are dropped into."""

    functions: Functions
    bucket: str

    def drop(self, **files: str) -> None:
        """Put files there, whose names end in `.csv`; `prices_` is a folder."""
        for name, text in files.items():
            key = f"{name.replace('prices_', 'prices/')}.csv"
            self.functions.s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())

    def run(self, **files: str) -> None:
        """Drop files, and load them into the warehouse."""
        self.drop(**files)
        self.functions.run()

    def delete(self, key: str) -> None:
        self.functions.s3.delete_object(Bucket=self.bucket, Key=key)

    def damage(self, *statements: str) -> None:
        """Change the warehouse by hand."""
        run_in(self.functions.warehouse.superuser_url, *statements)


@pytest.fixture
def empty_shop(managed: Functions, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The functions between an empty bucket without versions and a managed warehouse."""
    bucket = managed.ingestion.replace("ingestion", "drop")
    managed.s3.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    for handler in (extract_handler, transform_handler, load_handler, reconcile_handler):
        monkeypatch.setattr(handler, "load", lambda name: PIPELINE)
    monkeypatch.setenv("DROP_BUCKET", bucket)
    forget_clients()
    reader._client.cache_clear()
    return Shop(managed, bucket)


@pytest.fixture
def shop(empty_shop: Shop) -> Shop:
    """The same with versions, and a first run of two files of prices, the second of which wins."""
    empty_shop.functions.s3.put_bucket_versioning(
        Bucket=empty_shop.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    empty_shop.run(reviews=REVIEWS, stock=STOCK, prices_1=FIRST)
    empty_shop.run(prices_2=SECOND)
    return empty_shop
