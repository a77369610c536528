"""Tables, which scroll separately on a narrow screen, and can be reached by keyboard."""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element  # nosec B405  nothing is parsed

from functions.page.markup import Content, element, outside, shown

Cell = Content | None


def table(
    label: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    numbers: frozenset[int] = frozenset(),
) -> Element:
    """Return a table with a name for screen readers; the columns `numbers` are aligned right.

    Texts are from outside; None is an empty cell.
    """
    head = element("tr", *(_head(name, column in numbers) for column, name in enumerate(heads)))
    body = (
        element("tr", *(_cell(cell, column in numbers) for column, cell in enumerate(row)))
        for row in rows
    )
    cells = element("table", element("thead", head), element("tbody", *body))
    return element(
        "div", cells, class_="scroll", role="region", tabindex="0", aria_label=shown(label)
    )


def folded(summary: str, inner: Element) -> Element:
    """Return an element that is shown when its summary is clicked, or Enter is pressed on it."""
    return element("details", element("summary", summary), inner)


def _head(name: str, is_number: bool) -> Element:
    return element("th", outside(name), scope="col", **_aligned(is_number))


def _cell(cell: Cell, is_number: bool) -> Element:
    inner = "" if cell is None else outside(cell) if isinstance(cell, str) else cell
    return element("td", inner, **_aligned(is_number))


def _aligned(is_number: bool) -> dict[str, str]:
    return {"class_": "number"} if is_number else {}
