"""The sales targets of the sample's staff, as files in a remote bucket."""

import json
from collections.abc import Mapping
from datetime import datetime
from random import Random

STAFF = 20
CURRENCIES = ("GBP", "USD", "EUR")

Document = dict[str, object]


def files(source: str, now: datetime) -> Mapping[str, bytes]:
    """Return the targets of this month and the next; `now` is in UTC. The same each time.

    One file is an array, the other has a document on each line.
    """
    this, following = (_targets(month) for month in _months(now))
    return {
        "targets/this-month.json": json.dumps(this, indent=2).encode(),
        "targets/next-month.jsonl": _lines(following),
    }


def bad_files(source: str, now: datetime) -> Mapping[str, bytes]:
    """Return next month's targets with another amount for one, and with one that is refused."""
    [*_, following] = _months(now)
    first, *others = _targets(following)
    wrong = {"staff_id": 1, "month": "November", "target": "1.00", "currency": "pounds"}
    return {"targets/next-month.jsonl": _lines([first | {"target": "99999.99"}, *others, wrong])}


def _months(now: datetime) -> tuple[str, str]:
    following = (now.year + now.month // 12, now.month % 12 + 1)
    return f"{now:%Y-%m}", "{:04}-{:02}".format(*following)


def _targets(month: str) -> list[Document]:
    rng = Random(month)  # noqa: S311  # nosec B311
    return [
        {
            "staff_id": staff,
            "month": month,
            "target": f"{rng.randint(50, 500) * 100}.00",
            "currency": rng.choice(CURRENCIES),
        }
        for staff in range(1, STAFF + 1)
    ]


def _lines(documents: list[Document]) -> bytes:
    return "".join(f"{json.dumps(each)}\n" for each in documents).encode()
