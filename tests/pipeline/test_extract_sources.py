"""A pipeline with several sources: each has its log, and one that fails stops no other."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from deployer.configuration.databases import parse_database_url
from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest
from functions.common.errors import DatabaseUnavailableError, SettingsError
from functions.extract import handler as extract_handler
from functions.extract.requests import ExtractRequest
from functions.sources import Captured
from tests.pipeline.conftest import Context, Functions, forget_clients
from tests.pipeline.lake import Lake

ITEM = {"id": Integer()}
item = Table("item", key="id", columns=ITEM)
entry = Table("entry", key="id", columns=ITEM)
PIPELINE = Pipeline(
    sources=[Postgres("shop", (item,)), Postgres("bank", (entry,), optional=True)],
    targets=[PostgresWarehouse("warehouse", (latest(item), latest(entry)))],
)
FILL = [
    f"CREATE TABLE {name} (id int PRIMARY KEY); INSERT INTO {name} VALUES (1), (2)"
    for name in ("item", "entry")
]


@pytest.fixture
def two(
    functions: Functions, new_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> Lake:
    """Two sources in one database, and extract that was given the address of both."""
    lake = new_lake(PIPELINE, *FILL)
    secrets = boto3.client("secretsmanager")
    for name in ("shop", "bank"):
        secret = f"{functions.ingestion}/{name}"
        text = json.dumps(parse_database_url(lake.url).secret())
        secrets.create_secret(Name=secret, SecretString=text)
        monkeypatch.setenv(f"{name.upper()}_SECRET_ID", secret)
    monkeypatch.setattr(extract_handler, "load", lambda name: PIPELINE)
    forget_clients()
    return lake


def extract(event: dict[str, Any] | None = None) -> dict[str, Any]:
    context: Any = Context("extract")
    answer: dict[str, Any] = extract_handler.handler(event or {}, context)
    return answer


def batches(functions: Functions) -> list[str]:
    return functions.keys(functions.ingestion, "batches/")


def test_each_source_has_batches_of_its_own(functions: Functions, two: Lake) -> None:
    """They are numbered from one in each log, and a source with nothing new writes none."""
    first = extract()
    assert {name: found["batch"] for name, found in first["sources"].items()} == {
        "shop": 1,
        "bank": 1,
    }
    assert "batch" not in first

    two.sql("INSERT INTO entry VALUES (3)")
    second = extract()["sources"]

    assert (second["shop"]["batch"], second["bank"]["batch"]) == (None, 2)
    assert second["bank"]["rows"] == {"entry": 1}
    assert batches(functions) == [
        "batches/bank/0000000001.json",
        "batches/bank/0000000002.json",
        "batches/shop/0000000001.json",
    ]


def test_an_event_may_ask_for_one_source(functions: Functions, two: Lake) -> None:
    """The request is handled for that source, and the answer is that of the only source."""
    extract({"source": "bank"})
    assert batches(functions) == ["batches/bank/0000000001.json"]

    again = extract({"source": "bank", "replay": 1})

    assert (again["batch"], again["rows"]) == (2, {"entry": 2})
    assert extract({"source": "bank", "read": ["entry"]})["rows"] == {"entry": 2}
    with pytest.raises(SettingsError, match="one of shop, bank"):
        extract({"source": "baker"})


def test_a_source_that_fails_stops_no_other(
    functions: Functions, two: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are tried, then the first error is raised."""
    nowhere = json.dumps(parse_database_url("postgresql://a:b@127.0.0.1:1/c").secret())
    boto3.client("secretsmanager").create_secret(
        Name=f"{functions.ingestion}/nowhere", SecretString=nowhere
    )
    monkeypatch.setenv("SHOP_SECRET_ID", f"{functions.ingestion}/nowhere")

    with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1:1"):
        extract()

    assert batches(functions) == ["batches/bank/0000000001.json"]


def test_a_source_that_hangs_leaves_time_for_the_next(
    two: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets its share of what is left; the last one gets all of it."""
    seconds: list[float] = []

    def taking_none(source: Postgres, asked: ExtractRequest, share: float) -> list[Captured]:
        seconds.append(share)
        return [Captured(None, {})]

    monkeypatch.setattr(extract_handler, "_extract", taking_none)

    extract()

    assert seconds == [300, 600]


def test_an_optional_source_without_an_address_is_left_out(
    functions: Functions, two: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on as if it were not declared; one that is needed is missed."""
    monkeypatch.delenv("BANK_SECRET_ID")
    assert set(extract()["sources"]) == {"shop"}

    monkeypatch.delenv("SHOP_SECRET_ID")
    with pytest.raises(SettingsError, match="SHOP_SECRET_ID"):
        extract()
