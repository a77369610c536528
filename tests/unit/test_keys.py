"""The keys of rows as one value each: equal for equal keys, and for no others."""

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.keys import as_type, columns_of, is_among, keys_of, none_of, spoken

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.text("\\,a")
STAMP = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))
TYPES: dict[pa.DataType, st.SearchStrategy[object]] = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.string(): TEXT,
    pa.bool_(): st.booleans(),
    pa.decimal128(20, 8): st.decimals(-(10**11), 10**11, places=8),
    pa.timestamp("us"): STAMP,
    pa.timestamp("us", "UTC"): STAMP.map(lambda stamp: stamp.replace(tzinfo=UTC)),
    pa.timestamp("ms"): STAMP.map(lambda stamp: stamp.replace(microsecond=0)),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Return distinct rows of one to three columns that together are a key."""
    kinds = draw(st.lists(st.sampled_from(list(TYPES)), min_size=1, max_size=3))
    row = st.tuples(*(TYPES[kind] for kind in kinds))
    rows = draw(st.lists(row, max_size=8, unique=True))
    columns = [pa.array([r[at] for r in rows], kind) for at, kind in enumerate(kinds)]
    return pa.table(columns, names=[f"column {at}" for at in range(len(kinds))])


@given(tables())
def test_a_key_is_its_columns_and_they_are_the_key(rows: pa.Table) -> None:
    """Different rows have different keys, and each key gives back the values it was made of."""
    keys = keys_of(rows, rows.column_names)

    assert len(set(keys.to_pylist())) == rows.num_rows
    assert columns_of(keys, rows.schema).to_pylist() == rows.to_pylist()


@given(st.lists(st.lists(TEXT, min_size=2, max_size=2), min_size=1, max_size=5))
def test_a_person_reads_the_texts_of_a_key(texts: list[list[str]]) -> None:
    """A key of several columns is shown without the marks that keep its columns apart."""
    rows = pa.table({name: [row[at] for row in texts] for at, name in enumerate("ab")})
    keys = keys_of(rows, ["a", "b"])

    assert [spoken(key, 2) for key in keys.to_pylist()] == [", ".join(row) for row in texts]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ([7], 7),
        (["a,b"], "a,b"),
        ([7, "a,b"], r"7,a\,b"),
        (["\\", ""], r"\\,"),
        ([datetime(2024, 1, 2, 3, 4, 5)], "2024-01-02 03:04:05.000000"),
        ([Decimal("0.00000001"), True], "0.00000001,true"),
    ],
)
def test_keys_look_as_they_do_in_sql(values: list[object], key: object) -> None:
    """A key is an integer, or text that the databases can make as well."""
    rows = pa.table([pa.array([value]) for value in values], names=["a", "b"][: len(values)])

    assert keys_of(rows, rows.column_names).to_pylist() == [key]


def test_without_a_value_in_every_column_there_is_no_key() -> None:
    """A row with NULL in a column of its key refers to nothing."""
    rows = pa.table({"a": ["x", None, "y"], "b": [1, 2, None]})

    assert keys_of(rows, ["a", "b"]).to_pylist() == ["x,1", None, None]
    small = pa.table({"a": [Decimal("0.00000001"), None]})
    assert keys_of(small, ["a"]).to_pylist() == ["0.00000001", None]


@pytest.mark.parametrize("key", ["a", "a,1,2", ""])
def test_a_text_that_is_no_key_of_the_columns_is_an_error(key: str) -> None:
    """Keys of other columns are never taken for values of these."""
    with pytest.raises(pa.ArrowInvalid, match="not one of 2 columns"):
        columns_of(pa.array([key]), pa.schema([("a", pa.string()), ("b", pa.int32())]))


def test_no_keys_have_the_type_that_some_would_have() -> None:
    """A table without rows has keys of the same type as a full one."""
    integers, texts = pa.table({"a": pa.array([], pa.int32())}), pa.table({"a": [""][:0]})

    assert keys_of(integers, ["a"]) == none_of(integer=True)
    assert keys_of(texts, ["a"]).cast(pa.string()) == none_of(integer=False)


def test_keys_become_numbers_or_texts_as_a_table_has_them() -> None:
    """A text that is no number, or one beyond what is looked up as a number, is no key."""
    texts = pa.array(["7", "-12", "007", "1.5", "", None, "9" * 18, "9" * 19, "x1"])
    numbers = [7, -12, 7, None, None, None, 10**18 - 1, None, None]

    assert as_type(texts, pa.int64()).to_pylist() == numbers
    assert as_type(texts, pa.string()) == texts
    assert as_type(pa.array([1, None, -2]), pa.string()).to_pylist() == ["1", None, "-2"]
    assert as_type(pa.array([1, None, -2]), pa.int64()).to_pylist() == [1, None, -2]


def test_a_number_is_never_among_texts() -> None:
    """NULL is among nothing, and a key of another type is another key."""
    keys, texts = pa.array([1, 2, None]), pa.array(["1", None])

    assert is_among(keys, [1, "2"]).to_pylist() == [True, False, False]
    assert is_among(keys, pa.array([2, None])).to_pylist() == [False, True, False]
    assert is_among(keys, texts).to_pylist() == [False, False, False]
    assert is_among(texts, {"1", 1}).to_pylist() == [True, False]
