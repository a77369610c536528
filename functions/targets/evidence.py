"""Recognise the state of a history by its newest record, which no later batch changes.

A history only grows, so a table that has the record that was the newest after a batch has all
records of that batch and of those before it.
"""

import hashlib
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any


def digest(values: Iterable[Any]) -> str:
    """Return a digest of a record that stays the same when a column's type is widened.

    `values` are amounts, whose digits may be shown otherwise later, and texts.
    """
    return hashlib.sha256(json.dumps([_canonical(value) for value in values]).encode()).hexdigest()


def _canonical(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")  # 1.5 and 1.50 are one amount
    return None if value is None else str(value)
