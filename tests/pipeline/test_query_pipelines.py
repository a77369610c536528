"""The lake of events, of files in MySQL and of files that replace tables, as of every batch.

And the life of their rows, by what reading everything finds.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from deployer.query.cache import Cache
from pipelines.stripe.pipeline import PIPELINE, STAGING
from pipelines.stripe.sample import posts
from tests.pipeline.conftest import Functions
from tests.pipeline.event_scene import SECRET, Request, endpoint_of
from tests.pipeline.everything import Everything
from tests.pipeline.reconciling import fresh_clients
from tests.pipeline.remembering import Memory
from tests.pipeline.test_retail import SAMPLE, Drop, drop
from tests.pipeline.zipster_scene import Zipcodes, zipcodes_on
from tests.postgres_fixtures import NOWHERE, Source, Warehouse

__all__ = ["drop", "fresh_clients", "zipcodes_on"]

EVENT = ["id", "type", "created", "livemode", "object_id", "amount", "currency", "raw"]
STATE = ["object_id", "event_id", "type", "created", "amount", "status", "object", "is_tied"]
ZIP_CODE = [
    "ZIPCODE", "CITY", "STATE", "LATITUDE", "LONGITUDE", "LOCATION", "DECOMISSIONED",
]  # fmt: skip
PER_BATCH = 20
POINTS = ["ZIPCODE", "ST_X(COORDS)", "ST_Y(COORDS)"]


def test_events_and_their_states_are_those_of_the_warehouse(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    seed: int,
) -> None:
    """Whatever is posted twice or late, staging tables and views are as they were."""
    monkeypatch.setenv("PIPELINE", "stripe")
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    functions = functions_on(NOWHERE, new_managed_warehouse())
    [source] = PIPELINE.events
    endpoint = endpoint_of("stripe", functions, source.url_path, monkeypatch)
    tables = {table.name: EVENT for table in STAGING.values()}
    tables |= {f"current_{name}": STATE for name in STAGING}
    memory = Memory(
        functions, "stripe", "stripe", Cache(tmp_path), tables, documents=("raw", "object")
    )
    sample = posts("stripe", [SECRET], datetime.now(UTC).replace(tzinfo=None))
    random = Random(seed)
    random.shuffle(sample)
    for start in range(0, len(sample), PER_BATCH):
        for headers, body, _ in [*sample[start : start + PER_BATCH], random.choice(sample)]:
            endpoint.post(Request(headers, body))
        endpoint.collect(twice=random.random() < 0.5)
        endpoint.load()
        memory.note()

    assert len(memory.answers) > 2
    assert memory.wrong() == []
    assert Everything(functions, "stripe", "stripe").unexplained(tmp_path, random, most=1) == []


def as_zipcode(text: str) -> str | None:
    """Return a zip code as the table has it, None for a text that is none."""
    return text.zfill(5) if re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) else None


def test_files_in_mysql_are_those_of_the_warehouse(
    zipcodes_on: Callable[[Warehouse], Zipcodes],
    new_mysql_warehouse: Callable[..., Warehouse],
    tmp_path: Path,
    seed: int,
) -> None:
    """Files and newer versions of them, points and distances included."""
    zipcodes = zipcodes_on(new_mysql_warehouse())
    zipcodes.random = Random(seed)
    tables = {"ZIPCODES": ZIP_CODE, "ZIPCODES AS points": POINTS}
    tables["ZIPCODE_DISTANCES"] = ["FROM_ZIPCODE", "ZIPCODE", "round(MILES, 6)"]
    memory = Memory(zipcodes.functions, "zipster", "zips", Cache(tmp_path), tables)
    for _ in range(4):
        zipcodes.drop(rows=25)
        zipcodes.functions.run()
        memory.note()

    assert memory.wrong() == []
    zips = Everything(zipcodes.functions, "zipster", "zips", normal=as_zipcode)
    assert zips.unexplained(tmp_path, zipcodes.random, most=9) == []


def test_files_that_replace_a_table_are_those_of_the_warehouse(
    drop: Drop, tmp_path: Path, seed: int
) -> None:
    """A table is the newest file at the time, equal lines as often as they are there."""
    random = Random(seed)
    tables = {
        "staging.orders": ["order_id", "order_date", "unit_price", "quantity", "total_price"],
        "reviews": ["review", "product_id"],
        "staging.shipment_deliveries": ["shipment_id", "shipment_date", "delivery_date"],
        "order_holidays": ["order_id", "order_date", "holiday"],
    }
    memory = Memory(drop.functions, "retail", "shop", Cache(tmp_path), tables)
    for _ in range(3):
        drop.drop({key: some_lines(random, text) for key, text in SAMPLE.items()})
        drop.run(now=True)
        memory.note()

    assert len(memory.answers) == 3
    assert memory.wrong() == []
    file = drop.texts["reviews.csv"].decode().splitlines()
    line = random.choice(file[1:])
    review, product = line.split(",")
    key = [f"review={review}", f"product_id={product}"]
    life = Everything(drop.functions, "retail", "shop").told("reviews", key, tmp_path)
    lines = [place[2] for batch, *_, made in life if batch == 3 for _, _, place, _ in made]
    assert lines == [number for number, each in enumerate(file, 1) if each == line]


def some_lines(random: Random, text: bytes) -> bytes:
    """Return the header of a file and some of its lines, a few of them twice."""
    head, *lines = text.splitlines(keepends=True)
    chosen = random.sample(lines, min(len(lines), 300))
    return b"".join([head, *chosen, *chosen[:5]])
