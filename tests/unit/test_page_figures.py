"""Figures as a page shows them: plots, tables, what is cut, and what cannot be shown."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from msgspec.structs import replace

from etl import Figure, MysqlWarehouse
from functions.common.errors import PipelineCodeError
from functions.common.filling import Filling
from functions.page.asking import asked
from functions.page.batches import SourceState, _filling
from functions.page.figures import drawn, failed
from functions.page.markup import serialized
from functions.page.numbers import amount, duration, scale, short, spoken
from functions.page.sections import freshness
from functions.targets.reading import Cell, Rows
from tests.unit.test_extract_changes import CAPTURE, after

WEEKS = ("2026-11-02", "2026-11-09", "2026-11-16")


def figure(**options: Any) -> Figure:
    return Figure("Sales", "SELECT 1", **options)


def rows(columns: tuple[str, ...], *found: tuple[Cell, ...], cut: bool = False) -> Rows:
    return Rows(columns, list(found), cut)


def texts(of: Element, tag: str) -> list[str]:
    return ["".join(found.itertext()) for found in of.iter(tag)]


def test_a_column_is_a_line_and_the_table_behind_it_has_all_values() -> None:
    """The first column runs along the axis; each other one is a line of the legend."""
    found = [(week, number, number * 2) for number, week in enumerate(WEEKS, 1)]

    made = drawn(figure(kind="lines", unit="GBP"), rows(("week", "paid", "due"), *found))

    assert texts(made, "h3") == ["Sales in GBP"]
    assert texts(made, "li") == ["paid", "due"]
    assert len(list(made.iter("polyline"))) == 2
    assert texts(made, "summary") == ["Table"]
    assert texts(made, "td") == [str(cell) for row in found for cell in row]
    plot = list(made.iter("svg"))[-1]
    assert plot.attrib["role"] == "img"
    assert plot.attrib["aria-label"] == "Sales"
    assert texts(plot, "desc") == [
        "From 2026-11-02 to 2026-11-16. paid: 1 to 3, last 3 GBP; due: 2 to 6, last 6 GBP."
    ]


def test_a_series_names_the_lines_and_its_gaps_are_gaps() -> None:
    """Rows come in any order; a line has no value where there is no row."""
    found = rows(
        ("week", "currency", "amount"),
        (WEEKS[1], "GBP", "10.50"),
        (WEEKS[2], "GBP", "11.50"),
        (WEEKS[0], "EUR", "1.00"),
        (WEEKS[2], "EUR", "3.00"),
    )

    made = drawn(figure(kind="lines", series="currency"), found)

    plot = list(made.iter("svg"))[-1]
    assert texts(made, "li") == ["GBP", "EUR"]
    assert len(list(plot.iter("polyline"))) == 1  # EUR has two points, with a gap between
    assert len(list(plot.iter("circle"))) == 4
    assert "From 2026-11-02 to 2026-11-16." in texts(plot, "desc")[0]


def test_bars_have_their_lengths_beside_them() -> None:
    """A bar is as long as its share of the longest; a negative one goes the other way."""
    found = rows(("country", "units"), ("Nauru", 200), ("Chad", 100), ("Fiji", -100))

    made = drawn(figure(kind="bars", unit="units"), found)

    widths = [float(bar.attrib["width"]) for bar in made.iter("rect")]
    assert widths == [280, 140, 140]
    assert [bar.attrib["x"] for bar in made.iter("rect")] == ["140", "140", "0"]
    assert texts(made, "text")[:2] == ["Nauru", "200 units"]


def test_numbers_and_tables_have_no_plot() -> None:
    """A number stands under its name, with separators; a table has what it was given."""
    number = drawn(figure(kind="number"), rows(("overdue", "due"), (1234567, None)))
    table = drawn(
        figure(),
        rows(
            ("payment_id", "paid", "year", "units", "amount"), (20000, True, 2026, 20000, "1234.50")
        ),
    )

    assert (texts(number, "dt"), texts(number, "dd")) == (["overdue", "due"], ["1,234,567", "–"])
    assert texts(table, "td") == ["20000", "yes", "2026", "20,000", "1,234.50"]
    assert [*number.iter("svg"), *table.iter("svg")] == []


def test_what_is_cut_is_said() -> None:
    """More rows, lines or bars than are shown leave a note, never a wrong picture in silence."""
    many = drawn(figure(), rows(("a",), (1,), (2,), cut=True))
    columns = ("week", *(f"line {number}" for number in range(8)))
    lines = drawn(figure(kind="lines"), rows(columns, ("2026-11-02", *range(8))))
    bars = drawn(figure(kind="bars"), rows(("a", "b"), *((f"{n}", n) for n in range(25))))

    assert "Only the first 2 rows are shown." in texts(many, "p")
    assert "2 more lines in the table alone." in texts(lines, "p")
    assert "5 more bars in the table alone." in texts(bars, "p")
    assert (len(texts(lines, "li")), len(list(bars.iter("rect")))) == (6, 20)


@pytest.mark.parametrize("kind", ["lines", "bars", "table", "number"])
def test_no_rows_are_said(kind: Any) -> None:
    """A figure without rows says so, instead of an empty plot."""
    assert "No rows." in texts(drawn(figure(kind=kind), rows(("a", "b"))), "p")


@pytest.mark.parametrize(
    ("options", "columns", "row", "said"),
    [
        ({"kind": "lines"}, ("a",), (1,), "its SELECT needs 2 columns or more"),
        ({"kind": "bars"}, ("a",), (1,), "its SELECT needs 2 columns or more"),
        (
            {"kind": "lines", "series": "x"},
            ("a", "b", "c"),
            (1, "y", 2),
            "between its first and its last column is no x",
        ),
        (
            {"kind": "lines"},
            ("a", "b"),
            (1, "s3cret"),
            "its column b has values that cannot be drawn as numbers",
        ),
        ({"kind": "number"}, ("a",) * 13, (1,) * 13, "its SELECT has more than 12 columns"),
    ],
)
def test_rows_that_cannot_be_drawn_are_refused_without_their_values(
    options: Any, columns: tuple[str, ...], row: tuple[Cell, ...], said: str
) -> None:
    """The reason names the column, and never quotes what is in it."""
    with pytest.raises(PipelineCodeError) as error:
        drawn(figure(**options), rows(columns, row))

    assert str(error.value) == said
    assert "Not shown: " + said in "".join(failed(figure(), said).itertext())


def test_odd_numbers_leave_a_plot_whole() -> None:
    """NaN, the infinities and numbers beyond all scales are refused; huge and equal ones drawn."""
    for odd in ("NaN", "Infinity", "1e400"):
        with pytest.raises(PipelineCodeError, match="cannot be drawn"):
            drawn(figure(kind="lines"), rows(("a", "b"), (1, odd)))
    for values in (("0", "0"), ("-5", "-5"), ("0.000001", "99999999999999999999.99")):
        found = [(place, value) for place, value in enumerate(values)]
        for kind in ("lines", "bars"):
            text = serialized(drawn(figure(kind=kind), rows(("a", "b"), *found)))
            assert "nan" not in text.lower()
            assert "inf" not in text.lower()


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 0, ["0", "0.5", "1"]),
        (0, 1, ["0", "0.5", "1"]),
        (3, 97, ["0", "50", "100"]),
        (-20, 1_234_567, ["-500k", "0", "500k", "1M", "1.5M"]),
        (0, 43, ["0", "20", "40", "60"]),
    ],
)
def test_an_axis_has_round_numbers_around_all_values(low: int, high: int, ticks: list[str]) -> None:
    """The axis has zero in it, and ends at or beyond the least and the greatest value."""
    found = scale(Decimal(low), Decimal(high))

    assert [short(tick) for tick in found] == ticks
    assert found[0] <= low <= high <= found[-1]


def test_numbers_read_as_people_write_them() -> None:
    """Amounts have separators; a year, an id and a code with zeros have none."""
    assert [spoken(each) for each in (2026, "1234567.50", "00123", "-0.5", None, False)] == [
        *("2026", "1,234,567.50", "00123", "-0.5", "–", "no")
    ]
    assert [amount(each) for each in (1234567, "1234.5", "n/a")] == ["1,234,567", "1,234.5", "n/a"]
    assert [duration(each) for each in (0.34, 45, 600, 9000, 200_000)] == [
        *("0.3 s", "45 s", "10 min", "2 h", "2 days")
    ]


def test_a_kind_of_target_that_cannot_be_read_is_named() -> None:
    """Its page shows the batches, and each figure says why it is not there."""
    place: Any = SimpleNamespace(target=MysqlWarehouse("warehouse", ()))

    answers = asked(place, (figure(),))

    assert (answers.counts, answers.error) == ({}, None)
    assert ["".join(made.itertext()) for made in answers.figures] == [
        "SalesNot shown: targets of the kind mysql cannot be read yet"
    ]


def test_a_table_that_is_read_in_several_batches_is_shown_with_its_rows() -> None:
    """Until all of them are read, the page says how far it is."""
    begun = replace(CAPTURE, filling=Filling(to=["7"], rows=1_500_000, of=9_812_000))
    shop = SourceState("shop", [], None, 0, filling=_filling(after(begun)))

    made = freshness([shop], {})

    assert texts(made, "p") == ["design: 1,500,000 of about 9,812,000 rows are read"]
