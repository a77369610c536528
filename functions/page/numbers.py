"""Format numbers, days and times for people."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from math import ceil, floor, log10

from functions.targets.reading import Cell

UNITS = ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "bn"), (Decimal(10) ** 6, "M"))
_AMOUNT = re.compile(r"-?(0|[1-9]\d*)\.\d+", re.ASCII)
LARGEST = Decimal(10) ** 30  # larger numbers are not plotted


def number(cell: Cell) -> Decimal | None:
    """Return the number in a cell, None for anything else."""
    if cell is None or isinstance(cell, bool):
        return None
    try:
        value = Decimal(str(cell))
    except InvalidOperation:
        return None
    return value if value.is_finite() and abs(value) < LARGEST else None


def spoken(cell: Cell) -> str:
    """Return a cell of a table: an amount with separators, an integer as it is."""
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return amount(cell) if isinstance(cell, str) and _AMOUNT.fullmatch(cell) else str(cell)


def amount_or_year(cell: Cell) -> str:
    """Return a cell of a table, with separators also in an integer of more digits than a year."""
    is_large = isinstance(cell, int) and abs(cell) >= 10_000
    return f"{cell:,}" if is_large else spoken(cell)


def amount(cell: Cell) -> str:
    """Return a number with all its digits, and separators; anything else as it is."""
    value = number(cell)
    if value is None:
        return "–" if cell is None else str(cell)
    return f"{value:,f}"


def short(value: Decimal) -> str:
    """Return a number for an axis: 1.2M, 350k, 0.25."""
    for size, unit in UNITS:
        if abs(value) >= size:
            return f"{_trimmed(value / size)}{unit}"
    if abs(value) >= 10_000:
        return f"{_trimmed(value / 1000)}k"
    return _trimmed(value)


def _trimmed(value: Decimal) -> str:
    text = f"{value:,.2f}"
    return text.rstrip("0").rstrip(".")


def scale(low: Decimal, high: Decimal) -> list[Decimal]:
    """Return about four round numbers, evenly spaced, that enclose all values."""
    low, high = min(low, Decimal(0)), max(high, Decimal(0))
    if low == high:
        high = Decimal(1)
    rough = float(high - low) / 4
    size = Decimal(10) ** floor(log10(rough))
    step = next(size * each for each in (1, 2, 5, 10) if float(size * each) >= rough * 0.999)
    first, last = floor(low / step), ceil(high / step)
    return [step * each for each in range(first, last + 1)]


def day(cell: Cell) -> date | None:
    """Return the date in a text, None for anything else."""
    if not isinstance(cell, str) or len(cell) < 10:
        return None
    try:
        return date.fromisoformat(cell[:10])
    except ValueError:
        return None


def moment(at: datetime) -> str:
    """Return a moment to the second, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """Return a number of seconds in a suitable unit."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def counted(number: int, noun: str) -> str:
    """Return a number of things: 1 row, 2,000 rows."""
    plural = {"batch": "batches"}.get(noun, f"{noun}s")
    return f"{number:,} {noun if number == 1 else plural}"
