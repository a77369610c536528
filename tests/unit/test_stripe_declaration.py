"""The tables that stripe makes of events: families, columns, and files of payment sources."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import etl.testing
from deployer.resources.names import Names
from deployer.resources.policies import function_policy
from etl import (
    DeclarationError,
    EventFeed,
    Events,
    Pipeline,
    PostgresWarehouse,
    RowExport,
    StampedSignature,
    Table,
    Text,
    View,
    once,
)
from etl.loading import load
from functions.transform.rowexports import RowExports
from pipelines.stripe.pipeline import PIPELINE, STAGING, payment_source
from tests.unit.fake_bucket import FakeBucket

[SOURCE] = PIPELINE.events


def event(source: Any, **fields: Any) -> dict[str, Any]:
    raw = {"data": {"object": {"id": "ch_1", "source": source}}}
    return {"id": "evt_1", "type": "charge.succeeded", "raw": json.dumps(raw)} | fields


@pytest.mark.parametrize(
    ("type_of_event", "family"),
    [
        ("charge.succeeded", "charge"),
        ("charge.refunded", "charge"),
        ("charge.refund.updated", "refund"),
        ("charge.dispute.created", "dispute"),
        ("customer.updated", "customer"),
        ("customer.subscription.deleted", "subscription"),
        ("invoice.paid", "invoice"),
        ("invoiceitem.created", "other"),
        ("payment_intent.succeeded", "payment_intent"),
        ("payout.paid", "payout"),
        ("product.created", "product"),
        ("price.updated", "price"),
        ("checkout.session.completed", "checkout_session"),
        ("a type that nobody knows yet", "other"),
    ],
)
def test_each_type_has_its_family(type_of_event: str, family: str) -> None:
    """An event is staged with those of the same objects, and any other type with the rest."""
    feed = SOURCE.feed_of(type_of_event)
    assert feed
    assert feed.table.name == family


def test_only_what_every_event_has_is_required() -> None:
    """An event without an amount, a customer or an API version is no bad event."""
    columns = SOURCE.tables[0].columns
    required = [name for name, column in columns.items() if not column.nullable]
    assert required == ["id", "type", "created", "raw"]
    assert SOURCE.required == ("created", "data.object")


def test_an_event_of_an_unknown_type_may_have_anything() -> None:
    """An amount may be an object, as in billing.credit_grant.created: the event has it in raw."""
    usual = {"id": "1", "amount": "5", "currency": '"usd"', "customer": None, "status": '"new"'}
    odd = {"id": "2", "amount": '{"value": 1}', "currency": "7", "customer": "{}", "status": "[]"}
    large = {"id": "3", "amount": str(2**63), "currency": "null", "customer": "true"}
    same = {"type": "x", "created": "0", "raw": "{}"}

    made = etl.testing.made(
        PIPELINE, "other_staging", other=[usual | same, odd | same, large | same]
    )

    names = ("id", "amount", "currency", "customer", "status")
    assert [tuple(row[name] for name in names) for row in made.rows] == [
        ("1", 5, "usd", None, "new"),
        ("2", None, None, None, None),
        ("3", None, None, None, None),
    ]
    assert made.refused == {}


def test_a_payment_source_is_flattened() -> None:
    """Objects in it are columns, NULL is empty, and numbers and lists are as in JSON."""
    source = {"id": "card_1", "exp": 12, "paid": True, "x": None, "a": {"b": {"c": 1.50}}, "l": [1]}
    assert payment_source(event(source)) == {
        "id": "card_1",
        "exp": "12",
        "paid": "true",
        "x": "",
        "a.b.c": "1.5",
        "l": "[1]",
    }


@pytest.mark.parametrize(
    "raw",
    ["{}", '{"data": []}', '{"data": {"object": "x"}}', '{"data": {"object": {"source": 1}}}'],
)
def test_an_event_without_a_payment_source_has_no_file(raw: str) -> None:
    """Whatever an event has there, it is no error."""
    assert payment_source(event(None, raw=raw)) is None


def exported(*events: dict[str, Any]) -> dict[str, str]:
    bucket = FakeBucket()
    RowExports(bucket, PIPELINE).write(STAGING["charge"], pa.Table.from_pylist(list(events)))
    return {key: body.decode() for key, body in bucket.objects.items()}


def test_a_payment_source_has_a_file_by_type_and_event() -> None:
    """A file is a header and a row; an event that comes again writes the same file."""
    card = event({"id": "card_1", "last4": "4242", "name": "Ann, B"})
    one = {
        "exports/charge.succeeded/evt_1.csv": 'id,last4,name\ncard_1,4242,"Ann, B"\n',
    }
    assert exported(card, event(None, id="evt_2")) == one
    assert exported(card, card) == one


def test_no_value_leaves_its_place_in_a_key() -> None:
    """A slash, dots and a very long name are a part of the path like others."""
    source = {"id": "x"}
    keys = exported(
        event(source, type="../..", id="a/b"),
        event(source, type="..", id="é"),
        event(source, id="l" * 1000),
    )
    assert sorted(keys)[:2] == ["exports/%2E%2E/%C3%A9.csv", "exports/..%2F../a%2Fb.csv"]
    [long] = [key for key in keys if "lll" in key]
    assert len(long) < 300


def test_no_cell_is_a_formula() -> None:
    """A cell that a spreadsheet would calculate becomes text; a negative number stays one."""
    source = {"=n": "=1+1", "amount": -5, "at": "@x", "plus": "+49 1"}
    [body] = exported(event(source)).values()
    assert body == "'=n,amount,at,plus\n'=1+1,-5,'@x,'+49 1\n"


def test_each_staging_table_exports_its_sources() -> None:
    """Payment sources are in charges, and may be in objects of any type."""
    [target] = PIPELINE.targets
    assert [export.table for export in target.row_exports] == list(STAGING.values())
    assert all(isinstance(export, RowExport) for export in target.row_exports)


def test_transform_may_write_exports_where_rows_have_them() -> None:
    """And may not in a pipeline that exports no rows."""
    names = Names("stripe-etl", "dev", "123456789012", "eu-west-2")
    files = f"{names.bucket_arn('processed')}/exports/*"
    for pipeline, is_allowed in (("stripe", True), ("retail", False)):
        policy = function_policy("transform", names, load(pipeline))
        puts = [each for each in policy["Statement"] if each["Action"] == "s3:PutObject"]
        assert any(files in each["Resource"] for each in puts) == is_allowed


EVENT = Table("event", key="id", columns={"id": Text(), "type": Text()})
MISTAKES: dict[str, Callable[[], object]] = {
    "the export of rows of target table event: there is no column typ for its name": lambda: (
        RowExport(once(EVENT), dict, name=("typ", "id"))
    ),
    "the export of rows of target table event: its name includes the key of the table": lambda: (
        RowExport(once(EVENT), dict, name=("type",))
    ),
    "target warehouse exports rows of target table event, which it does not have: add it "
    "there": lambda: pipeline_of(row_exports=(RowExport(once(EVENT), dict, name=("id",)),)),
    "target warehouse: SELECT 1 is no View(…)": lambda: pipeline_of(views=("SELECT 1",)),
    "two target tables are called event: rename one of them": lambda: pipeline_of(
        views=(View("event", "SELECT 1"),)
    ),
}


def pipeline_of(**options: Any) -> Pipeline:
    feed = EventFeed(EVENT, ("*",), {"id": "id", "type": "type"})
    return Pipeline(
        sources=[Events("source", StampedSignature(), (feed,))],
        targets=[PostgresWarehouse("warehouse", (once(EVENT),), **options)],
    )


@pytest.mark.parametrize("expected", MISTAKES)
def test_a_mistake_is_found_when_the_pipeline_is_declared(expected: str) -> None:
    """A view or an export that cannot be is one line, before anything is deployed."""
    with pytest.raises(DeclarationError) as raised:
        MISTAKES[expected]()
    assert str(raised.value) == expected


def test_the_declaration_imports_nothing_heavy() -> None:
    """Receive imports it while a provider waits."""
    code = (
        "import sys, pipelines.stripe.pipeline; "
        "sys.exit(bool({'numpy', 'pandas', 'pyarrow', 'pg8000'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
