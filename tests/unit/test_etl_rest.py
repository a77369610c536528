"""What may be declared of an API, and what is said of each mistake."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from etl import (
    ApiKey,
    Csv,
    Cursor,
    DeclarationError,
    Feed,
    Integer,
    NextLink,
    PageNumber,
    Pipeline,
    PostgresWarehouse,
    Resource,
    Rest,
    Setting,
    Table,
    Window,
    at_most,
    latest,
    replace,
)
from etl.providers import fault_of_url

ITEMS = Table("items", key="id", columns={"id": Integer()})
OTHERS = Table("others", key="id", columns={"id": Integer(references=ITEMS)})


def pipeline_of(*feeds: Any, target: Any = None) -> Pipeline:
    return Pipeline(
        sources=[Rest("shop", feeds)],
        targets=[PostgresWarehouse("warehouse", (target or latest(ITEMS),))],
    )


def test_an_api_is_a_source_with_settings_of_its_own() -> None:
    """Its URL and its key are named after it, and so is how often it is asked."""
    source = Rest(
        "shop", (Resource(ITEMS),), key=ApiKey("X-Key", ""), at_most=at_most("SHOP_AT_MOST")
    )
    pipeline = Pipeline(
        sources=[source], targets=[PostgresWarehouse("warehouse", (latest(ITEMS),))]
    )

    assert (source.setting, source.key_setting) == ("SHOP_URL", "SHOP_API_KEY")
    assert [each.name for each in pipeline.settings] == ["SHOP_AT_MOST"]
    assert pipeline.apis == (source,)
    assert [each.name for each in pipeline.databases] == ["warehouse"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rest("shop", ()), "source shop: declare at least one Resource"),
        (lambda: Rest("shop", (Resource(ITEMS),), max_bytes=1 << 30), "max_bytes is 128 MB"),
        (
            lambda: Rest("shop", (Resource(ITEMS),), at_most=Setting("A", "often")),
            r'write its at_most as at_most\("SHOP_AT_MOST"\)',
        ),
        (lambda: pipeline_of(Feed(ITEMS, "*.csv")), "source shop: Feed.* is no Resource"),
        (lambda: Resource(OTHERS), "rows of an API refer to no others"),
        (lambda: Resource(ITEMS, format="csv"), "write its format as Csv"),  # type: ignore[arg-type]
        (lambda: Resource(ITEMS, max_rejects=5), "max_rejects is a share"),
        (lambda: Resource(ITEMS, rows="a b"), "rows: write its path"),
        (lambda: Resource(ITEMS, rows="data", format=Csv()), "only JSON has paths"),
        (lambda: Resource(ITEMS, paging=NextLink("next"), format=Csv()), "only JSON has paths"),
        (lambda: Resource(ITEMS, paging=Cursor("c", "next"), format=Csv()), "only JSON has paths"),
        (lambda: NextLink("a b"), "NextLink: write its path"),
        (lambda: Cursor("after", ""), "Cursor: write its path"),
        (lambda: ApiKey("X Key"), "cannot be a header with a key"),
        (lambda: ApiKey(prefix="a\r\nb"), "cannot be a header with a key"),
        (lambda: Window("from"), r"write Window\(\"from\", days=90\), or since="),
        (lambda: Window("from", days=1, since=date(2026, 1, 1)), "write Window"),
        (
            lambda: pipeline_of(Resource(ITEMS, paging=PageNumber()), target=replace(ITEMS)),
            "table items: it comes in pages, and a table that is replaced equals one document",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(make: Callable[[], object], message: str) -> None:
    """It is said when the pipeline is deployed, and not at night."""
    with pytest.raises(DeclarationError, match=message):
        make()


def test_rows_of_one_document_may_replace_a_table_without_a_key() -> None:
    """As those of a file may."""
    lines = Table("lines", key=(), columns={"id": Integer()})
    pipeline = pipeline_of(Resource(lines), target=replace(lines))
    assert pipeline.replaced("shop") == {"lines"}


@pytest.mark.parametrize(
    ("window", "last", "start"),
    [
        (Window("from", since=date(2020, 1, 1)), date(2026, 11, 22), date(2020, 1, 1)),
        (Window("from", days=30), date(2026, 11, 22), date(2026, 10, 1)),
        (Window("from", days=0), date(2026, 11, 22), date(2026, 11, 1)),
        (Window("from", days=365), date(2026, 1, 1), date(2025, 1, 1)),
    ],
)
def test_a_window_reaches_back_at_least_as_far_as_declared(
    window: Window, last: date, start: date
) -> None:
    """It begins with a month, so that its query stays the same for days."""
    assert window.start(last) == start
    if window.days is not None:
        assert window.start(last) <= last - timedelta(days=window.days)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://api.example.com/v1?format=csv", None),
        ("https://api.example.com:8443", None),
        ("http://127.0.0.1:8000/rates", None),
        ("http://localhost:8000/rates", None),
        ("http://[::1]:8000/rates", None),
        ("http://api.example.com/v1", "does not begin with https://"),
        ("http://169.254.169.254/latest", "does not begin with https://"),
        ("http://127.0.0.1.example.com/", "does not begin with https://"),
        ("http://localhost@example.com/", "has a user in it"),
        ("https://me:key@api.example.com/", "has a user in it"),
        ("ftp://api.example.com/", "does not begin with https://"),
        ("file:///etc/passwd", "does not begin with https://"),
        ("https:///v1", "does not begin with https://"),
        ("api.example.com", "does not begin with https://"),
        ("https://api.example.com:port/", "is no URL"),
        ("https://[::1/", "is no URL"),
        ("https://api.example.com/a b", "is no URL"),
        ("https://api.example.com/\r\nX: y", "is no URL"),
        ("https://api.exämple.com/", "is no URL"),
    ],
)
def test_an_api_is_asked_over_tls_or_on_this_machine(url: str, fault: str | None) -> None:
    """Anything else would show a key to others, or let them change an answer."""
    found = fault_of_url(url)
    assert found == fault if fault is None else fault in str(found)
