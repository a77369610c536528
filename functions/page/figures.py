"""A pipeline's figures on its page: the rows of a SELECT as lines, bars, numbers or a table."""

from collections.abc import Sequence
from decimal import Decimal
from xml.etree.ElementTree import Element  # nosec B405  nothing is parsed

from etl import Figure
from functions.common.errors import PipelineCodeError
from functions.page.markup import Content, element, outside, shown
from functions.page.numbers import amount, amount_or_year, counted, day, number, spoken
from functions.page.plots import BARS_AT_MOST, LINES_AT_MOST, Line, bars, legend, lines
from functions.page.tables import folded, table
from functions.targets.reading import Cell, Rows

ROWS_AT_MOST = {"lines": 600, "bars": 100, "table": 100, "number": 1}
NUMBERS_AT_MOST = 12
IDS = ("id", "code", "number")  # ends of names of columns whose numbers have no separators


def card(title: str, *contents: Content, note: str = "", unit: str = "") -> Element:
    """Return a card of the page with its title."""
    head = element("h3", outside(title))
    if unit:
        head.append(element("span", " in ", outside(unit), class_="unit"))
    said = [element("p", outside(note, 500), class_="note")] if note else []
    return element("section", head, *said, *contents, class_="card", aria_label=shown(title))


def drawn(figure: Figure, found: Rows) -> Element:
    """Return a figure for its rows; raise PipelineCodeError for rows that it cannot show."""
    shapes = {"lines": _lines, "bars": _bars, "number": _numbers, "table": _table}
    if not found.rows:
        return card(figure.title, element("p", "No rows.", class_="empty"), note=figure.note)
    notes: list[str] = []
    if found.is_cut and figure.kind != "number":
        notes.append(f"Only the first {counted(len(found.rows), 'row')} are shown.")
    parts = shapes[figure.kind](figure, found, notes)
    said = [element("p", outside(each), class_="note") for each in notes]
    return card(figure.title, *parts, *said, note=figure.note, unit=figure.unit)


def failed(figure: Figure, why: str) -> Element:
    """Return the card for a figure that cannot be shown."""
    said = element("p", element("strong", "Not shown: "), outside(why, 500), class_="failed")
    return card(figure.title, said, note=figure.note)


def _lines(figure: Figure, found: Rows, notes: list[str]) -> list[Content]:
    places, all_lines = (_by_series if figure.series else _by_column)(figure, found)
    first = all_lines[:LINES_AT_MOST]
    if left := len(all_lines) - len(first):
        notes.append(f"{counted(left, 'more line')} in the table alone.")
    names = legend([line.name for line in first])
    return [
        *([names] if len(first) > 1 else []),
        lines(places, first, figure.unit, figure.title),
        _data(figure.title, found.columns, found.rows),
    ]


def _by_column(_: Figure, found: Rows) -> tuple[list[Cell], list[Line]]:
    """Return the places of the axis, and a line for each column after the first."""
    _require_columns(found, 2)
    columns = list(zip(*found.rows, strict=True))
    drawn = [
        Line(name, [_value(name, cell) for cell in cells])
        for name, cells in zip(found.columns[1:], columns[1:], strict=True)
    ]
    return list(columns[0]), drawn


def _by_series(figure: Figure, found: Rows) -> tuple[list[Cell], list[Line]]:
    """Return the places of the axis in order, and a line for each name in the series' column."""
    _require_columns(found, 3)
    if figure.series not in found.columns[1:-1]:
        raise PipelineCodeError(f"between its first and its last column is no {figure.series}")
    named = found.columns.index(figure.series)
    values: dict[str, dict[Cell, Decimal | None]] = {}
    for row in found.rows:
        line = values.setdefault(spoken(row[named]), {})
        line[row[0]] = _value(found.columns[-1], row[-1])
    places = _in_order(list(dict.fromkeys(row[0] for row in found.rows)))
    return places, [Line(name, [at.get(p) for p in places]) for name, at in values.items()]


def _in_order(places: list[Cell]) -> list[Cell]:
    if all(day(place) for place in places):
        return sorted(places, key=str)
    numbers = {place: number(place) for place in places}
    if all(value is not None for value in numbers.values()):
        return sorted(places, key=lambda place: numbers[place] or Decimal(0))
    return places


def _bars(figure: Figure, found: Rows, notes: list[str]) -> list[Content]:
    _require_columns(found, 2)
    labels = [row[0] for row in found.rows]
    lengths = [_value(found.columns[-1], row[-1]) or Decimal(0) for row in found.rows]
    if (left := len(labels) - BARS_AT_MOST) > 0:
        notes.append(f"{counted(left, 'more bar')} in the table alone.")
    some = slice(0, BARS_AT_MOST)
    return [
        bars(labels[some], lengths[some], figure.unit, figure.title),
        _data(figure.title, found.columns, found.rows),
    ]


def _numbers(figure: Figure, found: Rows, notes: list[str]) -> list[Content]:
    if len(found.columns) > NUMBERS_AT_MOST:
        raise PipelineCodeError(f"its SELECT has more than {NUMBERS_AT_MOST} columns")
    pairs = (
        element("div", element("dt", outside(name)), element("dd", outside(amount(cell))))
        for name, cell in zip(found.columns, found.rows[0], strict=True)
    )
    return [element("dl", *pairs, class_="numbers")]


def _table(figure: Figure, found: Rows, notes: list[str]) -> list[Content]:
    return [_cells(figure.title, found.columns, found.rows)]


def _data(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Element:
    """Return the table behind a plot."""
    return folded("Table", _cells(title, columns, rows))


def _cells(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Element:
    is_number = (
        any(row[place] is not None for row in rows)
        and all(row[place] is None or number(row[place]) is not None for row in rows)
        for place in range(len(columns))
    )
    numbers = frozenset(place for place, found in enumerate(is_number) if found)
    said = [spoken if name.lower().endswith(IDS) else amount_or_year for name in columns]
    cells = ([say(cell) for say, cell in zip(said, row, strict=True)] for row in rows)
    return table(title, columns, cells, numbers)


def _require_columns(found: Rows, least: int) -> None:
    if len(found.columns) < least:
        raise PipelineCodeError(f"its SELECT needs {least} columns or more")


def _value(name: str, cell: Cell) -> Decimal | None:
    """Return the number of a cell; raise PipelineCodeError if it is none."""
    if cell is not None and (value := number(cell)) is None:
        raise PipelineCodeError(f"its column {name} has values that cannot be drawn as numbers")
    return value if cell is not None else None
