"""zipster from dropped files to MySQL: the table, the error objects and the mails."""

import os
import string
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pymysql.connections
import pytest

from functions.common import notices
from local.mysql import SUPERUSER, MysqlServer, run_sql
from tests.aws.test_zipster_files import REPORT, WHOLE
from tests.aws.zipster_oracle import HEADER
from tests.mysql_fixtures import mysql_warehouse_on, own_mysql
from tests.pipeline.invocation import Fate
from tests.pipeline.reconciling import disagreements, fresh_clients, reconcile
from tests.pipeline.storm import Storm
from tests.pipeline.zipster_scene import Zipcodes, zipcodes_on
from tests.postgres_fixtures import Warehouse

__all__ = ["fresh_clients", "zipcodes_on"]


@pytest.fixture
def zipcodes(
    zipcodes_on: Callable[[Warehouse], Zipcodes], new_mysql_warehouse: Callable[..., Warehouse]
) -> Zipcodes:
    """The functions of zipster before an empty, managed warehouse."""
    return zipcodes_on(new_mysql_warehouse())


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return the mails that are sent, to somebody who wants one for each file."""
    sent: list[tuple[str, str]] = []

    class Topic:
        def publish(self, *, TopicArn: str, Subject: str, Message: str) -> None:  # noqa: N803
            sent.append((Subject, Message))

    monkeypatch.setattr(notices, "_sns", Topic)
    monkeypatch.setenv("NOTICE_TOPIC_ARN", "topic")
    monkeypatch.setenv("NOTIFY", "every-file")
    return sent


def test_what_a_file_says_is_in_the_table_and_what_is_wrong_in_its_errors(
    zipcodes: Zipcodes, mails: list[tuple[str, str]]
) -> None:
    """Exact values, the error object to the letter, one mail with the numbers, and both agree."""
    zipcodes.put("zips.csv", WHOLE)
    zipcodes.functions.run()

    found = run_sql(
        zipcodes.functions.warehouse.superuser_url,
        "SELECT ZIPCODE, ZIPCODE_TYPE, CITY, STATE, LOCATION_TYPE, LATITUDE, LONGITUDE, LOCATION, "
        "DECOMISSIONED, ST_AsText(COORDS) FROM ZIPCODES ORDER BY ZIPCODE",
    )
    assert [tuple(row) for row in found] == [
        ("00601", "STANDARD", "ADJUNTAS", "PR", "PRIMARY", 18.1, -66.7, "NA-US-PR-ADJUNTAS", 0,
         "POINT(-66.7 18.1)"),
        ("99999", "UNIQUE", "THE END", "DC", "PRIMARY", 0.0, 180.0, "NA-US-DC-THE END", 1,
         "POINT(180 0)"),
    ]  # fmt: skip
    errors = zipcodes.functions.body(zipcodes.functions.processed, "errors/zipcodes/zips.err")
    assert errors.decode() == REPORT
    [(subject, text)] = mails
    assert subject == "zips.csv is in the warehouse, without 7 rows that were refused"
    assert "zips.csv: 9 rows read, 2 accepted, 7 refused\n" in text
    report = reconcile()
    assert report["agrees"]
    assert disagreements(report) == {"ZIPCODES": {"quarantined": 7}}


def test_files_together_twice_and_overwritten_come_to_what_they_say(
    zipcodes: Zipcodes, mails: list[tuple[str, str]]
) -> None:
    """The newest version of a zip code counts, and what comes again changes nothing."""
    for number in (0, 1, 2):
        zipcodes.drop(number)
    zipcodes.functions.run()
    assert zipcodes.differences() == []
    assert len(mails) == 3

    zipcodes.drop(1)
    zipcodes.drop(1)
    zipcodes.drop(3)
    zipcodes.functions.run()
    assert zipcodes.differences() == []
    assert len(mails) == 6

    before = zipcodes.stored()
    zipcodes.functions.run()
    assert zipcodes.stored() == before
    assert len(mails) == 6
    assert reconcile()["agrees"]


def test_the_same_file_under_another_name_changes_no_row(zipcodes: Zipcodes) -> None:
    """Each is read, and the load finds nothing to write."""
    zipcodes.put("zips.csv", WHOLE)
    zipcodes.functions.run()
    zipcodes.put("again.csv", WHOLE)
    zipcodes.functions.extract()
    zipcodes.functions.transform()
    assert zipcodes.functions.load()["rows"] == {}


def test_the_five_steps_of_each_file_are_reported_once_and_in_order(
    zipcodes: Zipcodes, mails: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NOTIFY=steps, for two files that came together; runs that find nothing tell nothing."""
    monkeypatch.setenv("NOTIFY", "steps")
    zipcodes.put("a.csv", WHOLE)
    zipcodes.put("b.csv", f"{HEADER}\n")
    zipcodes.functions.run()
    zipcodes.functions.run()

    steps = [subject for subject, _ in mails]
    assert [each for each in steps if each.endswith("a.csv")] == [
        "1 of 5: received a.csv",
        "2 of 5: checked a.csv",
        "3 of 5: wrote what is refused of a.csv",
        "4 of 5: loaded a.csv",
        "5 of 5: done with a.csv",
    ]
    assert [each.replace("b.csv", "a.csv") for each in steps if each.endswith("b.csv")] == [
        each for each in steps if each.endswith("a.csv")
    ]


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch, before: Callable[[Any, str], None]) -> Iterator[None]:
    """Call a function with connection and statement before each statement is sent."""
    send = pymysql.connections.Connection.query

    def query(connection: Any, sql: str | bytes, *more: Any) -> Any:
        before(connection, str(sql))
        return send(connection, sql, *more)

    with monkeypatch.context() as patch:
        patch.setattr(pymysql.connections.Connection, "query", query)
        yield


def statements_of_load(zipcodes: Zipcodes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the statements that a load of a batch sends."""
    sent: list[str] = []
    with watching(monkeypatch, lambda _, sql: sent.append(sql)):
        zipcodes.functions.load()
    return sent


@pytest.fixture
def batch(zipcodes: Zipcodes) -> Callable[[], None]:
    """Return what makes another batch, of which a load inserts a row and updates the others.

    Two batches are loaded already, the first of which made the table.
    """
    cities = iter(string.ascii_uppercase * 2)

    def make() -> None:
        city = next(cities)
        codes = range(string.ascii_uppercase.index(city) + 5)
        rows = (
            f"{code},STANDARD,{city},PR,PRIMARY,18.1,-66.7,NA-US-PR-{city},FALSE\n"
            for code in codes
        )
        zipcodes.put("zips.csv", f"{HEADER}\n{''.join(rows)}")
        zipcodes.functions.extract()
        zipcodes.functions.transform()

    for _ in range(2):
        make()
        zipcodes.functions.load()
    return make


def test_a_load_that_dies_at_any_statement_leaves_a_batch_whole(
    zipcodes: Zipcodes,
    batch: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The table has all of a batch or nothing of it, and the next load goes on from there."""
    batch()
    sent = statements_of_load(zipcodes, monkeypatch)
    storm = Storm(dict(os.environ), 1, tmp_path / "functions.log")
    states = Counter[str]()
    # After the n-th statement the functions have come to 2n messages.
    for done in count(sent.index("START TRANSACTION") + 1):
        batch()
        before = zipcodes.stored()
        outcome = storm.invoke("load", {}, Fate(die_at_message=2 * done))
        died = zipcodes.stored()
        storm.calm("load")
        after = zipcodes.stored()
        assert died in (before, after)
        assert before != after
        if outcome is not None:
            break
        states["before" if died == before else "after"] += 1

    assert done > sent.index("COMMIT") + 2
    assert storm.wrong == []
    assert zipcodes.differences() == []
    assert min(states["before"], states["after"]) >= 3


def test_a_connection_that_is_cut_in_a_batch_leaves_it_whole(
    zipcodes: Zipcodes, batch: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is there of it, whichever statement came last, and the next load goes on."""
    batch()
    sent = statements_of_load(zipcodes, monkeypatch)
    for place in range(sent.index("START TRANSACTION") + 1, sent.index("COMMIT") + 1):
        batch()
        before, left = zipcodes.stored(), count(place, -1)

        def cut(connection: Any, _: str, left: Iterator[int] = left) -> None:
            if connection.user != SUPERUSER and not next(left):
                run_sql(
                    zipcodes.functions.warehouse.superuser_url, f"KILL {connection.thread_id()}"
                )

        with (
            watching(monkeypatch, cut),
            pytest.raises(Exception, match=r"connection|server") as raised,
        ):
            zipcodes.functions.load()
        assert type(raised.value).__name__ == "DatabaseUnavailableError"
        assert zipcodes.stored() == before
        zipcodes.functions.load()
        assert zipcodes.stored() != before
    assert zipcodes.differences() == []


def test_a_server_that_stops_and_starts_again_loses_nothing(
    zipcodes_on: Callable[[Warehouse], Zipcodes],
) -> None:
    """A load that finds none says so, and the next one has all that came meanwhile."""
    with own_mysql() as server:
        zipcodes = zipcodes_on(mysql_warehouse_on(server, "warehouse"))
        zipcodes.drop(0)
        zipcodes.functions.run()
        for end in (MysqlServer.stop, MysqlServer.kill):
            end(server)
            zipcodes.drop(0)
            zipcodes.drop(1)
            zipcodes.functions.extract()
            zipcodes.functions.transform()
            with pytest.raises(Exception, match="Connection refused") as raised:
                zipcodes.functions.load()
            assert type(raised.value).__name__ == "DatabaseUnavailableError"
            server.start()
            zipcodes.functions.load()
            assert zipcodes.differences() == []
        assert reconcile()["agrees"]
