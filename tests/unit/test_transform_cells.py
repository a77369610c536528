"""Why a row of a file is refused, cell by cell, and which rows wait for a parent."""

import pyarrow as pa

from etl import Integer, Table
from etl.pipeline import Wait
from functions.common.carried import WRONG
from functions.transform.cells import checked
from functions.transform.checks import waiting

STAFF = Table("staff", key="id", columns={"id": Integer(), "boss": Integer(nullable=True)})
LINE = Table("line", key="id", columns={"id": Integer(), "n": Integer(), "m": Integer()})


def test_a_row_that_the_reader_marks_is_refused_with_the_faults_of_its_cells() -> None:
    """Of those that it has: a cell that a short line lacks is no second fault."""
    rows = pa.table(
        {
            "id": ["1", "2", "x", "4"],
            "n": ["a", "5", None, "6"],
            "m": [None, None, "3", "7"],
            WRONG: ["too few cells", None, None, None],
        }
    )

    converted, refused = checked(LINE, rows, None)

    assert refused == {
        0: "too few cells; n is not a whole number: 'a'",
        1: "has no m",
        2: "id is not a whole number: 'x'; has no n",
    }
    assert list(refused) == [0, 1, 2]
    assert converted.to_pydict() == {
        "id": [1, 2, None, 4],
        "n": [None, 5, None, 6],
        "m": [None, None, 3, 7],
    }


def test_a_row_waits_for_any_parent_that_is_absent() -> None:
    """One that has come is waited for no more, and NULL is no parent."""
    rows = pa.table({"id": [1, 2, 3, 4], "boss": pa.array([7, 8, None, 9], pa.int64())})
    waits = [Wait(("boss",), STAFF), Wait(("id",), LINE)]

    assert waiting(rows, waits, {"staff": {7}, "line": {4}}).to_pylist() == [
        True,
        False,
        False,
        True,
    ]
    assert waiting(rows, [], {"staff": {7}}).to_pylist() == [False] * 4
