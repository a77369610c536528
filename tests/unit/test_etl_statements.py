"""The SQL of models: what in it stands for a value, and what has to be left as it is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import DeclarationError, Integer, Model, Table, Text, replace
from etl.statements import parsed

LINES = replace(Table("lines", key=(), columns={"text": Text()}))


def model(sql: str) -> Model:
    return Model("m", inputs=[LINES], sql=sql, columns={"n": Integer()}, way="replace")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT :day", "SELECT <day>"),
        ("SELECT :day::text, :day - 1", "SELECT <day>::text, <day> - 1"),
        ("SELECT x::date, 'a:day', \"a:day\"", "SELECT x::date, 'a:day', \"a:day\""),
        ("SELECT 'it''s :day', :day", "SELECT 'it''s :day', <day>"),
        (r"SELECT E'it\'s :day', :day", r"SELECT E'it\'s :day', <day>"),
        (r"SELECT 'C:\', :day", r"SELECT 'C:\', <day>"),
        ("SELECT $$ :day ' $$, :day", "SELECT $$ :day ' $$, <day>"),
        ("SELECT $a$ $$ :day $a$, :day", "SELECT $a$ $$ :day $a$, <day>"),
        ("SELECT a$b$, :day, c$b$", "SELECT a$b$, <day>, c$b$"),
        ("SELECT 1 -- of :day; 'yes\n, :day", "SELECT 1 -- of :day; 'yes\n, <day>"),
        ("SELECT /* a /* :day */ ' ; */ :day", "SELECT /* a /* :day */ ' ; */ <day>"),
        ("SELECT a[low:high], a[1:n], (b)[f(x):n]", "SELECT a[low:high], a[1:n], (b)[f(x):n]"),
        ("SELECT (:day),:day", "SELECT (<day>),<day>"),
        ("SELECT 1; \n", "SELECT 1 \n"),
        ("SELECT ';'; -- the end;\n/* ; */", "SELECT ';' -- the end;\n/* ; */"),
    ],
)
def test_names_in_sql_stand_for_values_and_those_in_text_do_not(sql: str, expected: str) -> None:
    """Strings, names, comments, casts and slices are left as they are."""
    assert parsed(sql).with_values(lambda name: f"<{name}>") == expected


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SELECT 1;;", "SELECT 1; /* */ 'x'"])
def test_a_model_is_one_statement(sql: str) -> None:
    """A second one is refused when the declaration is read."""
    with pytest.raises(DeclarationError, match="model m: it has more than one statement: write"):
        model(sql).statement(Path(), [])


@given(st.text(st.sampled_from("$a'\"-/*\\;: \nE[]d")))
def test_no_text_is_lost(sql: str) -> None:
    """All but names and a semicolon at the end is sent as it is."""
    try:
        statement = parsed(sql)
    except DeclarationError:
        return
    sent = statement.with_values(lambda name: f":{name}")

    assert len(sql) - len(sent) in (0, 1)
    assert sent.replace(";", "") == sql.replace(";", "")


def test_a_name_that_stands_for_nothing_is_a_mistake() -> None:
    """It is found when the pipeline is read, and the message lists those that there are."""
    with pytest.raises(DeclarationError) as raised:
        model("SELECT :dya").statement(Path(), ["SHOP_COUNTRY"])

    assert str(raised.value) == (
        "model m: :dya stands for nothing: write one of :day, :batch, :SHOP_COUNTRY, or declare "
        "the setting"
    )


def test_a_model_may_be_a_file(tmp_path: Path) -> None:
    """It is of the pipeline's folder, and one that is not there is named."""
    (tmp_path / "m.sql").write_text("SELECT 1 AS n;\n")

    assert model("m.sql").statement(tmp_path, []).pieces == ("SELECT 1 AS n\n",)
    with pytest.raises(DeclarationError, match=r"^model m: there is no file n\.sql: write it$"):
        model("n.sql").statement(tmp_path, [])
