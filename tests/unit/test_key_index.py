"""Which histories get an index on their key, and which rows are looked up by it."""

import pytest

from functions.targets.layout import Found
from functions.targets.postgres.indexes import index_of, lacks_index
from functions.targets.postgres.tables import PostgresTable


def table(
    kind: str = "integer", *, opaque: frozenset[str] = frozenset(), is_indexed: bool = False
) -> PostgresTable:
    """Return a history whose key is `a "b"`, of a type, and `c`."""
    types = {'a "b"': kind, "c": "bigint", "d": "text"}
    key = ('a "b"', "c")
    return PostgresTable(
        "t", "s", "T", types, "r", key, "history", opaque=opaque, is_indexed=is_indexed
    )


def test_an_index_is_on_the_whole_key_by_its_quoted_names() -> None:
    """Then the record id, by which the newest is found; names of any form are quoted."""
    assert index_of(table()) == 'CREATE INDEX ON "s"."T" ("a ""b""", "c", "r")'


@pytest.mark.parametrize(
    ("kind", "has_room"),
    [
        ("bigint", True),
        ("smallint", True),
        ("uuid", True),
        ("date", True),
        ("boolean", True),
        ("timestamp without time zone", True),
        ("timestamp(3) with time zone", True),
        ("time without time zone", True),
        ("numeric(10,2)", True),
        ("character varying(255)", True),
        ("character(3)", True),
        ("numeric", False),
        ("text", False),
        ("bytea", False),
        ("character varying", False),
        ("character varying(4000)", False),
        ("integer[]", False),
        ("timestamptzrange", False),
    ],
)
def test_only_values_that_always_fit_into_an_index_get_one(kind: str, *, has_room: bool) -> None:
    """A longer one would be refused by the index, and not by the table."""
    assert lacks_index(table(kind)) is has_room


def test_keys_that_are_compared_by_their_text_get_no_index() -> None:
    """It would not be used."""
    assert not lacks_index(table(opaque=frozenset({"c"})))
    assert lacks_index(table(opaque=frozenset({"d"})))
    assert not table(opaque=frozenset({"c"}), is_indexed=True).finds_keys
    assert table(opaque=frozenset({"d"}), is_indexed=True).finds_keys


def test_an_indexed_history_and_one_without_a_key_lack_none() -> None:
    """Whatever order the index has the columns in."""
    assert not lacks_index(table(is_indexed=True))
    assert not lacks_index(PostgresTable("t", "s", "T", {"d": "date"}, "r", (), "history"))


@pytest.mark.parametrize(
    ("index", "finds"),
    [(("a", "b"), True), (("b", "a", "c"), True), (("a",), False), (("c", "a", "b"), False)],
)
def test_an_index_finds_a_key_by_its_first_columns(index: tuple[str, ...], *, finds: bool) -> None:
    """In any order, and whatever follows."""
    found = Found("s", "t", 1, 1, {}, [], [], frozenset(), frozenset(), frozenset({index}))

    assert found.finds(["a", "b"]) is finds
