"""The rows in quarantine, when the columns of the source have changed in the meantime."""

from decimal import Decimal

import pyarrow as pa

from functions.transform.quarantine import together


def test_open_rows_survive_an_added_and_a_dropped_column() -> None:
    """A row that was there first has NULL in the new column, and keeps its dropped one."""
    before = pa.table({"design_id": [1], "colour": ["red"]})
    after = pa.table({"design_id": [2], "size": ["XL"]})
    assert together([before, after]).to_pylist() == [
        {"design_id": 1, "colour": "red", "size": None},
        {"design_id": 2, "colour": None, "size": "XL"},
    ]


def test_open_rows_survive_a_widened_column() -> None:
    """Values of the narrow and of the wide type are exact beside each other."""
    before = pa.table(
        {
            "payment_id": pa.array([1], pa.int32()),
            "payment_amount": pa.array([Decimal("1.25")], pa.decimal128(10, 2)),
        }
    )
    after = pa.table(
        {
            "payment_id": pa.array([2**40], pa.int64()),
            "payment_amount": pa.array([Decimal("1.2345")], pa.decimal128(20, 4)),
        }
    )
    assert together([before, after]).to_pylist() == [
        {"payment_id": 1, "payment_amount": Decimal("1.25")},
        {"payment_id": 2**40, "payment_amount": Decimal("1.2345")},
    ]


def test_open_rows_survive_a_retyped_column() -> None:
    """Where two types have nothing in common, the column shows both as text."""
    before = pa.table({"payment_id": [1], "company_ac_number": [67305075], "paid": [True]})
    after = pa.table({"payment_id": [2], "company_ac_number": ["GB33BUKB"], "paid": ["no"]})
    assert together([before, after]).to_pylist() == [
        {"payment_id": 1, "company_ac_number": "67305075", "paid": "true"},
        {"payment_id": 2, "company_ac_number": "GB33BUKB", "paid": "no"},
    ]


def test_without_tables_nothing_is_open() -> None:
    """As in a batch whose tables are in no target."""
    assert together([]).to_pylist() == []
