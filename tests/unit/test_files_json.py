"""JSON in cells of text, against Python's json module, however the file comes in pieces."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import Boolean, Integer, Json, Numeric, Table, Text
from functions.common.errors import UnusableFileError
from functions.sources.formats import json_files
from functions.sources.formats.json_files import JsonReader

TARGETS = Table(
    "targets",
    key=(),
    columns={"id": Integer(), "amount": Numeric(10, 2), "name": Text(), "more": Json()},
)


def rows_of(text: bytes, size: int = 0, table: Table = TARGETS) -> Iterator[dict[str, Any]]:
    pieces = [text[at : at + size] for at in range(0, len(text), size)] if size else [text]
    for rows in JsonReader(table).rows(iter(pieces)):
        yield from rows.to_pylist()


def read(text: bytes, size: int = 0) -> list[tuple[object, ...]]:
    """Return the line of each row with its cells, or with what is wrong."""
    return [
        (row["_line"], row["_wrong"])
        if row["_wrong"]
        else (row["_line"], *(row[name] for name in TARGETS.columns))
        for row in rows_of(text, size)
    ]


def refused(text: bytes, size: int = 0) -> str:
    with pytest.raises(UnusableFileError) as raised:
        read(text, size)
    return str(raised.value)


@pytest.mark.parametrize("size", [0, 1, 7])
def test_documents_are_one_a_line_or_in_one_array(size: int) -> None:
    """The beginning of the file decides; a line number is that of a document's first line."""
    one = b'{"id": 1, "name": "a"}\r\n{"id": 2}\r\n{"id": 3}'
    other = b'[\r\n {"id": 1,\r\n  "name": "a"}, {"id": 2},\r\n\r\n {"id": 3}\r\n]\r\n'

    assert read(one, size) == [
        (1, "1", None, "a", None),
        (2, "2", *3 * [None]),
        (3, "3", *3 * [None]),
    ]
    assert read(other, size) == [
        (2, "1", None, "a", None),
        (3, "2", *3 * [None]),
        (5, "3", *3 * [None]),
    ]


def test_values_keep_every_digit() -> None:
    """A number is the text it was written as, and nested values are JSON again."""
    text = (
        b'{"id": 9007199254740993, "amount": 25000.00, "name": "1.50", '
        b'"more": {"a": [1.10, true, null, "x\\u00e9"]}}\n'
        b'{"id": "7", "amount": 1e400, "name": "", "more": "text"}\n'
    )

    assert read(text) == [
        (1, "9007199254740993", "25000.00", "1.50", '{"a": [1.10, true, null, "xé"]}'),
        (2, "7", "1e400", "", '"text"'),
    ]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("", "it is a blank line"),
        ("7", "it is not an object"),
        ('{"id": 1', "it is not JSON from character 9 on"),
        ('{"id": 1} {', "it is not JSON: more follows the value at character 11"),
        ('{"id": 1, "id": 2}', "it has two fields id"),
        ('{"more": {"x": 1, "x": 1}}', "it has two fields x"),
        (r'{"\ud83d": 1, "\ud83d": 1}', r"it has two fields \ud83d"),
        ('{"amount": NaN}', "NaN is not JSON"),
        ('{"amount": -Infinity}', "-Infinity is not JSON"),
        ('{"name": 1}', "name is a number and not a text"),
        ('{"name": true}', "name is true or false and not a text"),
        ('{"name": ["a"], "id": {}}', "id is an object; name is a list"),
        ('{"name": "\\u0000"}', "name has a NUL character"),
        ('{"name": "\\ud800"}', "name is not UTF-8"),
        ('{"name": "\\udc80"}', "name is not UTF-8"),
        ('{"more": ' + "[" * 100_000 + "]" * 100_000 + "}", "its values are nested too deeply"),
    ],
)
def test_a_wrong_document_costs_itself_and_no_other(document: str, why: str) -> None:
    """The lines before and after it are read, and the reason is a sentence."""
    text = f'{{"id": 1}}\n{document}\n{{"id": 2}}\n'

    rows = list(rows_of(text.encode()))

    assert [row["_wrong"] for row in rows] == [None, why, None]
    assert [row["_row"] for row in rows] == text.splitlines()


def test_bytes_that_are_not_utf8_are_shown() -> None:
    """The record is there as it came, with what could not be decoded as \\xNN."""
    [row] = rows_of(b'{"name": "\xff"}')

    assert (row["_wrong"], row["_row"]) == ("name is not UTF-8", '{"name": "\\xff"}')


def test_true_and_false_are_these_words() -> None:
    """A column of another type than Text takes them as it takes text."""
    table = Table("flags", key=(), columns={"on": Boolean()})

    assert [row["on"] for row in rows_of(b'[{"on": true}, {"on": false}]', 1, table)] == [
        "true",
        "false",
    ]


def test_an_array_may_have_wrong_documents() -> None:
    """As long as it is clear where the next one begins."""
    text = b'[{"id": 1}, 7, {"id": 1, "id": 1}, {"id": NaN}, null, {"id": 2}]'

    assert [row["_wrong"] for row in rows_of(text)] == [
        None,
        "it is not an object",
        "it has two fields id",
        "NaN is not JSON",
        "it is not an object",
        None,
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b'[{"id": 1}', "it is not JSON from line 1 on: it is cut off"),
        (b'[{"id": 1},\n{"id": }]', "it is not JSON from line 2 on"),
        (b'[{"id": 1}\n{"id": 2}]', "it is not JSON from line 2 on: a comma should follow"),
        (b'[{"id": 1},]', "it is not JSON from line 1 on"),
        (b'[]\n{"id": 1}', "it is not JSON from line 2 on: more follows the array"),
        (b"[" * 100_000, "it is not JSON from line 1 on: its values are nested too deeply"),
    ],
)
@pytest.mark.parametrize("size", [0, 1])
def test_a_file_that_is_no_array_says_where(text: bytes, why: str, size: int) -> None:
    """A syntax error in an array refuses the file."""
    if len(text) < 1000 or not size:
        assert refused(text, size) == why


def test_an_array_without_documents_is_a_file_without_rows() -> None:
    """An export of nothing is no mistake."""
    assert read(b" [ ] \n") == []


@pytest.mark.parametrize("start", [b'[{"name": "', b'{"name": "'])
def test_a_document_without_an_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    """It would fill the memory of the function."""
    monkeypatch.setattr(json_files, "RECORD_BYTES", 100)

    assert refused(start + b"x" * 200, 50) == "its document on line 1 has more than 0 MB"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.lists(st.fixed_dictionaries({"id": st.integers(), "more": VALUES}), max_size=5)


@given(DOCUMENTS, st.integers(1, 9), st.sampled_from([None, 1]), st.booleans())
def test_documents_are_those_that_were_written(
    documents: list[dict[str, Any]], size: int, indent: int | None, ascii_only: bool
) -> None:
    """Whatever their values, and wherever the pieces of the file end."""
    array = json.dumps(documents, indent=indent, ensure_ascii=ascii_only)
    lines = "".join(f"{json.dumps(each, ensure_ascii=ascii_only)}\n" for each in documents)

    for text in [array, *([lines] if documents else [])]:
        found = list(rows_of(text.encode("utf-8", "surrogatepass"), size))
        good = [row for row in found if not row["_wrong"]]
        assert [json.loads(row["_row"]) for row in found] == documents
        assert [int(row["id"]) for row in good] == [
            int(json.loads(row["_row"])["id"]) for row in good
        ]
        for row in good:
            more = json.loads(row["_row"])["more"]
            assert (None if row["more"] is None else json.loads(row["more"])) == more
