"""The SQL that leaves values out that are too large to carry."""

import pytest

from functions.sources.postgres.columns import Columns
from functions.sources.postgres.large import columns_to_measure, select_list
from tests.totesys import TABLES

DESIGN = TABLES["design"]


def columns(**types: str) -> Columns:
    """Return a table's columns, those of type integer of a fixed size."""
    variable = frozenset(name for name, sql_type in types.items() if sql_type != "integer")
    return Columns(DESIGN, tuple(types.items()), variable=variable)


def test_a_table_that_stores_all_values_in_its_rows_is_selected_plainly() -> None:
    """Reading it costs what it would cost if no value were ever too large."""
    usual = columns(
        id="integer", name="text", code="character varying(20)", kind="character(3)", photo="bytea"
    )

    assert columns_to_measure(usual, apart=False) == []
    assert select_list(usual, []) == '"id", "name", "code", "kind", "photo"'


def test_a_value_is_left_out_and_noted_by_its_stored_size() -> None:
    """A text says how long it is before it is read."""
    table = columns(id="integer", name="text")

    assert select_list(table, columns_to_measure(table, apart=True)) == (
        '"id", CASE WHEN octet_length("name") > 1048576 THEN NULL ELSE "name" END,'
        ' CASE WHEN octet_length("name") > 1048576 THEN'
        " '{' || concat_ws(',', VARIADIC ARRAY[CASE WHEN octet_length(\"name\") > 1048576"
        " THEN '\"name\":1048576' END]) || '}' END"
    )


@pytest.mark.parametrize("sql_type", ["jsonb", "json", "numeric[]", "xml", "shop.text", "bpchar"])
def test_a_type_whose_text_may_be_longer_than_it_is_stored_is_always_measured(
    sql_type: str,
) -> None:
    """Its text is measured unless what is stored is too large already."""
    table = columns(id="integer", more=sql_type)

    assert columns_to_measure(table, apart=False) == ["more"]
    assert select_list(table, ["more"]).startswith(
        '"id", CASE WHEN (pg_column_size("more") > 1048576'
        ' OR octet_length(concat("more")) > 1048576) THEN NULL ELSE "more" END, '
    )


def test_a_row_is_bounded_however_many_columns_it_has() -> None:
    """Values of 33 and more columns have to share 32 MB."""
    few = columns(**{f"c{number}": "text" for number in range(32)})
    many = columns(**{f"c{number}": "text" for number in range(1600)})

    assert 'octet_length("c31") > 1048576' in select_list(few, columns_to_measure(few, apart=True))
    assert 'octet_length("c1599") > 20971 ' in select_list(
        many, columns_to_measure(many, apart=True)
    )


def test_names_are_quoted_whatever_they_are() -> None:
    """A column's name is never read as SQL, plain or measured."""
    table = columns(**{'a"b; DROP TABLE x --': "integer", "it's :n": "text"})

    assert select_list(table, []) == '"a""b; DROP TABLE x --", "it\'s :n"'
    assert "THEN '\"it''s :n\":1048576' END" in select_list(table, ["it's :n"])
