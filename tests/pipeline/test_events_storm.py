"""Events that are posted, forged and repeated, while functions are killed and disturbed.

EVENTS=50000 CONNECTIONS=20 has as many of them posted as the machine takes.
"""

import csv
import io
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest

import pipelines
from local.connection import connect
from local.postgres import PostgresServer
from tests.pipeline.conftest import Functions
from tests.pipeline.faulty_link import FaultyLink
from tests.pipeline.invocation import MORE_PIPELINES
from tests.pipeline.posting import SECRET, Post, ids_of, posts, shares
from tests.pipeline.queue_poller import QueuePoller
from tests.pipeline.receivers import receiver
from tests.pipeline.reconciling import reconcile
from tests.pipeline.storm import Storm
from tests.pipeline.strangers import FOLDER
from tests.postgres_fixtures import NOWHERE, Source, Warehouse

EVENTS = int(os.environ.get("EVENTS", "300"))
CONNECTIONS = int(os.environ.get("CONNECTIONS", "4"))
KILLED = 0.02  # of the requests
AGAIN = 0.05  # of the processed messages come a second time
CUT = 0.3  # of the connections to the warehouse
KILLS = 6  # of the other functions, at least
AT_ONCE = max(20, EVENTS // 20)  # messages that collect is woken with
VISIBLE_AGAIN = 3 + EVENTS // 1000  # seconds after a worker took a message and died
TABLES = ("charges", "customers", "others")
SHAPED = FOLDER / "pipelines"


@pytest.fixture
def link(postgres: PostgresServer, seed: int) -> Iterator[FaultyLink]:
    """The link by which the functions reach the warehouse."""
    with FaultyLink(postgres.port, seed).open() as opened:
        yield opened


@pytest.fixture
def functions(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_managed_warehouse: Callable[[], Warehouse],
    postgres: PostgresServer,
    link: FaultyLink,
    monkeypatch: pytest.MonkeyPatch,
) -> Functions:
    """The functions between a queue and an empty warehouse that is theirs to shape."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(SHAPED)])
    monkeypatch.setenv(MORE_PIPELINES, str(SHAPED))
    monkeypatch.setenv("PIPELINE", "posted")
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    warehouse = new_managed_warehouse()
    url = warehouse.loader_url.replace(f":{postgres.port}/", f":{link.port}/")
    assert url != warehouse.loader_url
    functions = functions_on(NOWHERE, replace(warehouse, loader_url=url))
    name = functions.ingestion.replace("ingestion", "webhook")
    boto3.client("secretsmanager").create_secret(
        Name=name, SecretString=json.dumps({"secrets": ["whsec_old", SECRET]})
    )
    monkeypatch.setenv("SOURCE_SECRET_ID", name)
    made = boto3.client("sqs").create_queue(
        QueueName=functions.ingestion.replace("ingestion", "events"),
        Attributes={"VisibilityTimeout": str(VISIBLE_AGAIN)},
    )
    monkeypatch.setenv("EVENTS_QUEUE_URL", made["QueueUrl"])
    return functions


class Posting:
    """Posts from several connections; a post without an answer is made again, as providers do."""

    def __init__(self, environment: dict[str, str], log: Path, seed: int) -> None:
        self.wrong: list[str] = []
        self.answers: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.kills = 0
        self._environment, self._log, self._seed = environment, str(log), seed

    @contextmanager
    def under_way(self, all_posts: list[Post]) -> Iterator[list[threading.Thread]]:
        """Yield the threads that post, and wait for them at the end."""
        threads = [
            threading.Thread(target=self._post_all, args=(share, Random(f"{self._seed} {number}")))
            for number, share in enumerate(shares(all_posts, CONNECTIONS))
        ]
        for thread in threads:
            thread.start()
        try:
            yield threads
        finally:
            for thread in threads:
                thread.join()

    def _post_all(self, of: list[Post], random: Random) -> None:
        with receiver(self._environment, self._log) as function:
            for post in of:
                status = None
                while status is None or status >= 500:
                    killed = random.uniform(0, 0.01) if random.random() < KILLED else None
                    started = time.monotonic()
                    status = function.post(post.request(), killed)
                    self.seconds.append(time.monotonic() - started)
                self.answers[status] += 1
                if status != post.answer:
                    self.wrong.append(f"{post.forged or post.id}: {status}, not {post.answer}")
        self.kills += function.kills


def test_events_survive_a_storm(
    functions: Functions,
    link: FaultyLink,
    seed: int,
    tmp_path: Path,
    say: Callable[[str], None],
) -> None:
    """Each event that was answered with 200 is in its table or in errors/ once, nothing else is."""
    random = Random(seed)
    all_posts = posts(random, EVENTS)
    log = tmp_path / "functions.log"
    storm = Storm(dict(os.environ), seed, log, functions=("transform", "load"))
    posting = Posting(dict(os.environ), log, seed)
    sqs, queue = boto3.client("sqs"), os.environ["EVENTS_QUEUE_URL"]
    poller = QueuePoller(sqs, queue, storm, random, most=AT_ONCE)
    started, link.faulty = time.monotonic(), CUT
    with storm.raging(2), posting.under_way(all_posts) as threads:
        while any(thread.is_alive() for thread in threads):
            poller.poll(violence=0.6, again=AGAIN)
        taken = time.monotonic() - started
        while poller.left() or storm.kills < KILLS:
            poller.poll(violence=0.3)
            assert not storm.defects
    link.faulty = 0.0
    storm.settle()

    say(_figures(posting, taken))
    say(f"{dict(storm.tally)}, {dict(link.faults)}")
    assert storm.wrong + storm.stuck + posting.wrong == []
    assert posting.kills > 0
    for table in TABLES:
        found = _ids(functions, table)
        assert len(set(found)) == len(found)
        assert set(found) == ids_of(all_posts, table, is_wrong=False)
    refused = set().union(*(ids_of(all_posts, table, is_wrong=True) for table in TABLES))
    assert _refused(functions) == refused
    assert reconcile()["agrees"]


def _figures(posting: Posting, taken: float) -> str:
    seconds = sorted(posting.seconds)
    rate = len(seconds) / taken
    half, late = (seconds[int(len(seconds) * share)] * 1000 for share in (0.5, 0.99))
    return (
        f"{len(seconds):,} requests in {taken:.1f} s, {rate:,.0f} a second, "
        f"half answered within {half:.0f} ms, 99 % within {late:.0f} ms, "
        f"answers {dict(posting.answers)}, {posting.kills} kills of receive"
    )


def _ids(functions: Functions, table: str) -> list[Any]:
    with connect(functions.warehouse.superuser_url) as connection:
        return [
            row[0]
            for row in connection.run(f'SELECT id FROM "{functions.warehouse.schema}".{table}')
        ]


def _refused(functions: Functions) -> set[str]:
    """Return the events that the objects for people have."""
    found = set()
    for key in functions.keys(functions.processed, "errors/"):
        text = functions.body(functions.processed, key).decode()
        for row in csv.DictReader(io.StringIO(text, newline="")):
            found.add(json.loads(row["row"])["nonce"])
    return found
