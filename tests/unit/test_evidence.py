"""The record by which a history is recognised: the same values, whatever the types of columns."""

from decimal import Decimal
from typing import Any

import pytest

from functions.common.loaded import Evidence

VALUES = [7, "a", None, Decimal("1.50")]


@pytest.mark.parametrize(
    ("values", "is_it"),
    [
        ([7, "a", None, Decimal("1.5")], True),
        (["7", "a", None, Decimal("1.500")], True),
        ([8, "a", None, Decimal("1.50")], False),
        ([7, "b", None, Decimal("1.50")], False),
        ([7, "a", "None", Decimal("1.50")], False),
        ([7, None, "a", Decimal("1.50")], False),
        ([7, "a", None, Decimal(15)], False),
        ([7, "a", None, None], False),
    ],
)
def test_a_record_is_recognised_by_all_of_its_values(values: list[Any], *, is_it: bool) -> None:
    """A widened column is no other value; another value, a missing one and a text are."""
    assert Evidence.of(3, ["id", "name", "at", "price"], VALUES).is_of(values) == is_it
