"""Two hundred requests a second for reports while batches are loaded: each answer is one state."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from threading import Event

import pytest

from functions.serve import handler as serve
from functions.serve.reports import Reports
from functions.serve.requests import Request
from functions.serve.warehouse import Warehouse
from tests.asking import TOKEN, Api
from tests.pipeline.report_scene import SCHEMA
from tests.pipeline.target_scene import Scene, rows_of

RUNS = 6  # of the function, each with its own connection
REQUESTS = 1_200
RATE = 200
ROWS = 50
REQUEST = Request("r", "GET", "/things", "", {"authorization": f"Bearer {TOKEN}"}, "")


def run_of_its_own(service: serve.Service, scene: Scene, bucket: Api) -> serve.Service:
    """Return what another run of the function would keep."""
    return replace(
        service,
        warehouse=Warehouse(scene.place),
        reports=Reports(service.pipeline, scene.folder, {"SUFFIX": "%"}, bucket.bucket),
    )


@contextmanager
def loading(scene: Scene) -> Iterator[None]:
    """Load batches meanwhile, each of which gives all rows its number as their price."""
    stop = Event()

    def load() -> None:
        while not stop.is_set():
            price = Decimal(scene.log.newest() + 1)
            rows = [(key, price, "x") for key in range(1, ROWS + 1)]
            scene.batch(thing=rows_of(SCHEMA, *rows))
            scene.load()

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(load)
        try:
            yield
        finally:
            stop.set()
            done.result()


def connections(scene: Scene) -> int:
    [[count]] = scene.query(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    return int(count)


def test_every_answer_is_one_state_and_connections_are_bounded(
    report_api: Api, report_scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows of an answer are of the batch that it says, and batches never go back."""
    rows = [(key, Decimal(report_scene.log.newest() + 1), "x") for key in range(1, ROWS + 1)]
    report_scene.batch(thing=rows_of(SCHEMA, *rows))
    report_scene.load()
    own = [run_of_its_own(serve._service(), report_scene, report_api) for _ in range(RUNS)]
    began = time.monotonic()

    def ask(number: int, service: serve.Service) -> list[tuple[int, set[str], int]]:
        """Return of every answer of a run its batch, its prices, and how many rows it has."""
        found = []
        for each in range(number, REQUESTS, RUNS):
            time.sleep(max(0.0, began + each / RATE - time.monotonic()))
            document = json.loads(serve._answer(service, REQUEST).body)
            prices = {row["price"] for row in document["rows"]}
            found.append((document["as_of"]["batch"], prices, len(document["rows"])))
        return found

    with loading(report_scene), ThreadPoolExecutor(RUNS) as threads:
        asking = [threads.submit(ask, *each) for each in enumerate(own)]
        most = 0
        while not all(each.done() for each in asking):
            most = max(most, connections(report_scene))
        answers = [each.result() for each in asking]

    assert sum(map(len, answers)) == REQUESTS
    # Each run has one, and load; one that is exchanged may be there until the server has ended it.
    assert most <= 2 * (RUNS + 1)
    for of_run in answers:
        assert all((prices, rows) == ({f"{batch}.000"}, ROWS) for batch, prices, rows in of_run)
        assert all(before[0] <= after[0] for before, after in pairwise(of_run))
    assert len({batch for of_run in answers for batch, _, _ in of_run}) > 1
    for service in own:
        service.warehouse.close()
