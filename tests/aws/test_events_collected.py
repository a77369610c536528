"""Events that wait in a queue, and the batches that they are collected into."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from functions.collect import handler as collect
from functions.common.accounts import FileVersion, KnownFiles
from functions.common.errors import BatchConflictError
from functions.common.storage import Bucket
from functions.extract.replay import replay
from functions.sources.events.capture import Capture
from functions.sources.events.messages import Message
from functions.transform.sweep import sweep_all
from tests.aws.posted import AT, OTHERS, PIPELINE, SHOP, Posted, charge

CUSTOMER = {"id": "evt_c", "type": "customer.made", "data": {"amount": None}}


def test_all_messages_are_one_batch_in_the_order_in_which_they_came(posted: Posted) -> None:
    """A row has its place, its columns as text, and the event: when it came, and as what."""
    first, second = (
        json.dumps(charge(7)).encode(),
        b' {"id": "evt_8", "type": "charge.x", "data":1}',
    )

    kept = posted.collect(
        posted.record(CUSTOMER, after=2),
        posted.record(second, after=1, headers={"x-sent": "today"}),
        posted.record(first),
    )

    assert kept == []
    batch = posted.batch()
    assert posted.rows(batch) == [
        {
            "id": "evt_7",
            "sent": None,
            "amount": "7",
            "raw": first.decode(),
            "_event": "evt_7",
            "_received": AT.isoformat(),
            "_signed": "true",
            "_line": 1,
            "_wrong": None,
            "_row": first.decode(),
        },
        {
            "id": "evt_8",
            "sent": "today",
            "amount": None,
            "raw": second.decode(),
            "_event": "evt_8",
            "_received": (AT + timedelta(seconds=1)).isoformat(),
            "_signed": "true",
            "_line": 2,
            "_wrong": None,
            "_row": second.decode(),
        },
    ]
    assert [row["_line"] for row in posted.rows(batch, OTHERS)] == [3]
    assert batch.known == KnownFiles(since=1)
    assert batch.source.database == "shop-events"
    assert [read.file for read in batch.files] == [
        FileVersion("shop-events", key, None, "", size, batch.source.snapshot_at)
        for key, size in (
            ("charges/0000000001", len(first + second)),
            ("others/0000000001", len(json.dumps(CUSTOMER))),
        )
    ]


def test_an_event_that_comes_twice_is_in_a_batch_once(posted: Posted) -> None:
    """The one that came first; a wrong one does not keep out a good one."""
    posted.collect(
        posted.record(charge(1, note="late"), after=3),
        posted.record(charge(1, note="early"), after=2),
        posted.record({"id": "evt_1", "type": "charge.x"}, after=1),
    )

    wrong, good = posted.rows(posted.batch())
    assert (wrong["_wrong"], good["_wrong"]) == ("it has no data", None)
    assert json.loads(good["raw"])["note"] == "early"


def test_what_is_no_message_of_ours_stays_in_the_queue(posted: Posted) -> None:
    """The others go on; the queue moves it to its dead letters in the end."""
    kept = posted.collect(
        posted.as_sent("{"),
        posted.record(charge(1)),
        posted.record(charge(2), source="nobody"),
        posted.as_sent('{"source": "shop"}'),
    )

    assert kept == ["m1", "m3", "m4"]
    assert posted.ids() == ["evt_1"]
    assert posted.collect(posted.as_sent("{")) == ["m5"]


def test_messages_stay_when_their_batch_cannot_be_written(
    posted: Posted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batches of other sources are written; if none can be, the function fails."""
    write = Bucket.put_new

    def refuse(bucket: Bucket, key: str, body: bytes) -> bool:
        if "shop" in key:
            raise OSError("S3 is away")
        return write(bucket, key, body)

    monkeypatch.setattr(Bucket, "put_new", refuse)

    assert posted.collect(posted.record(charge(1)), posted.record(charge(2), source="ship")) == [
        "m1"
    ]
    with pytest.raises(OSError, match="S3 is away"):
        posted.collect(posted.record(charge(1)))


def test_a_number_that_another_run_claimed_is_passed_over(
    posted: Posted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two functions at a time write two batches; one that never gets a number keeps its events."""
    monkeypatch.setattr(collect, "LONGEST_PAUSE", 0)
    posted.collect(posted.record(charge(1)))
    log, lies = collect._log("shop"), iter([0])
    newest = log.newest
    monkeypatch.setattr(log, "newest", lambda: next(lies, newest()))

    assert posted.collect(posted.record(charge(2))) == []
    assert posted.batch().batch == 2
    assert posted.ids() == ["evt_2"]
    monkeypatch.setattr(log, "newest", lambda: 0)
    with pytest.raises(BatchConflictError):
        posted.collect(posted.record(charge(3)))


def test_many_messages_are_written_in_bounded_memory(
    posted: Posted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are handed on before all are made, and none is lost for it."""
    monkeypatch.setattr("functions.sources.events.capture.ROWS_BYTES", 500)

    posted.collect(*(posted.record(charge(number), after=number) for number in range(50)))

    assert posted.ids() == [f"evt_{number}" for number in range(50)]


def test_what_cannot_be_a_row_is_refused_with_the_reason(posted: Posted) -> None:
    """A signed event that is not what is declared is in errors/, and in no table."""
    posted.collect(
        posted.record(charge(1)),
        posted.record({"type": "charge.x", "data": {}}, after=1),
        posted.record({"id": "evt_3", "data": {}}, after=2),
        posted.record({"id": "evt_4", "type": "refund.x", "data": {}}, after=3),
        posted.record(charge(5, data={"amount": "five"}), after=4),
        posted.record(charge(6, data={"amount": [6]}), after=5),
        posted.record(b"\xff{}", after=6),
        posted.record({"id": True, "type": "", "data": None}, after=7),
        posted.record({**charge(9), "id": "evt_\ud83d"}, after=8),
    )

    manifest = posted.transform()

    assert manifest.tables["charges"].rows == 1
    assert manifest.tables["others"].rows == 0
    assert _errors(posted, "charges") == [
        ("2", "it has no id"),
        ("5", "amount is not a whole number: 'five'"),
        ("6", "amount is a list"),
        ("9", "it has no id; id is not UTF-8"),
    ]
    assert _errors(posted, "others") == [
        ("3", "it has no type"),
        ("4", "there is no table for its type"),
        ("7", "it is not UTF-8"),
        ("8", "it has no id; it has no type; it has no data; id is true or false and not a text"),
    ]
    assert {each.table: (each.rows, each.out, each.refused) for each in manifest.files} == {
        "charges": (5, 1, 4),
        "others": (4, 0, 4),
    }


def _errors(posted: Posted, table: str) -> list[tuple[str, str]]:
    text = posted.processed.get(f"errors/{table}/0000000001.csv").decode()
    found = csv.DictReader(io.StringIO(text, newline=""))
    return [(row["line"], row["reasons"]) for row in found]


def test_a_batch_is_replayed_whole(posted: Posted) -> None:
    """Events are inserted once, so what came later takes nothing from it."""
    posted.collect(posted.record(charge(1)), posted.record(charge(2, data={"amount": "x"})))
    posted.transform()
    posted.collect(posted.record(charge(2)))
    assert [each.file.key for each in posted.transform().refusals] == ["charges/0000000001"]

    again = replay(
        posted.logs.ingested, SHOP, PIPELINE, 1, run="replay", now=lambda: datetime.now(UTC)
    )

    assert posted.rows(again) == posted.rows(posted.logs.ingested.read(1))
    assert [each.file.key for each in posted.transform().refusals] == ["charges/0000000001"]
    assert posted.transform().tables["charges"].rows == 1


def test_what_a_dead_run_has_left_expires(posted: Posted) -> None:
    """Objects that a batch names stay, and nothing is looked for that events do not have."""
    moments = iter([AT, AT, AT + timedelta(days=1), AT + timedelta(days=1)])  # two of each batch
    capture = Capture(SHOP, PIPELINE, posted.logs.ingested, "queue", lambda: next(moments))
    for number in range(2):
        capture.run("run", [Message.of(posted.record(charge(number)))])
    posted.transform()
    orphan = f"shop/charges/{AT:%Y-%m-%d}/0000000001-9999999990001.parquet"
    posted.lake.put_new(orphan, b"left behind")
    posted.lake.put_new(f"keys/shop/{AT:%Y-%m-%d}/0000000001-1.parquet", b"not ours")
    before = set(posted.lake.keys_after("", "", 1000))

    removed = sweep_all(PIPELINE, posted.logs, (AT + timedelta(days=9)).date(), lambda: True)

    assert removed == 1
    assert before - set(posted.lake.keys_after("", "", 1000)) == {orphan}
