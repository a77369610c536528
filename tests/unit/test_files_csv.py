"""CSV in cells of text, against Python's csv module, however the file comes in pieces."""

import csv
import io
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etl import Csv, Table, Text
from functions.common.errors import UnusableFileError
from functions.sources.formats import delimited
from functions.sources.formats.delimited import CsvReader

PAIRS = Table("pairs", key=(), columns={"a": Text(), "b": Text()})
LINES = Table("lines", key=(), columns={"a": Text()})
PLAIN = Csv(header=False, nulls=())

Row = tuple[object, ...]  # the cells, or what is wrong and the record as it came; and the line


def read(text: bytes, table: Table = PAIRS, format: Csv = Csv(), size: int = 0) -> list[Row]:  # noqa: A002, B008
    """Return what is read of a text that comes in pieces of a size, or as one."""
    reader = CsvReader(format, table)
    pieces = [text[at : at + size] for at in range(0, len(text), size)] if size else [text]
    return [row for rows in reader.rows(iter(pieces)) for row in cells(rows.to_pylist())]


def cells(rows: Iterable[dict[str, object]]) -> Iterator[Row]:
    for row in rows:
        line, wrong, raw = (row.pop(name) for name in ("_line", "_wrong", "_row"))
        yield (line, wrong, raw) if wrong else (line, *row.values())
        assert wrong or raw is None


def test_values_are_text_as_it_came() -> None:
    """No number loses a zero, no blank is trimmed, and only an empty cell is NULL."""
    assert read(b'b,a\n01234, x \n,"1e5"\n') == [(2, "01234", " x "), (3, None, "1e5")]


def test_only_a_file_begins_with_a_byte_order_mark() -> None:
    """Elsewhere it is part of a value, also of the first one of a record."""
    assert read("a,b\n\ufeff1,\ufeff2\n".encode()) == [(2, "\ufeff1", "\ufeff2")]


def test_cells_may_hold_line_breaks_and_lines_count_them() -> None:
    """A line number leads to the place in an editor, whatever quoted cells came before."""
    text = b'a,b\r\n"x\r\ny",1\r\n"p\rq\n",2\r\n3,4\r\nbad\r\n'

    assert read(text) == [
        (2, "x\r\ny", "1"),
        (4, "p\rq\n", "2"),
        (7, "3", "4"),
        (8, "it has 1 value, and the header has 2", "bad"),
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_they_do_anywhere(ending: str) -> None:
    """On Unix, on Windows, on an old Mac, and without a line break at the end of the file."""
    text = ending.join(["a,b", "1,2", "3,4"]).encode()

    assert read(text) == [(2, "1", "2"), (3, "3", "4")]
    assert read(text + ending.encode(), size=1) == [(2, "1", "2"), (3, "3", "4")]


def test_a_bad_record_costs_itself_and_no_other() -> None:
    """Too few values, too many, no line at all, bytes that are not UTF-8, and a NUL character."""
    text = b"a,b\n1,2\n1\n\n1,2,3\n\xff,\xfe\n\0,x\n5,6\n"

    assert read(text) == [
        (2, "1", "2"),
        (3, "it has 1 value, and the header has 2", "1"),
        (4, "it is a blank line", ""),
        (5, "it has 3 values, and the header has 2", "1,2,3"),
        (6, "a is not UTF-8; b is not UTF-8", "\\xff,\\xfe"),
        (7, "a has a NUL character", "\0,x"),
        (8, "5", "6"),
    ]


def test_rows_without_a_header_are_counted_by_the_declared_columns() -> None:
    """A file without a header has its columns in the order in which they are declared."""
    assert read(b"1,2\n3\n", format=Csv(header=False)) == [
        (1, "1", "2"),
        (2, "it has 1 value, and 2 are declared", "3"),
    ]


def test_a_quote_that_is_never_closed_costs_its_line() -> None:
    """The lines after it are read as if it were not there, unless they have quotes themselves."""
    assert read(b'a,b\n1,2\n3,"4\n5,6\n7"",8\n') == [
        (2, "1", "2"),
        (3, "a quote that is opened in it is never closed", '3,"4'),
        (4, "5", "6"),
        (5, "a quote that is opened in it is never closed", '7"",8'),
    ]


def test_of_one_column_an_unclosed_quote_costs_all_that_follows() -> None:
    """Any line would be a value: none is made of what was a part of one."""
    assert read(b'a\n1\n"2\n3\n', LINES) == [
        (2, "1"),
        (3, "a quote that is opened in it is never closed", '"2\n3'),
    ]


def test_what_is_quoted_is_no_blank_line() -> None:
    """Of a single column an empty line is no value, and a quoted empty one is NULL."""
    assert read(b'a\n""\n\nx\n', LINES) == [(2, None), (3, "it is a blank line", ""), (4, "x")]


def test_the_delimiter_the_quote_and_the_nulls_are_those_declared() -> None:
    """A semicolon, an apostrophe, and a word for NULL; then an empty cell is empty."""
    declared = Csv(delimiter=";", quote="'", nulls=("NULL", "-"))

    assert read(b"a;b\n'1;2';NULL\n-;\n", format=declared) == [(2, "1;2", None), (3, None, "")]


def test_columns_are_found_by_name_and_others_come_along() -> None:
    """In any order, with blanks around the names; one without a name is called by its place."""
    reader = CsvReader(Csv(), PAIRS)
    [rows] = reader.rows(iter([b" b ,c,a,,_line\n1,2,3,4,5\n"]))

    assert reader.header == ["b", "c", "a", "column 4", "_line"]
    assert rows.to_pylist() == [
        {"b": "1", "c": "2", "a": "3", "column 4": "4", "_line": 2, "_wrong": None, "_row": None}
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "it is empty"),
        (b"a\n1\n", "its header has no column b"),
        (b"a,b,c,c,a\n", "its header has two columns a, c"),
        (b"\na,b\n", "its first line is blank, and should be the header"),
        (b"a,b\xff\n1,2\n", "its header is not UTF-8: declare the encoding it has"),
        (b'a,"b\n1,2\n', "a quote that is opened in its header is never closed"),
    ],
)
@pytest.mark.parametrize("size", [0, 1])
def test_a_file_that_cannot_be_read_at_all_says_why(text: bytes, reason: str, size: int) -> None:
    """A header that the declared columns cannot be read by refuses the file, and so does none."""
    with pytest.raises(UnusableFileError) as raised:
        read(text, size=size)

    assert str(raised.value) == reason


def test_a_header_alone_is_a_file_without_rows() -> None:
    """An export of nothing is no mistake."""
    assert read(b"a,b") == read(b"a,b\r\n", size=1) == []


def test_a_record_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fill the memory of the function."""
    monkeypatch.setattr(delimited, "RECORD_BYTES", 100)

    with pytest.raises(UnusableFileError, match="its record on line 3 has more than 0 MB"):
        read(b'a,b\n1,2\n3,"' + b"x" * 200, size=50)


@pytest.mark.parametrize("step", [1, 20, 1000])
def test_a_bad_record_is_looked_for_in_small_steps(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Those around it are read as fast as ever, and lines are counted through."""
    monkeypatch.setattr(delimited, "STEP_BYTES", step)
    text = b'a,b\r\n1,"x\r\ny"\r\n' + b"2,z\r\n" * 9 + b'bad\r\n3,"p\r\rq"\r\n4,\xff\r\n5,6'

    assert read(text) == [
        (2, "1", "x\r\ny"),
        *((line, "2", "z") for line in range(4, 13)),
        (13, "it has 1 value, and the header has 2", "bad"),
        (14, "3", "p\r\rq"),
        (17, "b is not UTF-8", "4,\\xff"),
        (18, "5", "6"),
    ]


TEXTS = st.text(st.sampled_from('a1,;"\r\n é'), max_size=40)


@given(TEXTS, st.integers(0, 5), st.integers(1, 3), st.sampled_from([1, 9, 999]))
@example('a"b,"c"" d"e\n', 1, 2, 9)
@example('"",\n,', 1, 2, 9)
@example('1,"2\n3', 0, 2, 1)
def test_values_are_those_of_python_s_csv_module(
    text: str, size: int, columns: int, step: int
) -> None:
    """Quotes, delimiters and line breaks anywhere, and pieces and steps that end anywhere."""
    text += "\n"
    *expected, last = csv.reader(io.StringIO(text + "END", newline=""))
    is_closed = last == ["END"]
    table = Table("t", key=(), columns={f"c{number}": Text() for number in range(columns)})
    reader = CsvReader(PLAIN, table)
    body = text.encode()
    pieces = [body[at : at + size] for at in range(0, len(body), size)] if size else [body]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "STEP_BYTES", step)
        found = [row for rows in reader.rows(iter(pieces)) for row in rows.to_pylist()]

    good = [
        None if row["_wrong"] else [row[name] for name in table.columns]
        for row in (found if is_closed else found[: len(expected)])
    ]
    assert good == [values if len(values) == columns else None for values in expected]
    if not is_closed:
        assert found[len(expected)]["_wrong"] == "a quote that is opened in it is never closed"


@given(TEXTS, st.integers(1, 5), st.integers(1, 3))
def test_both_ways_to_read_find_the_same_rows(text: str, size: int, columns: int) -> None:
    """The fast one that takes whole blocks, and the one that takes each record by itself."""
    table = Table("t", key=(), columns={f"c{number}": Text() for number in range(columns)})
    fast, slow = (CsvReader(Csv(header=False), table) for _ in range(2))
    slow._fast = lambda block: None  # type: ignore[method-assign]
    body = f"x{text}".encode()

    found = [
        [row for rows in each.rows(iter([body])) for row in rows.to_pylist()]
        for each in (fast, slow)
    ]

    assert found[0] == found[1]
