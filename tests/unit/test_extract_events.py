"""Events for extract are checked before anything is read."""

import pytest

from etl import EventFeed, Events, Feed, Files, Postgres, StampedSignature, Table, Text
from functions.common.errors import RepairRequestError, SettingsError, UnknownBatchError
from functions.extract.requests import ExtractRequest, request_of
from functions.sources import NO_REPAIR, Repair
from pipelines.totesys.pipeline import PIPELINE

MALFORMED = [
    {"read": "design"},
    {"read": ["design"], "absent": {"design": ["7"]}},
    {"read": ["design"], "absent": {"design": [2**63]}},
    {"read": ["design"], "absent": {"design": list(range(100_001))}},
    {"read": ["design; DROP TABLE design"]},
    {"read": [], "absent": {"nothing": [1]}},
]


SHOP, BANK = Postgres("shop", ()), Postgres("bank", ())
TWO = (SHOP, BANK)
CHARGES = Table("charges", key="id", columns={"id": Text()})
PAID = Events("paid", StampedSignature(), (EventFeed(CHARGES, ("*",), {"id": "id"}),))
ONE = (PIPELINE.source("source"),)


@pytest.mark.parametrize("event", MALFORMED)
def test_a_malformed_event_is_refused_with_an_example(event: dict[str, object]) -> None:
    """An event without valid tables and keys is refused, in words that quote no value."""
    with pytest.raises(RepairRequestError, match=r"^the event ") as refusal:
        request_of(event, ONE)

    assert "DROP" not in str(refusal.value)


def test_tables_whose_keys_are_looked_for_are_read_as_well() -> None:
    """An event names tables, and keys of some."""
    asked = request_of({"read": ["staff"], "absent": {"design": [7]}, "by": "a person"}, ONE)

    assert asked.repair == Repair(read=["staff"], absent={"design": [7]})
    assert asked.repair.tables == {"staff", "design"}


@pytest.mark.parametrize(
    "event",
    [{}, {"detail-type": "Object Created", "source": "aws.s3"}, None, [], "read", 7],
)
def test_any_other_event_asks_for_what_is_new_in_every_source(event: object) -> None:
    """Whatever wakes extract reads what has changed."""
    assert request_of(event, TWO) == ExtractRequest(TWO, replay=None, repair=NO_REPAIR)


def test_only_the_event_of_a_schedule_may_leave_what_seems_untouched() -> None:
    """It comes again in a minute; whoever invokes extract by hand waits for what is there now."""
    event = {"detail-type": "Scheduled Event", "source": "aws.events"}

    assert request_of(event, TWO) == ExtractRequest(TWO, scheduled=True)


def test_a_file_that_was_dropped_is_nobody_who_waits_for_the_databases() -> None:
    """Files are read whatever wakes extract; each of them would have all tables scanned."""
    both = (SHOP, Files("drop", (Feed(CHARGES, "*.csv"),)))
    record = {"eventSource": "aws:s3", "s3": {"object": {"key": "a.csv"}}}

    assert request_of({"Records": [record, record]}, both) == ExtractRequest(both, scheduled=True)
    for records in ([], [record, {"eventSource": "aws:sqs"}], [7], "aws:s3", None, {"x": record}):
        assert request_of({"Records": records}, both) == ExtractRequest(both)


def test_an_event_may_name_one_source() -> None:
    """A batch that is replayed is one of its log; an unknown source is refused."""
    assert request_of({"source": "bank"}, TWO) == ExtractRequest((BANK,))
    assert request_of({"source": "bank", "replay": 7}, TWO) == ExtractRequest((BANK,), replay=7)
    with pytest.raises(SettingsError, match=r'give \{"source": …\}, one of shop, bank$'):
        request_of({"source": "banc"}, TWO)


def test_what_is_about_one_of_several_sources_says_which() -> None:
    """Batches and tables are numbered and named in each source."""
    with pytest.raises(UnknownBatchError, match="one of shop, bank"):
        request_of({"replay": 7}, TWO)
    with pytest.raises(RepairRequestError, match="one of shop, bank"):
        request_of({"read": ["staff"]}, TWO)


def test_events_are_not_read_and_their_batches_can_be_replayed() -> None:
    """They come by themselves; what came once is in the lake."""
    both = (SHOP, PAID)

    assert request_of({}, both) == request_of(None, both) == ExtractRequest((SHOP,))
    assert request_of({"source": "paid"}, both) == ExtractRequest(())
    assert request_of({"source": "paid", "replay": 7}, both) == ExtractRequest((PAID,), replay=7)
    assert request_of({"replay": 7}, (PAID,)) == ExtractRequest((PAID,), replay=7)
    with pytest.raises(RepairRequestError, match="replay the batches that they came with"):
        request_of({"read": ["charges"]}, (PAID,))
