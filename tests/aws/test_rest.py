"""What extract makes of the answers of an API: a batch for news, and nothing else."""

import gzip
import hashlib
import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from msgspec import structs

from etl import Csv, Cursor, NextLink, PageNumber, Resource, Window, at_most
from functions.common.batchlog import BatchLog
from functions.common.errors import BatchConflictError, ProviderUnavailableError
from functions.sources import Repair
from functions.sources.rest.pages import _shown, _with
from tests.aws.rest_source import CSV, NOTES, PRICES, asking, csv
from tests.rest_server import Asked, Reply, serving


def test_an_answer_becomes_a_batch_and_is_kept_as_it_came(aws: None) -> None:
    """Each row leads to the answer that it came with, byte by byte."""
    body = gzip.compress(b"id,price\n1,1.50\n2,\n")
    with asking() as shop:
        shop.server.answers(Reply(body, headers={"Content-Encoding": "gzip"}))
        batch = shop.batch()

        assert shop.rows(batch) == [("1", "1.50"), ("2", None)]
        assert shop.kept(batch) == [body]
        [read] = batch.files
        assert (read.file.bucket, read.file.key) == (shop.server.url[7:-3], "prices/1")
        assert (read.rows, read.error) == (2, None)
        assert read.copy is not None
        assert read.copy.startswith("files/shop/2026-11-20/0000000001-")
        assert read.copy_sha256 == hashlib.sha256(body).hexdigest()


def test_an_answer_that_is_the_same_makes_no_batch(aws: None) -> None:
    """Also compressed in another way, and asked for by another run; any other one is news."""
    with asking() as shop:
        shop.server.answers(
            csv("1,1.50"), Reply(gzip.compress(csv("1,1.50").body)), csv("1,1.51"), csv("1,1.50")
        )
        assert [shop.run().manifest is not None for _ in range(4)] == [True, False, True, True]
        assert shop.rows(shop.log.read(3)) == [("1", "1.50")]


def test_an_empty_answer_is_nothing_new(aws: None) -> None:
    """A day without data is an empty body, or none at all; what was there stays known."""
    with asking() as shop:
        shop.server.answers(Reply(), csv("1,1.50"), Reply(b" \n"), Reply(status=204), csv("1,1.50"))
        assert [shop.run().manifest is not None for _ in range(5)] == [False, True] + [False] * 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (csv("1,1.50", header="id,cost"), "its header has no column price"),
        (csv("1", header="id"), "its header has no column price"),
        (Reply(b"<!DOCTYPE html><p>Sorry"), "the answer is HTML or XML, and not CSV"),
        (Reply(b"x", type="text/html; charset=utf-8"), "the answer is HTML or XML"),
        (Reply(b"{}", type="application/json"), "the answer has the content type application/json"),
    ],
)
def test_a_changed_form_stops_the_table_and_nothing_is_half_read(
    aws: None, answer: Reply, reason: str
) -> None:
    """It is said at each run, kept once, and goes on when the form is as it was."""
    with asking() as shop:
        shop.server.answers(csv("1,1.50"), answer, answer, csv("1,1.50"))
        shop.batch()

        first, second = shop.run(), shop.run()
        assert list(first.stopped) == ["prices"]
        assert reason in first.stopped["prices"]
        assert second.stopped == first.stopped
        assert second.manifest is None
        assert first.manifest is not None
        assert first.manifest.tables["prices"].files == []
        assert first.manifest.schemas["prices"].error == first.manifest.files[0].error
        assert shop.kept(first.manifest) == [answer.body]

        corrected = shop.run()
        assert corrected.stopped == {}
        assert corrected.manifest is not None
        assert corrected.manifest.schemas["prices"].error is None
        assert shop.rows(corrected.manifest) == [("1", "1.50")]


def test_another_reason_is_kept_too(aws: None) -> None:
    """An answer that changes with each request is kept once for each reason."""
    with asking() as shop:
        page = "<html>request {}</html>"
        shop.server.answers(
            *(Reply(page.format(n).encode()) for n in range(3)), csv("1", header="id")
        )
        assert [shop.run().manifest is not None for _ in range(4)] == [True, False, False, True]


def test_a_column_that_is_new_is_reported_and_carried(aws: None) -> None:
    """It goes into the lake and no further, and is said once."""
    with asking() as shop:
        shop.server.answers(csv("1,1.50"), csv("1,1.50,x", header="id,price,more"))
        shop.run()
        [change] = shop.run().drift
        assert change.startswith("table prices: column more is new in its files")
        assert shop.run().drift == []


def test_an_outage_makes_no_batch_and_loses_nothing(aws: None) -> None:
    """What came in the meantime comes with the next answer."""
    with asking() as shop:
        shop.server.answers(csv("1,1.50"))
        shop.batch()
        for reply in (Reply(status=500), Reply(b"id,price\n1,1.5", cut=5)):
            shop.server.answers(reply)
            with pytest.raises(ProviderUnavailableError):
                shop.run()
        shop.server.answers(csv("1,1.50", "2,3"))
        assert shop.rows(shop.batch()) == [("1", "1.50"), ("2", "3")]


def test_an_api_is_asked_no_more_often_than_declared(aws: None) -> None:
    """Unless somebody asks for it now; what was wrong with it is said meanwhile."""
    with asking(at_most=at_most("SHOP_AT_MOST", "1 hour")) as shop:
        shop.server.answers(csv("1", header="id"), csv("1,1.50"))
        assert list(shop.run().stopped) == ["prices"]

        shop.at += timedelta(minutes=59)
        waits = shop.run()
        assert waits.waiting == "once in 1 hour (SHOP_AT_MOST), next at 2026-11-20 17:00, or --now"
        assert list(waits.stopped) == ["prices"]
        assert len(shop.server.asked) == 1

        assert shop.run(lifted=True).manifest is not None
        shop.at += timedelta(minutes=61)
        assert shop.run().waiting is None


def test_an_api_that_asks_for_time_is_left_alone(aws: None) -> None:
    """For as long as it says, without being asked whether it has changed its mind."""
    with asking() as shop:
        shop.server.answers(Reply(status=429, headers={"Retry-After": "600"}), csv("1,1.50"))
        with pytest.raises(ProviderUnavailableError, match="asks to wait for 600 seconds"):
            shop.run()
        shop.at += timedelta(minutes=9)
        assert "asks for a pause, next at" in str(shop.run().waiting)
        shop.at += timedelta(minutes=2)
        assert shop.rows(shop.batch()) == [("1", "1.50")]


def test_a_fixed_window_asks_from_its_day_on(aws: None) -> None:
    """A parameter that the URL has already stays as it is there."""
    resource = Resource(
        PRICES, "/prices", {"format": "csv"}, Window("from", since=date(2020, 1, 1)), format=Csv()
    )
    with asking(resource) as shop:
        shop.server.answers(csv("1,1.50"))
        shop.run()
        shop.server.url += "?format=other&x=1"
        shop.run()

        paths = [each.path for each in shop.server.asked]
        assert paths == ["/v1/prices"] * 2
        assert shop.server.queries == [
            {"format": "csv", "from": "2020-01-01"},
            {"format": "other", "x": "1", "from": "2020-01-01"},
        ]


def test_a_batch_names_its_url_without_what_may_be_a_key(aws: None) -> None:
    """Declared parameters have their values there, others that the setting has do not."""
    with asking(Resource(PRICES, "/prices", {"format": "csv"}, format=Csv())) as shop:
        shop.server.answers(csv("1,1.50"))
        base = shop.server.url
        shop.server.url += "?token=s3cret"
        [read] = shop.batch().files

    assert read.url == f"{base}/prices?token=...&format=csv"


def test_a_moving_window_has_no_gap_however_long_the_pause(aws: None) -> None:
    """It goes back from the newest answer that was read, to the first of a month."""
    with asking(replace(CSV, window=Window("from", days=10))) as shop:
        shop.server.answers(csv("1,1.50"))
        shop.run()
        shop.at += timedelta(days=200)
        shop.run()
        shop.server.answers(csv("1,1.51"))
        shop.run()
        shop.run()

        starts = [query["from"] for query in shop.server.queries]
        assert starts == ["2026-11-01"] * 3 + ["2027-05-01"]


def test_a_repair_reads_again_what_is_known(aws: None) -> None:
    """Also before it is time for it."""
    with asking(at_most=at_most("SHOP_AT_MOST")) as shop:
        shop.server.answers(csv("1,1.50"))
        shop.run()
        assert shop.rows(shop.batch(repair=Repair(["prices"]))) == [("1", "1.50")]


def test_another_host_is_another_source(aws: None) -> None:
    """What one API said is not known of another."""
    with asking() as shop:
        shop.server.answers(csv("1,1.50"))
        shop.run()
        shop.server.url = shop.server.url.replace("127.0.0.1", "localhost")
        assert shop.rows(shop.batch()) == [("1", "1.50")]


def test_two_runs_never_write_one_batch(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that comes second starts over, and finds nothing new."""
    with asking() as shop:
        shop.server.answers(csv("1,1.50"))
        claim = BatchLog.claim

        def second(log: Any, manifest: Any) -> bool:
            claim(log, structs.replace(manifest, run="another"))
            return claim(log, manifest)

        monkeypatch.setattr(BatchLog, "claim", second)
        with pytest.raises(BatchConflictError):
            shop.run()
        assert shop.run().manifest is None


def test_pages_are_read_to_the_last(aws: None) -> None:
    """All of them are one batch, each with its own answer; a page that changes is news."""
    resource = replace(CSV, paging=PageNumber("page"))
    pages = {"1": csv("1,1", "2,2"), "2": csv("3,3"), "3": csv()}
    with asking(resource) as shop:
        shop.server.script = lambda asked: pages[asked.query["page"]]
        batch = shop.batch()
        assert shop.rows(batch) == [("1", "1"), ("2", "2"), ("3", "3")]
        assert [read.file.key for read in batch.files] == ["prices/1", "prices/2"]
        assert shop.kept(batch) == [pages["1"].body, pages["2"].body]
        assert shop.run().manifest is None

        pages["2"] = csv("3,4")
        assert shop.rows(shop.batch()) == [("1", "1"), ("2", "2"), ("3", "4")]


def test_one_bad_page_keeps_all_of_them_out(aws: None) -> None:
    """Nothing is half read: the page that cannot be used is kept, and no rows of any."""
    resource = replace(CSV, paging=PageNumber("page"))
    pages = {"1": csv("1,1"), "2": csv("3", header="id"), "3": csv()}
    with asking(resource) as shop:
        shop.server.script = lambda asked: pages[asked.query["page"]]
        found = shop.run()
        assert found.stopped == {"prices": "table prices: its header has no column price"}
        assert found.manifest is not None
        assert [read.file.key for read in found.manifest.files] == ["prices/2"]
        assert found.manifest.tables["prices"].files == []
        assert shop.run().manifest is None


def _json(value: object, **headers: str) -> Reply:
    return Reply(json.dumps(value).encode(), type="application/json", headers=headers)


@pytest.mark.parametrize("way", ["link", "header", "cursor"])
def test_json_says_itself_what_follows(aws: None, way: str) -> None:
    """A link in the document or in a header, or a cursor; numbers stay as they were written."""
    paging: Any = {
        "link": NextLink("links.next"),
        "header": NextLink(),
        "cursor": Cursor("after", "links.after"),
    }[way]

    def script(asked: Asked) -> Reply:
        first = not asked.query.get("after")
        links = {"next": "/v1?after=7", "after": "7"} if first else {"next": None}
        body = f'{{"data": {{"items": [{{"id": {1 if first else 2}, "price": 1.10}}]}}, "links": '
        link = {"Link": '</v0>; rel="prev", </v1?after=7>; rel="next"'} if first else {}
        return Reply(f"{body}{json.dumps(links)}}}".encode(), type="application/json", headers=link)

    with asking(Resource(PRICES, paging=paging, rows="data.items")) as shop:
        shop.server.script = script
        assert shop.rows(shop.batch()) == [("1", "1.10"), ("2", "1.10")]
        assert len(shop.server.asked) == 2


@pytest.mark.parametrize("url", ["https://h/x", "https://h/x?after=old"])
def test_a_plus_in_a_parameter_is_not_sent_as_a_blank(url: str) -> None:
    """A cursor in base64 has them, and a link to the next page has them encoded."""
    once = _with(url, {"after": "a+b c"})

    assert once == "https://h/x?after=a%2Bb+c"
    assert _with(once, {"day": "1"}) == "https://h/x?after=a%2Bb+c&day=1"
    assert _shown(once, CSV) == "https://h/x?after=..."
    assert _shown(once, replace(CSV, query={"after": ""})) == once


def test_half_a_character_costs_its_row(aws: None) -> None:
    """JSON may have one, as an escape, and no table can: the other rows of the answer go on."""
    with asking(Resource(NOTES, rows="data")) as shop:
        shop.server.answers(_json({"data": [{"id": 1, "note": "\ud83d"}, {"id": 2}]}))
        batch = shop.batch()

        assert shop.rows(batch, NOTES) == [("2", None)]
        assert [read.rows for read in batch.files] == [2]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"items": []}, "its document has no list data"),
        ({"data": {}}, "its document has no list data"),
        ([], "its document has no list data"),
        ("x", "its document has no list data"),
    ],
)
def test_a_json_document_of_another_form_stops_the_table(
    aws: None, answer: object, reason: str
) -> None:
    """It has to have the list that is declared, even if that is empty."""
    with asking(Resource(NOTES, rows="data")) as shop:
        shop.server.answers(_json({"data": []}), _json(answer))
        shop.batch()
        assert shop.run().stopped == {"notes": f"table notes: {reason}"}


def test_json_that_is_none_stops_the_table(aws: None) -> None:
    """Syntax errors, fields twice, and values in values without end."""
    bodies = [b'{"data": [', b'{"data": [], "data": []}', b'{"data": [NaN]}', b"[" * 100_000]
    with asking(Resource(NOTES, rows="data")) as shop:
        for body in bodies:
            shop.server.answers(Reply(body, type="application/json"))
            assert "it is not" in shop.run().stopped["notes"]


def test_pages_without_end_are_left(aws: None) -> None:
    """One that comes again and again, and a link to somebody else's host."""
    with asking(replace(CSV, paging=PageNumber())) as shop:
        shop.server.answers(csv("1,1"))
        with pytest.raises(ProviderUnavailableError, match="pages without end"):
            shop.run()
    with serving() as server:
        shop.server, shop.source = (
            server,
            replace(shop.source, feeds=(Resource(NOTES, paging=NextLink(), rows="data"),)),
        )
        server.answers(_json({"data": []}, Link="<https://evil.example.com/>; rel=next"))
        with pytest.raises(ProviderUnavailableError, match="leads to another host"):
            shop.run()
