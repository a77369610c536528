"""The consequences of a declaration, and the message for each mistake in one."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from etl import (
    SELF,
    Calendar,
    DeclarationError,
    Integer,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    Table,
    TargetTable,
    Text,
    dimension,
    fact,
    history,
    latest,
    replace,
)
from etl.loading import load
from etl.tables import table_id

TEAM = Table("team", key="team_id", columns={"team_id": Integer(), "title": Text()})
PERSON = Table(
    "person",
    key="person_id",
    columns={
        "person_id": Integer(),
        "team_id": Integer(references=TEAM),
        "manager_id": Integer(nullable=True, references=SELF),
    },
)
TASK = Table(
    "task",
    key=("team_id", "number"),
    columns={
        "team_id": Integer(references=TEAM),
        "number": Integer(),
        "owner_id": Integer(references=PERSON),
        "reviewer_id": Integer(nullable=True, references=PERSON),
    },
)


def pipeline_of(*tables: TargetTable, source: tuple[Table, ...] = (TEAM, PERSON, TASK)) -> Pipeline:
    """Return a pipeline with one source and one target."""
    return Pipeline(
        sources=[Postgres("source", source)], targets=[PostgresWarehouse("warehouse", tables)]
    )


def waits_of(pipeline: Pipeline, name: str) -> list[tuple[tuple[str, ...], str]]:
    """Return what a target table waits for, as columns and the name of a table."""
    mapping = next(each for each in pipeline.mappings("source") if each.target.name == name)
    return [(wait.columns, wait.parent.name) for wait in pipeline.waits(mapping)]


def test_a_reference_to_a_parameter_is_a_join_and_any_other_a_parent_to_wait_for() -> None:
    """The declaration says once which rows belong together; batches and waits follow from it."""

    @dimension(key="person_id")
    def dim_person(person: Any, team: Any) -> Any:
        return person.merge(team, on="team_id")

    pipeline = pipeline_of(dim_person, history(TASK), latest(TEAM))

    joined, *_ = [each for each in pipeline.mappings("source") if each.target is dim_person]
    assert [(join.parameter, join.child, join.columns) for join in joined.joins] == [
        ("team", "person", ("team_id",))
    ]
    assert waits_of(pipeline, "dim_person") == []
    assert waits_of(pipeline, "task") == [
        (("team_id",), "team"),
        (("owner_id",), "person"),
        (("reviewer_id",), "person"),
    ]
    assert {table.name for table in pipeline.waited_for("source")} == {"team", "person"}


def test_parents_come_before_the_tables_that_refer_to_them() -> None:
    """Whatever the order of the declaration, a target with foreign keys takes the rows."""
    pipeline = pipeline_of(history(TASK), latest(PERSON), latest(TEAM))

    assert [each.target.name for each in pipeline.mappings("source")] == ["team", "person", "task"]


def test_references_in_a_circle_have_an_order_too() -> None:
    """Two tables that refer to each other are loaded; the second one waits for the first."""
    a = Table("a", key="id", columns={"id": Integer(), "b_id": Integer()})
    b = Table("b", key="id", columns={"id": Integer(), "a_id": Integer(references=a)})
    object.__setattr__(a, "columns", {**a.columns, "b_id": Integer(references=b)})
    pipeline = pipeline_of(latest(b), latest(a), source=(a, b))

    assert [each.target.name for each in pipeline.mappings("source")] == ["b", "a"]
    assert waits_of(pipeline, "b") == []
    assert waits_of(pipeline, "a") == [(("b_id",), "b")]

    pipeline = pipeline_of(latest(b), latest(a), history(b, name="b_history"), source=(a, b))

    names = [each.target.name for each in pipeline.mappings("source")]
    assert names == ["b", "b_history", "a"]
    assert waits_of(pipeline, "b_history") == []


def test_a_table_joins_twice_under_two_parameters_and_over_several_levels() -> None:
    """`joins` says which column leads to which parameter, also to another row of the same table."""

    @latest(
        key=("team_id", "number"),
        joins={"owner": "owner_id", "reviewer": "reviewer_id", "boss": "owner.manager_id"},
    )
    def tasks(task: Any, owner: Any, reviewer: Any, boss: Any) -> Any:
        return task

    [mapping] = pipeline_of(tasks).mappings("source")

    assert [
        (join.parameter, join.table.name, join.child, join.columns, join.optional)
        for join in mapping.joins
    ] == [
        ("owner", "person", "task", ("owner_id",), False),
        ("reviewer", "person", "task", ("reviewer_id",), True),
        ("boss", "person", "owner", ("manager_id",), True),
    ]
    assert mapping.tables == (TASK, PERSON)


def test_a_reference_of_several_columns_leads_to_a_key_of_several() -> None:
    """It is declared with the table, because no single column has it."""
    comment = Table(
        "comment",
        key="id",
        columns={"id": Integer(), "team": Integer(), "task": Integer(nullable=True)},
        references={("team", "task"): TASK},
    )

    @latest(key="id")
    def comments(comment: Any, task: Any) -> Any:
        return comment

    [mapping] = pipeline_of(comments, source=(TEAM, PERSON, TASK, comment)).mappings("source")

    [join] = mapping.joins
    assert (join.table, join.columns, join.optional) == (TASK, ("team", "task"), True)


def test_a_copy_has_the_name_key_and_columns_of_its_table() -> None:
    """A table that is wanted as it is takes one word."""
    copied, renamed = latest(TEAM), history(TEAM, name="teams")

    assert (copied.name, copied.key, copied.way, copied.columns) == (
        "team",
        ("team_id",),
        "latest",
        TEAM.columns,
    )
    assert (renamed.name, renamed.way) == ("teams", "history")


@pytest.mark.parametrize(
    ("schema", "name", "expected"),
    [
        ("public", "team", "team"),
        ("sales", "team", "sales.team"),
        ("public", "sales.team", "sales%2Eteam"),
        ("Größe & Co", 'a "b"/c', "Gr%C3%B6%C3%9Fe%20%26%20Co.a%20%22b%22%2Fc"),
    ],
)
def test_names_of_tables_are_safe_in_keys_of_objects(schema: str, name: str, expected: str) -> None:
    """No two tables share a name there, and none leads out of its folder."""
    assert table_id(schema, name) == expected


def a_table(**changes: Any) -> Table:
    """Return a table with one thing about it changed."""
    return Table(**({"name": "t", "key": "id", "columns": {"id": Integer()}} | changes))


def made(parameters: str, **options: Any) -> TargetTable:
    """Return a target table whose function has some parameters."""
    scope: dict[str, Any] = {}
    exec(f"def made({parameters}): ...", scope)  # noqa: S102
    table: TargetTable = latest(**({"key": "person_id"} | options))(scope["made"])
    return table


def a_loop() -> Pipeline:
    """Return what cannot be: a table that is no table."""
    return pipeline_of(latest(SimpleNamespace(name="x")))  # type: ignore[call-overload]


MISTAKES: dict[str, Callable[[], object]] = {
    "table t: it has no key: name the columns that identify a row": lambda: pipeline_of(
        source=(a_table(key=()),)
    ),
    "table s.t: its key names a column no, and none is declared under that name": lambda: a_table(
        key="no", schema="s"
    ),
    "table t: the engine has a column _batch itself: leave it out": lambda: a_table(
        columns={"id": Integer(), "_batch": Integer()}
    ),
    "table t: column id of its key may not be nullable": lambda: a_table(
        columns={"id": Integer(nullable=True)}
    ),
    "table t: column id of its key is normalized, and only rows of files may have another key in "
    "the target: leave its normalize out": lambda: pipeline_of(
        source=(a_table(columns={"id": Text(normalize=str.upper)}),)
    ),
    "table t: task refers to table task, whose key has 2 columns: use references={(…): …} of the "
    "table": lambda: a_table(columns={"id": Integer(), "task": Integer(references=TASK)}),
    "table t: team refers to table team, and only one of it and the key there is a whole number: "
    "declare both as they are in the source": lambda: a_table(
        columns={"id": Integer(), "team": Text(references=TEAM)}
    ),
    "table t: a reference names a column no, and none is declared under that name": lambda: a_table(
        references={("id", "no"): TASK}
    ),
    "target table made: it has no key: name the columns that identify a row": lambda: made(
        "person", key=()
    ),
    "target table made: its key person_id is not among its columns": lambda: made(
        "person", columns={"id": Integer()}
    ),
    "write @latest(key=…) before def, or latest(table) for one as it is": a_loop,
    "target table made: its function takes no table: name one as its parameter": lambda: (
        pipeline_of(made(""))
    ),
    "target table made: persons is no table of any source": lambda: pipeline_of(made("persons")),
    "target table made: teams is no table of the source: check the parameter": lambda: pipeline_of(
        made("person, teams")
    ),
    "target table made: no reference leads to task: declare the column that refers to it with "
    "references=…, or name the column in joins={…}": lambda: pipeline_of(made("person, task")),
    "target table made: task.owner_id or task.reviewer_id may lead to person: say which with "
    "joins={'person': …}": lambda: pipeline_of(made("task, person", key=("team_id", "number"))),
    "target table made: no reference leads to boss: declare the column that refers to it with "
    "references=…, or name the column in joins={…}": lambda: pipeline_of(
        made("person, boss", joins={"boss": "no_such_column"})
    ),
    "target table made: its key has 1 columns and that of table task has 2: each row is made of "
    "one row of task": lambda: pipeline_of(made("task", key="number")),
    "'Source' cannot be the name of a source or a target: use lower-case letters, digits and _, "
    "and none of batches, errors, exports, files, keys, lake, lists, loaded, page, proofs, "
    "quarantine, refused, runs, swept, tombstones": lambda: Pipeline(
        sources=[Postgres("Source", (TEAM,))], targets=[]
    ),
    "two sources and targets are called same: rename one of them": lambda: Pipeline(
        sources=[Postgres("same", (TEAM,))], targets=[PostgresWarehouse("same", (latest(TEAM),))]
    ),
    "two tables of source are called t: rename one of them": lambda: pipeline_of(
        source=(a_table(), a_table())
    ),
    "two tables of source, as functions call them are called t: rename one of them": lambda: (
        pipeline_of(source=(a_table(), a_table(schema="s")))
    ),
    "table person refers to table team, which is not among the tables of source: add it "
    "there": lambda: pipeline_of(source=(PERSON,)),
    "two target tables are called team: rename one of them": lambda: pipeline_of(
        latest(TEAM), history(TEAM)
    ),
    "keys cannot be the name of a target table: take another": lambda: pipeline_of(
        latest(TEAM, name="keys")
    ),
    "table t: column x: write Text()": lambda: a_table(columns={"id": Integer(), "x": Text}),
    "table t: column x is no type: write Text(), Integer(), …": lambda: a_table(
        columns={"id": Integer(), "x": "text"}
    ),
    'table t: write its columns as {"name": Text(), …}': lambda: a_table(columns=["id"]),
    "table t: references={…} is for several columns, as in "
    '{("country", "number"): customer}: declare one of a single column with the '
    "column": lambda: a_table(references={"id": TEAM}),
    "latest has no nme: it takes key, name, joins, columns, other_names, other_columns, "
    "optional, schema": lambda: latest(TEAM, nme="teams"),  # type: ignore[call-overload]
    "target table team: a copy has the key of its table, team_id": lambda: pipeline_of(
        latest(TEAM, key="title")
    ),
    "target warehouse: made is no target table: write latest(table) for one as it is, or "
    "@latest(key=…) before the def of a function": lambda: pipeline_of(
        made("team").make  # type: ignore[arg-type]
    ),
    "target warehouse: table team is no target table: write latest(table) for one as it is, or "
    "@latest(key=…) before the def of a function": lambda: pipeline_of(TEAM),  # type: ignore[arg-type]
    "target warehouse: write its calendar as Calendar(name)": lambda: Pipeline(
        sources=[Postgres("source", (TEAM,))],
        targets=[PostgresWarehouse("warehouse", (latest(TEAM),), calendar="days")],  # type: ignore[arg-type]
    ),
    "there is no pipelines/nothing/pipeline.py: PIPELINE may be retail, stripe, totesys, "
    "zipster": lambda: load("nothing"),
}


@pytest.mark.parametrize("expected", MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_in_a_declaration_is_one_clear_line(expected: str) -> None:
    """It says where, what, and what to write, when the declaration is read."""
    with pytest.raises(DeclarationError) as raised:
        MISTAKES[expected]()

    assert str(raised.value) == expected


def test_only_history_tables_need_days_in_the_calendar() -> None:
    """A date far outside is a typing error in a fact, and may be meant in a dimension."""
    facts = fact(TASK)
    warehouse = PostgresWarehouse("warehouse", (latest(TEAM), facts), calendar=Calendar("dim_date"))
    pipeline = Pipeline(sources=[Postgres("source", (TEAM, PERSON, TASK))], targets=[warehouse])

    assert [
        each.target.name
        for each in pipeline.mappings("source")
        if pipeline.calendar_of(each) is not None
    ] == ["task"]


def test_rows_of_a_database_replace_others_by_their_key() -> None:
    """A database says which rows have changed: only the lines of a file may do without a key."""

    @replace()
    def lines(team: Any) -> Any:
        return team

    assert [each.target.name for each in pipeline_of(replace(TEAM)).mappings("source")] == ["team"]
    with pytest.raises(DeclarationError, match="target table lines: its key has 0 columns and"):
        pipeline_of(lines)


def test_a_source_feeds_one_target() -> None:
    """The batches of a source have one log of what was loaded, and so one target."""
    one, other = PostgresWarehouse("one", (latest(TEAM),)), PostgresWarehouse("two", ())
    source = Postgres("source", (TEAM, PERSON, TASK))

    assert Pipeline(sources=[source], targets=[one, other]).target_of("source") is one
    with pytest.raises(DeclarationError, match="source source feeds the targets one and three"):
        Pipeline(sources=[source], targets=[one, PostgresWarehouse("three", (latest(PERSON),))])


def test_each_database_has_settings_under_its_own_name() -> None:
    """A pipeline may have several databases: what is set for one is never taken for another."""
    parts = (Postgres("books", ()), PostgresWarehouse("archive", ()))

    assert [(part.setting, part.secret_setting) for part in parts] == [
        ("BOOKS_DATABASE_URL", "BOOKS_SECRET_ID"),
        ("ARCHIVE_DATABASE_URL", "ARCHIVE_SECRET_ID"),
    ]
