"""The parents that rows of a batch name and that the source does not have."""

from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from etl import Integer, Table
from etl.pipeline import Wait
from functions.sources.postgres import parents
from functions.sources.postgres.parents import MissingParents
from tests.unit.test_keysets import key_set

STAFF, CITY = (Table(name, key="id", columns={"id": Integer()}) for name in ("staff", "city"))
WAITS = (Wait(("boss",), STAFF), Wait(("helper",), STAFF), Wait(("city",), CITY))


def plan(kind: Any = None, **others: Any) -> Any:
    """Return what is asked of the plan of a table, whose columns are all of one type."""
    types = kind or pa.int32()
    return SimpleNamespace(types_of=lambda names: dict.fromkeys(names, types), **others)


def batch(**columns: list[Any]) -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(each, pa.int32()) for name, each in columns.items()})


def missing(plans: Any = None) -> MissingParents:
    nothing: Any = None
    return MissingParents(nothing, plans or {})


def test_all_missing_parents_of_a_table_are_found() -> None:
    """By whichever column, and in whichever slice, rows refer to them; each once, in order."""
    found, keys = missing(), {"staff": key_set({1, 2}), "city": key_set({5})}

    found.look(WAITS, plan(), batch(boss=[1, 9, None], helper=[8, 2, 9], city=[5, 5, 5]), keys)
    found.look(WAITS, plan(), batch(boss=[7], helper=[1], city=[6]), keys)

    assert found.by_table() == {"city": [6], "staff": [7, 8, 9]}


def test_parents_that_are_all_there_are_not_missing() -> None:
    """A batch without any names no table."""
    found = missing()

    found.look(WAITS[:1], plan(), batch(boss=[1, None]), {"staff": key_set({1})})

    assert found.by_table() == {}
    found.look(WAITS[:1], plan(), batch(boss=[3]), {})  # a table that had no key at any batch
    assert found.by_table() == {"staff": [3]}


def test_parents_by_text_are_looked_up_in_the_source(monkeypatch: Any) -> None:
    """Keys that are no integers are compared where the tables are, by one query for each wait."""
    queries: list[str] = []

    def copy_out(_: Any, query: str, schema: pa.Schema) -> Any:
        queries.append(query)
        yield pa.record_batch([pa.array(["b", None, "a"])], schema=schema)

    monkeypatch.setattr(parents, "copy_out", copy_out)
    there = SimpleNamespace(error=None, key_text="id", source="staff_table")
    found = missing({"staff": there})
    named = plan(pa.string(), source="work", taken="true")

    found.look(WAITS[:1], named, batch(boss=[1]), {})
    assert (found.by_table(), queries) == ({}, [])
    found.ask(WAITS[:1], named, {})
    found.ask(WAITS[:1], plan(), {"staff": key_set({1})})

    assert found.by_table() == {"staff": ["a", "b"]}
    [query] = queries
    assert "FROM work WHERE true" in query
    assert "LEFT JOIN (SELECT id AS key FROM staff_table) AS there" in query


def test_parents_of_a_table_that_is_left_out_are_those_that_it_had(monkeypatch: Any) -> None:
    """It cannot be asked, so the keys of the last batch that read it decide."""
    answer = [pa.record_batch({"key": pa.array(["1", "7"])})]
    monkeypatch.setattr(parents, "copy_out", lambda *_: iter(answer))
    found = missing({"staff": SimpleNamespace(error="it is not there")})
    there = SimpleNamespace(not_in=lambda keys: keys.filter(pa.array([False, True])))

    sparse: Any = {"staff": there}
    found.ask(WAITS[:1], plan(source="work", taken="true"), sparse)

    assert found.by_table() == {"staff": [7]}
