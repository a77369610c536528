"""Plots as SVG: lines over days, numbers or names, and bars.

They are drawn without a library: light ones (pygal) embed scripts and styles, which a strict
content security policy blocks. Colours and sizes of text are the style sheet's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from unicodedata import east_asian_width
from xml.etree.ElementTree import Element  # nosec B405  nothing is parsed

from functions.page.markup import element, shown
from functions.page.numbers import amount, day, number, scale, short
from functions.targets.reading import Cell

# Units of a plot: about a pixel on a phone, so that its text stays readable there.
WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 12, 28
BAR, GAP = 12, 36  # height of a bar, and of a bar with its label
COLOURS = 6  # of the style sheet, each with its own dash
LINES_AT_MOST = COLOURS
BARS_AT_MOST = 20
DOTS_UP_TO = 40  # points of a line that are marked
LABEL_COLUMNS, TICK_COLUMNS, TICK_WIDTH = 32, 11, 110


@dataclass(frozen=True)
class Line:
    """A named line: a value for each place on the axis, None where there is none."""

    name: str
    values: Sequence[Decimal | None]


def lines(places: Sequence[Cell], drawn: Sequence[Line], unit: str, title: str) -> Element:
    """Return lines over places: days and numbers to scale, names evenly spaced."""
    values = [value for line in drawn for value in line.values if value is not None]
    ticks = scale(min(values, default=Decimal(0)), max(values, default=Decimal(0)))
    across = _across(places)

    def down(value: Decimal) -> float:
        return _between(value, ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)

    spoken = "; ".join(_spoken(line, unit) for line in drawn)
    return _picture(
        HEIGHT,
        title,
        f"{_range(places)}. {spoken}.",
        *(part for tick in ticks for part in _grid(tick, down(tick))),
        *_ticks(places, across),
        *(
            part
            for colour, line in enumerate(drawn)
            for part in _line(colour, across, [v if v is None else down(v) for v in line.values])
        ),
    )


def bars(labels: Sequence[Cell], lengths: Sequence[Decimal], unit: str, title: str) -> Element:
    """Return bars below their labels, with their lengths at the right."""
    low, high = min([*lengths, Decimal(0)]), max([*lengths, Decimal(0)])
    high = high if high > low else low + 1

    def across(value: Decimal) -> float:
        return _between(value, low, high, 0, WIDTH)

    height = max(len(lengths), 1) * GAP + 4
    parts = []
    for row, (label, length) in enumerate(zip(labels, lengths, strict=True)):
        top, left, right = row * GAP, *sorted((across(Decimal(0)), across(length)))
        parts += [
            _text(0, top + 14, fitted(_name(label), LABEL_COLUMNS), "label"),
            _text(WIDTH, top + 14, f"{amount(str(length))} {unit}".strip(), "value"),
            _rectangle(left, top + 19, max(right - left, 1), BAR),
        ]
    first = f": {_name(labels[0])} {amount(str(lengths[0]))} {unit}".rstrip() if labels else ""
    return _picture(height, title, f"{len(labels)} bars, from the first{first}.", *parts)


def legend(names: Sequence[str]) -> Element:
    """Return the legend of the lines."""
    keys = (
        element(
            "li",
            element(
                "svg",
                element("line", x1="0", y1="4", x2="26", y2="4", class_=f"line c{colour}"),
                viewBox="0 0 26 8",
                class_="key",
                aria_hidden="true",
            ),
            element("bdi", fitted(shown(name), LABEL_COLUMNS)),
        )
        for colour, name in enumerate(names)
    )
    return element("ul", *keys, class_="legend")


def fitted(text: str, columns: int) -> str:
    """Return a text cut to some columns, of which wide characters take two."""
    width = 0
    for place, character in enumerate(text):
        width += 2 if east_asian_width(character) in "WF" else 1
        if width > columns:
            return f"{text[: max(place - 1, 0)]}…"
    return text


def _picture(height: int, title: str, description: str, *parts: Element) -> Element:
    """Return a picture with a name and a description for screen readers."""
    return element(
        "svg",
        element("desc", shown(description, 500)),
        *parts,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label=shown(title),
        class_="plot",
    )


def _across(places: Sequence[Cell]) -> list[float]:
    """Return where each place is, from left to right."""
    days = [day(place) for place in places]
    numbers = [number(place) for place in places]
    if places and all(days):
        at = [Decimal(each.toordinal()) for each in days if each]
    elif places and all(each is not None for each in numbers):
        at = [each for each in numbers if each is not None]
    else:
        at = [Decimal(place) for place in range(len(places))]
    low, high = min(at, default=Decimal(0)), max(at, default=Decimal(0))
    return [_between(each, low, high, LEFT, WIDTH - RIGHT) for each in at]


def _between(value: Decimal, low: Decimal, high: Decimal, first: float, last: float) -> float:
    if low == high:
        return (first + last) / 2
    return first + float((value - low) / (high - low)) * (last - first)


def _grid(tick: Decimal, y: float) -> Iterator[Element]:
    kind = "axis" if tick == 0 else "grid"
    yield element("line", x1=f"{LEFT}", x2=f"{WIDTH - RIGHT}", y1=_at(y), y2=_at(y), class_=kind)
    yield _text(LEFT - 6, y + 4, short(tick), "value")


def _ticks(places: Sequence[Cell], across: Sequence[float]) -> Iterator[Element]:
    """Yield the names of the first, the middle and the last place, as far as there is room."""
    count = min(3, len(places))
    chosen = {round(n * (len(places) - 1) / max(count - 1, 1)) for n in range(count)}
    last = float("-inf")
    for place in sorted(chosen):
        if across[place] - last < TICK_WIDTH:
            continue
        last = across[place]
        kind = "first" if last < LEFT + 40 else "value" if last > WIDTH - RIGHT - 40 else "middle"
        yield _text(last, HEIGHT - 8, fitted(_name(places[place]), TICK_COLUMNS), f"tick {kind}")


def _line(colour: int, across: Sequence[float], down: Sequence[float | None]) -> Iterator[Element]:
    """Yield a line, interrupted where there is no value, and its points if they are few."""
    style = f"line c{colour % COLOURS}"
    points: list[str] = []
    for x, y in [*zip(across, down, strict=True), (0.0, None)]:
        if y is not None:
            points.append(f"{_at(x)},{_at(y)}")
        elif points:
            if len(points) > 1:
                yield element("polyline", points=" ".join(points), class_=style)
            points = []
    seen = [(x, y) for x, y in zip(across, down, strict=True) if y is not None]
    for x, y in seen if len(seen) <= DOTS_UP_TO else ():
        yield element("circle", cx=_at(x), cy=_at(y), r="2.5", class_=f"dot c{colour % COLOURS}")


def _rectangle(x: float, y: float, width: float, height: float) -> Element:
    size = {"width": _at(width), "height": _at(height)}
    return element("rect", x=_at(x), y=_at(y), rx="2", class_="bar", **size)


def _text(x: float, y: float, text: str, kind: str) -> Element:
    return element("text", shown(text), x=_at(x), y=_at(y), class_=kind)


def _at(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _name(place: Cell) -> str:
    return "–" if place is None else shown(place)


def _range(places: Sequence[Cell]) -> str:
    return f"From {_name(places[0])} to {_name(places[-1])}" if places else "No values"


def _spoken(line: Line, unit: str) -> str:
    """Return a line in words: its least, its greatest and its last value."""
    values = [value for value in line.values if value is not None]
    if not values:
        return f"{line.name}: none"
    least, most, last = (amount(str(each)) for each in (min(values), max(values), values[-1]))
    return f"{line.name}: {least} to {most}, last {last} {unit}".rstrip()
