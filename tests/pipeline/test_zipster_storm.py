"""Zip codes that are dropped at random while functions, server and connections are disturbed."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest

from local.emulator import ACCOUNT, REGION
from local.mysql import MysqlServer
from tests.mysql_fixtures import mysql_warehouse_on, own_mysql
from tests.pipeline.faulty_link import FaultyLink
from tests.pipeline.reconciling import fresh_clients, reconcile
from tests.pipeline.storm import PLACES, Storm
from tests.pipeline.test_dropped_files import OF_FILES
from tests.pipeline.zipster_scene import Zipcodes, zipcodes_on
from tests.postgres_fixtures import Warehouse

__all__ = ["fresh_clients", "zipcodes_on"]

KILLS = 10
RESTARTS = 2
DROPS_A_RESTART = 6
CUT = 0.5  # of the connections to the server


@dataclass
class Place:
    """A server of the test's own, and a link to it that may be cut."""

    server: MysqlServer
    link: FaultyLink
    zipcodes: Zipcodes


@pytest.fixture
def place(zipcodes_on: Callable[[Warehouse], Zipcodes], seed: int) -> Iterator[Place]:
    """The functions of zipster before an empty warehouse, behind a faulty link."""
    with own_mysql() as server, FaultyLink(server.port, seed).open() as link:
        warehouse = mysql_warehouse_on(server, "warehouse")
        url = warehouse.loader_url.replace(f":{server.port}/", f":{link.port}/")
        zipcodes = zipcodes_on(replace(warehouse, loader_url=url))
        zipcodes.random = Random(seed)
        yield Place(server, link, zipcodes)


@dataclass
class Post:
    """A topic, and a queue of what was sent to it."""

    topic: str
    queue: str

    def mails(self) -> Iterator[tuple[str, str]]:
        """Yield the subject and the text of each mail."""
        sqs = boto3.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                body: Any = json.loads(message["Body"])
                yield body["Subject"], body["Message"]
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def post(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """Mails of each step, to a queue."""
    sns, sqs, name = boto3.client("sns"), boto3.client("sqs"), "steps-of-zipcodes"
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    policy = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    url = sqs.create_queue(QueueName=name, Attributes={"Policy": text})["QueueUrl"]
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    monkeypatch.setenv("NOTIFY", "steps")
    monkeypatch.setenv("NOTICE_TOPIC_ARN", topic)
    yield Post(topic, url)
    sns.delete_topic(TopicArn=topic)
    sqs.delete_queue(QueueUrl=url)


def more_than_once(mails: Iterator[tuple[str, str]]) -> dict[str, int]:
    """Return the batches that more files were loaded of, by their mails, than they have."""
    sent = Counter(text.split("\n")[0] for subject, text in mails if subject.startswith("4 of 5"))
    assert sent
    return {
        batch: mails
        for batch, mails in sent.items()
        if mails > int(batch.partition(", of ")[2].split()[0])
    }


def test_zip_codes_survive_a_storm(
    place: Place, post: Post, seed: int, tmp_path: Path, say: Callable[[str], None]
) -> None:
    """Whatever is killed, cut or restarted, table and errors are right and no mail comes twice."""
    zipcodes, random = place.zipcodes, Random(seed)
    log = tmp_path / "functions.log"
    storm = Storm(dict(os.environ), seed, log, places=[*PLACES, *OF_FILES])
    place.link.faulty = CUT
    drops = restarts = 0
    with storm.raging(3):
        while (storm.kills < KILLS or restarts < RESTARTS) and not storm.defects:
            zipcodes.drop()
            storm.wait(random.uniform(0.1, 0.6))
            drops += 1
            if restarts < RESTARTS and not drops % DROPS_A_RESTART:
                random.choice([MysqlServer.stop, MysqlServer.kill])(place.server)
                storm.wait(random.uniform(0, 0.5))
                place.server.start()
                restarts += 1
    place.link.faulty = 0.0
    storm.settle()
    say(f"{dict(storm.tally)}, {dict(place.link.faults)}, {restarts} restarts")

    assert storm.wrong + storm.stuck == []
    assert zipcodes.differences() == []
    assert reconcile()["agrees"]
    assert more_than_once(post.mails()) == {}
