"""Declarations of files, settings and models, and the message for each mistake in one."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from etl import (
    Csv,
    Date,
    DeclarationError,
    ErrorReport,
    Feed,
    Files,
    Integer,
    JsonDocuments,
    Model,
    Pipeline,
    PostgresWarehouse,
    Setting,
    Table,
    Text,
    at_most,
    latest,
    replace,
)
from etl.settings import period, share

LINES = Table("lines", key=(), columns={"text": Text()})
ITEMS = Table("items", key="id", columns={"id": Integer(), "day": Date(nullable=True)})
STAGED = replace(LINES)
DAYS = Model("days", inputs=[STAGED], sql="SELECT 1 AS n", columns={"n": Integer()}, key="n")


def pipeline_of(*tables: object, feeds: object = None, **warehouse: object) -> Pipeline:
    """Return a pipeline of files with some target tables."""
    files = Files("drop", feeds or (Feed(LINES, "*.csv"), Feed(ITEMS, "items/*.json")))  # type: ignore[arg-type]
    return Pipeline(
        sources=[files],
        targets=[PostgresWarehouse("warehouse", tables, **warehouse)],  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("orders.csv", "orders.csv", True),
        ("orders.csv", "orders.csv.gz", True),
        ("orders.csv", "a/orders.csv", False),
        ("orders.csv", "ordersXcsv", False),
        ("orders.csv", "orders.csv\n", False),
        ("*.csv", "a b+ü.csv", True),
        ("*.csv", "a/b.csv", False),
        ("day/*.json", "day/2026-11-01.json.gz", True),
        ("**/*.json", "a/b/c.json", True),
        ("**/*.json", "c.json", True),
        ("part-?.csv", "part-1.csv", True),
        ("part-?.csv", "part-/.csv", False),
        ("*.gz", "orders.csv.gz", True),
    ],
)
def test_a_pattern_says_which_keys_are_files_of_a_feed(pattern: str, key: str, fits: bool) -> None:
    """A star stops at a slash, two do not, and a compressed file is a file of the same feed."""
    assert Feed(LINES, pattern).fits(key) is fits


def test_settings_of_a_source_are_settings_of_the_pipeline() -> None:
    """So that they are checked, and given to the functions."""
    daily = at_most("SHOP_AT_MOST")
    files = Files("drop", (Feed(LINES, "*.csv"),), at_most=daily)
    country = Setting("SHOP_COUNTRY", "NG")
    pipeline = Pipeline(
        sources=[files], targets=[PostgresWarehouse("warehouse", (STAGED,))], settings=[country]
    )

    assert pipeline.settings == (country, daily)
    assert [part.name for part in pipeline.databases] == ["warehouse"]
    assert pipeline.files == (files,)


def test_a_setting_is_what_the_environment_says_or_else_its_default() -> None:
    """An empty variable counts as not set."""
    setting = Setting("SHOP_COUNTRY", "NG")

    assert setting.value({"SHOP_COUNTRY": "GB"}) == "GB"
    assert setting.value({"SHOP_COUNTRY": ""}) == "NG"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1 day", timedelta(days=1)),
        ("90 minutes", timedelta(minutes=90)),
        ("12 hours", timedelta(hours=12)),
        ("a day", None),
        ("1 day\n", None),
        ("1.5 days", None),
    ],
)
def test_a_period_is_a_number_and_a_unit(text: str, time: timedelta | None) -> None:
    """Whatever else is written is no time."""
    assert period(text) == time


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("5%", 0.05),
        ("0.5%", 0.005),
        ("100%", 1.0),
        ("0.05", 0.05),
        ("0", 0.0),
        ("off", 1.0),
        ("5", None),
        ("101%", None),
        ("1.5", None),
        ("-1%", None),
        ("5 %", None),
        ("5%\n", None),
        ("Off", None),
        ("", None),
    ],
)
def test_a_share_is_a_percentage_or_a_fraction(text: str, part: float | None) -> None:
    """A 5 that lacks its percent sign is an error, and never five times everything."""
    assert share(text) == part


MISTAKES: dict[str, Callable[[], object]] = {
    'table lines: give the keys of its files as a pattern, as in Feed(orders, "orders/*.csv")': (
        lambda: Feed(LINES, "/a.csv")
    ),
    "table lines: write its format as Csv(…) or JsonDocuments()": lambda: Feed(
        LINES,
        "a",
        JsonDocuments,  # type: ignore[arg-type]
    ),
    "table lines: a report is of rows of CSV: leave it out": lambda: Feed(
        LINES, "a.json", JsonDocuments(), report=ErrorReport(".err", lambda row: row.values)
    ),
    'table lines: the ending of its report is like ".err"': lambda: Feed(
        LINES, "a.csv", report=ErrorReport("err", lambda row: row.values)
    ),
    "table lines: max_rejects is a share between 0 and 1": lambda: Feed(
        LINES, "a.csv", max_rejects=5
    ),
    "table more: rows of files refer to no others: join the tables in a model": lambda: Feed(
        Table("more", key="id", columns={"id": Integer(references=ITEMS)}), "more.csv"
    ),
    "Csv: its delimiter is one character of ASCII": lambda: Csv(delimiter="||"),
    "Csv: its delimiter and its quote are the same character": lambda: Csv(quote=","),
    "Csv: there is no encoding utf-88": lambda: Csv(encoding="utf-88"),
    'Csv: its nulls are several texts: write ("", "NA")': lambda: Csv(nulls="NA"),  # type: ignore[arg-type]
    "Csv: there is no encoding base64": lambda: Csv(encoding="base64"),
    "source drop: write its settle as timedelta(seconds=30)": lambda: Files(
        "drop",
        (),
        settle=30,  # type: ignore[arg-type]
    ),
    'source drop: write its at_most as at_most("DROP_AT_MOST")': lambda: Files(
        "drop", (), at_most=Setting("DROP_AT_MOST", "daily")
    ),
    "source drop: two feeds have the pattern *.csv, and a file is of one table": lambda: Files(
        "drop", (Feed(LINES, "*.csv"), Feed(ITEMS, "*.csv"))
    ),
    "source drop: items.csv is no Feed(…)": lambda: pipeline_of(feeds=("items.csv",)),
    "target table lines: table lines has no key, so it can only be `replace` and have none "
    "either": lambda: pipeline_of(replace(LINES, key="text")),
    "setting country: its name is made of A to Z, 0 to 9 and _, as in SHOP_COUNTRY": (
        lambda: Setting("country", "NG")
    ),
    "setting AT_MOST: its default is no time: write 1 day, 12 hours or 30 minutes": (
        lambda: at_most("AT_MOST", "daily")
    ),
    "model m: name the tables that it is made of": lambda: Model(
        "m", inputs=[], sql="SELECT 1", columns={"n": Integer()}, key="n"
    ),
    "model days is made of target table lines, which is not before it in warehouse": (
        lambda: pipeline_of(latest(ITEMS), models=(DAYS,))
    ),
    "target warehouse exports model days, which it does not have: add it there": (
        lambda: pipeline_of(STAGED, exports=(DAYS,))
    ),
    "two target tables are called days: rename one of them": lambda: pipeline_of(
        STAGED, latest(ITEMS, name="days"), models=(DAYS,)
    ),
}


@pytest.mark.parametrize("expected", MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_in_a_declaration_is_one_clear_line(expected: str) -> None:
    """It says where, what, and what to write, when the declaration is read."""
    with pytest.raises(DeclarationError) as raised:
        MISTAKES[expected]()

    assert str(raised.value) == expected
