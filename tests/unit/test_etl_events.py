"""Declarations of events, and the message for each mistake in one."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

import etl.testing
from etl import (
    WHOLE,
    BodySignature,
    DeclarationError,
    EventFeed,
    Events,
    Integer,
    Json,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    StampedSignature,
    Table,
    Text,
    UnixTime,
    once,
)

CHARGES = Table("charges", key="id", columns={"id": Text(), "raw": Json(binary=True)})
OTHERS = Table("others", key="id", columns={"id": Text()})
FIELDS = {"id": "id", "raw": WHOLE}
CHARGE_FEED = EventFeed(CHARGES, ("charge.*", "refund.created"), FIELDS)
OTHER_FEED = EventFeed(OTHERS, ("*",), {"id": "id"})
PAYMENTS = Events("payments", StampedSignature(), (CHARGE_FEED, OTHER_FEED))


def pipeline_of(*sources: Events | Postgres) -> Pipeline:
    tables = [once(table) for source in sources for table in source.tables]
    return Pipeline(sources=sources, targets=[PostgresWarehouse("warehouse", tuple(tables))])


@pytest.mark.parametrize(
    ("type_of_event", "table"),
    [
        ("charge.succeeded", CHARGES),
        ("charge.dispute.created", CHARGES),
        ("refund.created", CHARGES),
        ("refund.created\n", OTHERS),
        ("Charge.succeeded", OTHERS),
        ("charge", OTHERS),
        ("", OTHERS),
    ],
)
def test_an_event_goes_to_the_first_feed_that_it_fits(type_of_event: str, table: Table) -> None:
    """So that a feed of all types may follow the others."""
    feed = PAYMENTS.feed_of(type_of_event)
    assert feed is not None
    assert feed.table is table


def test_an_event_may_fit_no_feed() -> None:
    """Then it is refused, and not lost."""
    source = Events("payments", StampedSignature(), (CHARGE_FEED,))
    assert source.feed_of("invoice.paid") is None


def test_a_source_of_events_has_a_path_and_a_secret_by_its_name() -> None:
    """The URL for the provider follows from the name, unless a path is declared."""
    hooks = Events("hooks", BodySignature(), (OTHER_FEED,), path="/v1/git-hub")
    assert (PAYMENTS.url_path, hooks.url_path) == ("/webhooks/payments", "/v1/git-hub")
    assert PAYMENTS.setting == "PAYMENTS_WEBHOOK_SECRET"
    assert PAYMENTS.secret_setting == "PAYMENTS_SECRET_ID"
    assert PAYMENTS.tables == (CHARGES, OTHERS)


def test_events_are_a_source_that_is_no_database() -> None:
    """They have no address to connect to, and extract has nothing to read."""
    rows = Table("rows", key="id", columns={"id": Integer()})
    pipeline = pipeline_of(PAYMENTS, Postgres("source", tables=(rows,)))
    assert pipeline.events == (PAYMENTS,)
    assert pipeline.files == ()
    assert [part.name for part in pipeline.databases] == ["source", "warehouse"]


def test_rows_of_events_can_be_tried() -> None:
    """With texts as they are in an event, and the engine's own rules."""
    moments = Table("moments", key="id", columns={"id": Text(), "created": UnixTime()})
    fields = {"id": "id", "created": "created"}
    source = Events("moments", StampedSignature(), (EventFeed(moments, ("*",), fields),))
    made = etl.testing.made(
        pipeline_of(source),
        "moments",
        moments=[{"id": "evt_1", "created": "1731758400"}, {"id": "evt_2", "created": "soon"}],
    )
    at = datetime(2024, 11, 16, 12, tzinfo=UTC)
    assert made.rows == [{"id": "evt_1", "created": at}]
    assert list(made.refused) == ["evt_2"]


def feed(**changed: object) -> EventFeed:
    options = {"table": CHARGES, "types": ("charge.*",), "fields": FIELDS} | changed
    return EventFeed(**options)  # type: ignore[arg-type]


def events(**changed: object) -> Events:
    options = {"name": "payments", "signature": StampedSignature(), "feeds": (CHARGE_FEED,)}
    return Events(**(options | changed))  # type: ignore[arg-type]


REFERRING = Table("items", key="id", columns={"id": Text(), "charge": Text(references=CHARGES)})


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: feed(fields={"id": "id"}), "table charges: say in fields where column raw is"),
        (
            lambda: feed(fields={**FIELDS, "sum": "data.sum"}),
            "table charges: fields name sum, which is no column",
        ),
        (
            lambda: feed(fields={**FIELDS, "id": "data..id"}),
            "table charges: field id: write its path as in data.object.id or header:X-Name",
        ),
        (lambda: feed(types="charge.*"), 'table charges: types are several: write ("charge.*",)'),
        (
            lambda: feed(table=REFERRING, fields={"id": "id", "charge": "charge"}),
            "table items: events refer to no other tables: join them in a view or a model",
        ),
        (
            lambda: events(id="header:"),
            "source payments: write its path as in data.object.id or header:X-Name",
        ),
        (
            lambda: events(required=("data.object", "$.x")),
            "source payments: write its path as in data.object.id or header:X-Name",
        ),
        (
            lambda: events(required="data.object"),
            'source payments: required are several: write ("data.object",)',
        ),
        (lambda: events(feeds=()), "source payments: declare at least one EventFeed(…)"),
        (
            lambda: events(path="webhooks"),
            "source payments: its path is like /webhooks/payments",
        ),
        (lambda: events(path="/a b"), "source payments: its path is like /webhooks/payments"),
        (lambda: events(max_bytes=0), "source payments: max_bytes is 750,000 at most"),
        (lambda: events(max_bytes=750_001), "source payments: max_bytes is 750,000 at most"),
        (
            lambda: Pipeline(sources=[events(feeds=(CHARGES,))], targets=[]),
            "source payments: table charges is no EventFeed(…)",
        ),
        (
            lambda: pipeline_of(
                PAYMENTS, Events("two", BodySignature(), (feed(),), path="/webhooks/payments")
            ),
            "two paths of events are called /webhooks/payments: rename one of them",
        ),
    ],
)
def test_a_mistake_in_a_declaration_is_one_clear_line(
    declare: Callable[[], object], message: str
) -> None:
    """It says where it is, and what to write."""
    with pytest.raises(DeclarationError) as error:
        declare()
    assert message in str(error.value)


def test_events_need_a_key() -> None:
    """Without one, repeated events could not be recognised."""
    keyless = Table("lines", key=(), columns={"text": Text()})
    source = Events("lines", BodySignature(), (EventFeed(keyless, ("*",), {"text": WHOLE}),))
    with pytest.raises(DeclarationError, match="it has no key: name the columns"):
        Pipeline(sources=[source], targets=[])
