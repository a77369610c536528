"""Marks of quarantined rows: they show which rows a batch may have to do with."""

import pyarrow as pa
import pytest

from functions.transform.marks import as_table, from_table, marks_in, marks_of

NONE = pa.nulls(3, pa.int64())
ROWS = pa.table({"id": [7, 3, 7], "name": ["b", None, "a"], "parent": NONE})


def test_an_integer_is_its_own_mark_and_a_text_has_one_of_32_bits() -> None:
    """Equal keys have equal marks, in whatever batch they come."""
    assert marks_of(pa.array([5, None, -(2**40)])).to_pylist() == [5, None, -(2**40)]
    first, second, none = marks_of(pa.array(["ä", "b", None])).to_pylist()
    assert none is None
    assert marks_of(pa.array(["b", "ä"])).to_pylist() == [second, first]
    assert max(first, second) < 2**32


@pytest.mark.parametrize("by", [[("id",)], [("id",), ("name",), ("parent",), ("id", "name")], []])
def test_marks_are_read_as_they_were_written(by: list[tuple[str, ...]]) -> None:
    """By the columns of each key: also of one that no row has, which is known then."""
    marks = marks_in(ROWS, by)
    found = from_table(as_table(marks)) if by else {}

    assert list(found) == by
    assert all(found[columns].equals(marks[columns]) for columns in by)
    if ("parent",) in by:
        assert (found["id",].to_pylist(), len(found["parent",])) == ([3, 7], 0)
