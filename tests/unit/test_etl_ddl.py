"""The SQL that creates a warehouse, compared as a whole, and what is said where none works."""

from pathlib import Path

import pytest

from etl import (
    Array,
    BigInteger,
    Boolean,
    Bytes,
    Calendar,
    Column,
    Date,
    DeclarationError,
    Double,
    Integer,
    Interval,
    IsoDate,
    Json,
    Model,
    Numeric,
    Other,
    PostgresWarehouse,
    Real,
    SmallInteger,
    Table,
    Text,
    Time,
    Timestamp,
    UnixTime,
    Uuid,
    View,
    dimension,
    history,
    latest,
    once,
    replace,
)
from etl.ddl import CALENDAR_COLUMNS, create_schema, create_views, postgres, sql_type

VISIT = Table(
    'Visit "x" 1',
    key=("place", "at"),
    columns={"place": Uuid(), "at": Timestamp(), "Grund: 100 %": Text(nullable=True)},
)


def test_each_way_has_the_table_that_it_needs() -> None:
    """A history numbers its records and finds those of a key; the others have a primary key."""
    tables = (latest(VISIT), history(VISIT, name="visits"), replace(VISIT, name="now"))

    made = postgres(PostgresWarehouse("warehouse", tables), "my stars")
    as_once = postgres(PostgresWarehouse("warehouse", (once(VISIT),)), "my stars")

    assert as_once == {VISIT.name: made[VISIT.name]}

    assert list(made.values()) == [
        """CREATE TABLE "my stars"."Visit ""x"" 1" (
    "place" uuid NOT NULL,
    "at" timestamp without time zone NOT NULL,
    "Grund: 100 %" text,
    PRIMARY KEY ("place", "at")
);""",
        """CREATE TABLE "my stars"."visits" (
    "visits_record_id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "place" uuid NOT NULL,
    "at" timestamp without time zone NOT NULL,
    "Grund: 100 %" text
);
CREATE INDEX ON "my stars"."visits" ("place", "at", "visits_record_id");""",
        """CREATE TABLE "my stars"."now" (
    "place" uuid NOT NULL,
    "at" timestamp without time zone NOT NULL,
    "Grund: 100 %" text,
    PRIMARY KEY ("place", "at")
);""",
    ]


def test_the_calendar_is_created_first() -> None:
    """It has a column for each attribute of a day."""
    target = PostgresWarehouse("warehouse", (latest(VISIT),), calendar=Calendar("days"))

    names = list(made := postgres(target, "public"))

    assert names == ["days", 'Visit "x" 1']
    assert all(f'"{column}" ' in made["days"] for column in CALENDAR_COLUMNS)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (SmallInteger(), "smallint"),
        (Integer(), "integer"),
        (BigInteger(), "bigint"),
        (Numeric(), "numeric"),
        (Numeric(5), "numeric(5,0)"),
        (Numeric(10, 2), "numeric(10,2)"),
        (Real(), "real"),
        (Double(), "double precision"),
        (Text(), "text"),
        (Boolean(), "boolean"),
        (Date(), "date"),
        (IsoDate(), "date"),
        (Time(), "time without time zone"),
        (Time(timezone=True), "time with time zone"),
        (Timestamp(), "timestamp without time zone"),
        (Timestamp(timezone=True), "timestamp with time zone"),
        (UnixTime(), "timestamp with time zone"),
        (Interval(), "interval"),
        (Uuid(), "uuid"),
        (Json(), "json"),
        (Json(binary=True), "jsonb"),
        (Bytes(), "bytea"),
        (Array(Numeric(4, 1)), "numeric(4,1)[]"),
        (Array(Array(Integer())), "integer[]"),
        (Array(Other("mood")), "text[]"),
        (Other("mood"), "text"),
    ],
    ids=repr,
)
def test_each_type_has_one_that_holds_it(column: Column, expected: str) -> None:
    """Every declared type has the type of PostgreSQL that has the same values, or their text."""
    assert sql_type(column) == expected


def test_a_table_without_columns_is_named() -> None:
    """Nobody can create a table of which nothing but a function is known."""

    @dimension(key="place")
    def dim_place(visit: object) -> object:
        return visit

    with pytest.raises(DeclarationError, match=r"^target table dim_place cannot be created"):
        postgres(PostgresWarehouse("warehouse", (dim_place,)), "public")


def test_the_file_of_a_pipeline_is_its_ddl(tmp_path: Path) -> None:
    """Each table of the file comes with the schema, also where another table refers to it."""
    (tmp_path / "warehouse.sql").write_text(
        "-- Made by hand\nCREATE TABLE place (\n    id integer PRIMARY KEY\n);\n\n"
        'CREATE TABLE "Visit ""x"" 1" (\n    place integer REFERENCES place (id)\n);\n'
    )
    place = Table("place", key="id", columns={"id": Integer()})
    tables = (latest(place), latest(VISIT))

    made = postgres(PostgresWarehouse("warehouse", tables, ddl="warehouse.sql"), "s", tmp_path)

    assert made == {
        "place": 'CREATE TABLE "s".place (\n    id integer PRIMARY KEY\n);',
        'Visit "x" 1': 'CREATE TABLE "s"."Visit ""x"" 1" (\n    place integer'
        ' REFERENCES "s".place (id)\n);',
    }


def test_a_file_that_lacks_a_table_is_named(tmp_path: Path) -> None:
    """A table that was declared later is found missing before anything is created."""
    (tmp_path / "warehouse.sql").write_text("CREATE TABLE place (\n    id integer\n);\n")
    target = PostgresWarehouse("warehouse", (latest(VISIT),), ddl="warehouse.sql")

    with pytest.raises(DeclarationError, match=r"warehouse\.sql has no CREATE TABLE"):
        postgres(target, "public", tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A name that was mistyped in the declaration is no traceback."""
    target = PostgresWarehouse("warehouse", (latest(VISIT),), ddl="warehose.sql")

    with pytest.raises(
        DeclarationError, match=r"^target warehouse: there is no file warehose\.sql"
    ):
        postgres(target, "public", tmp_path)


def test_a_table_is_created_in_its_schema(tmp_path: Path) -> None:
    """Those of models are among them, whether they are made of columns or written in a file."""
    now = replace(VISIT, name="now", schema="my staging")
    model = Model(
        "totals",
        inputs=[now],
        sql="SELECT 1 AS n",
        columns={"n": Integer()},
        way="replace",
        schema="analytics",
    )
    (tmp_path / "warehouse.sql").write_text(
        "CREATE TABLE now (\n    id integer PRIMARY KEY\n);\nCREATE TABLE totals (\n"
        "    n integer REFERENCES now (id)\n);\nCREATE TABLE days (\n    day date\n);\n"
    )
    target = PostgresWarehouse(
        "w", (now,), models=(model,), calendar=Calendar("days"), ddl="warehouse.sql"
    )

    made = postgres(target, "public")
    written = postgres(target, "public", tmp_path)

    assert target.schemas("public") == ("public", "my staging", "analytics")
    assert [sql.split("(")[0] for sql in made.values()] == [
        'CREATE TABLE "public"."days" ',
        'CREATE TABLE "my staging"."now" ',
        'CREATE TABLE "analytics"."totals" ',
    ]
    assert written["totals"] == (
        'CREATE TABLE "analytics".totals (\n    n integer REFERENCES "my staging".now (id)\n);'
    )
    assert create_schema('a"b') == 'CREATE SCHEMA IF NOT EXISTS "a""b";'


def test_a_view_finds_its_tables_by_their_names(tmp_path: Path) -> None:
    """Its SQL comes with the schemas of the target, from a file of the pipeline or as it is."""
    (tmp_path / "now.sql").write_text("SELECT place  -- of :x\nFROM visits;\n")
    views = (View("now", "now.sql"), View("then", "SELECT 1 AS n;", schema='my "s'))
    target = PostgresWarehouse("warehouse", (history(VISIT, name="visits"),), views=views)

    assert target.schemas("public") == ("public", 'my "s')
    path = 'SET LOCAL search_path = "public", "my ""s", "pg_temp";'
    assert create_views(target, "public", tmp_path) == {
        "now": f'BEGIN;\n{path}\nCREATE OR REPLACE VIEW "public"."now" AS\n'
        "SELECT place  -- of :x\nFROM visits\n;\nCOMMIT;",
        "then": f'BEGIN;\n{path}\nCREATE OR REPLACE VIEW "my ""s"."then" AS\n'
        "SELECT 1 AS n\n;\nCOMMIT;",
    }


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT :day AS day", "view v: :day stands for nothing: it has no values"),
        ("SELECT 1; SELECT 2", "view v: it has more than one statement: write one SELECT"),
        ("v.sql", "view v: there is no file v.sql: write it"),
    ],
)
def test_a_view_is_one_select_without_values(sql: str, said: str, tmp_path: Path) -> None:
    """SQL that only a model may have is found when the pipeline is declared."""
    with pytest.raises(DeclarationError) as raised:
        View("v", sql).query(tmp_path)
    assert str(raised.value) == said
