"""Schedules of EventBridge: how often they fire in a month, and how long they pause at most.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise

DAY_SECONDS = 86_400
LONGEST_SECONDS = 366 * DAY_SECONDS  # of a schedule with a field that is not understood here

DAYS = 30
MINUTES = {"minute": 1, "hour": 60, "day": 1440}
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
PART = re.compile(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?")
# Four years have a leap day, and each date on every possible day of the week within seven days.
FIRST_DAY, LAST_DAY = date(2024, 1, 1), date(2027, 12, 31)


def runs_a_month(schedule: str) -> int:
    """Return how often a schedule fires; a cron(...) counts as if it fired every day."""
    if rate := _rate(schedule):
        return DAYS * MINUTES["day"] // rate
    minutes, hours, *_ = _fields(schedule)
    return DAYS * len(_values(minutes, range(60))) * len(_values(hours, range(24)))


def longest_pause(schedule: str) -> int:
    """Return the most seconds between two times at which a schedule fires.

    LONGEST_SECONDS for a cron(...) that a pause cannot be derived from, such as one with L, W or #.
    """
    if rate := _rate(schedule):
        return rate * 60
    minutes, hours, *of_days = _fields(schedule)
    times = sorted(
        60 * hour + minute
        for hour in _understood(hours, range(24))
        for minute in _understood(minutes, range(60))
    )
    days = list(_days(*of_days))
    if not times or len(days) < 2:
        return LONGEST_SECONDS
    within = max((later - earlier for earlier, later in pairwise(times)), default=0)
    nights = max((later - earlier).days for earlier, later in pairwise(days))
    return 60 * max(within, nights * MINUTES["day"] + times[0] - times[-1])


def _rate(schedule: str) -> int:
    """Return the minutes of a rate(...), 0 for a cron(...)."""
    kind, _, fields = schedule.rstrip(")").partition("(")
    if kind != "rate":
        return 0
    number, unit = fields.split()
    return int(number) * MINUTES[unit.rstrip("s")]


def _fields(schedule: str) -> list[str]:
    return schedule.rstrip(")").partition("(")[2].split()


def _days(of_month: str, months: str, of_week: str, years: str) -> Iterator[date]:
    """Yield the days of four years on which a cron(...) fires; none if it names years."""
    wanted_days = _understood(of_month, range(1, 32))
    wanted_months = _understood(months, range(1, 13), MONTHS)
    weekdays = _understood(of_week, range(1, 8), WEEKDAYS)
    for number in range((LAST_DAY - FIRST_DAY).days + 1 if years == "*" else 0):
        day = FIRST_DAY + timedelta(number)
        weekday = day.isoweekday() % 7 + 1  # Sunday is 1
        if day.day in wanted_days and day.month in wanted_months and weekday in weekdays:
            yield day


def _understood(field: str, possible: range, names: Sequence[str] = ()) -> set[int]:
    """Return the values of a field; none if a part of it is not understood."""
    parts = [_part(part, possible, names) for part in field.split(",")]
    return set().union(*(part or () for part in parts)) if None not in parts else set()


def _values(field: str, possible: range) -> set[int]:
    """Return the values of a field; all where it is not understood."""
    return _understood(field, possible) or set(possible)


def _part(part: str, possible: range, names: Sequence[str]) -> set[int] | None:
    matched = PART.fullmatch(part)
    if matched is None:
        return None
    first, last, step = matched.groups()
    begin = _number(first, possible.start, names)
    end = _number(last, possible.stop - 1, names)
    if begin not in possible or end not in possible or begin > end:
        return None
    if first and not (last or step):
        return {begin}
    return set(range(begin, end + 1, int(step or 1)))


def _number(text: str | None, default: int, names: Sequence[str]) -> int:
    """Return the number of a value or of a name, -1 for neither."""
    if text is None:
        return default
    if text.upper() in names:
        return names.index(text.upper()) + 1
    return int(text) if text.isdigit() else -1
