"""A pipeline that is written from a live database: what it declares, and what it leaves out."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pg8000.native import identifier

import deploy
from deployer.configuration.databases import parse_database_url
from deployer.errors import DeployError, SettingsError
from etl import Pipeline
from local.connection import connect
from local.new_pipeline.command import NothingToDeclare, Written, shown, write_pipeline
from local.postgres import PostgresServer

STRANGERS = Path(__file__).parent / "strangers"

Make = Callable[[str], str]


@pytest.fixture
def database(postgres: PostgresServer, database_numbers: Iterator[int]) -> Make:
    """Return a function that makes a database of SQL, and returns its URL."""

    def make(sql: str) -> str:
        name = f"stranger {next(database_numbers)}"
        with connect(postgres.superuser_url()) as connection:
            connection.run(f"CREATE DATABASE {identifier(name)}")
        with connect(postgres.superuser_url(name)) as connection:
            connection.run(sql)
        return postgres.superuser_url(name)

    return make


def declared(written: Written) -> Pipeline:
    """Read a page as Python."""
    specification = importlib.util.spec_from_file_location("page", written.path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    pipeline: Pipeline = module.PIPELINE
    return pipeline


def test_a_page_is_written_as_a_person_would(database: Make, tmp_path: Path) -> None:
    """Keys, types, references and NULL come from the catalogue; the page explains its one rule."""
    source = database(
        """CREATE TABLE team (team_id smallint PRIMARY KEY, title varchar(9) NOT NULL);
        CREATE TABLE "Order Line" ("Order" uuid, "class" integer, price numeric(8, 2)[],
            team_id smallint NOT NULL REFERENCES team, at timestamptz, place point,
            PRIMARY KEY ("Order", "class"));
        ALTER TABLE "Order Line" ADD before integer, ADD FOREIGN KEY ("Order", before)
            REFERENCES "Order Line";"""
    )

    written = write_pipeline("first_try", parse_database_url(source), tmp_path)

    page = Path(written.path).read_text()
    assert page == (
        '''"""first_try: 2 tables of a PostgreSQL database, kept in a warehouse as they are.

A table that others refer to has its newest values in the warehouse (`latest`). One that refers to
others, and that none refers to, records what happened: each state of its rows that was seen is kept
(`history`). Change either word where you know better. To shape a table, replace it by a function:
see "Write a pipeline" in docs/.
"""

from etl import (
    SELF,
    Array,
    Integer,
    Numeric,
    Other,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    SmallInteger,
    Table,
    Text,
    Timestamp,
    Uuid,
    history,
    latest,
)

team = Table(
    "team",
    key="team_id",
    columns={
        "team_id": SmallInteger(),
        "title": Text(),
    },
)

order_line = Table(
    "Order Line",
    key=("Order", "class"),
    columns={
        "Order": Uuid(),
        "class": Integer(),
        "price": Array(Numeric(), nullable=True),
        "team_id": SmallInteger(references=team),
        "at": Timestamp(timezone=True, nullable=True),
        "place": Other("point", nullable=True),
        "before": Integer(nullable=True),
    },
    references={
        ("Order", "before"): SELF,
    },
    alias="order_line",
)

SOURCE_TABLES = (
    team,
    order_line,
)
TARGET_TABLES = (
    latest(team),
    history(order_line),
)

PIPELINE = Pipeline(
    sources=[Postgres("source", SOURCE_TABLES)],
    targets=[PostgresWarehouse("warehouse", TARGET_TABLES)],
)
'''
    )
    assert written.tables == {"team": "latest", "Order Line": "history"}
    assert len(declared(written).mappings("source")) == 2


@pytest.mark.parametrize(
    ("stranger", "history", "left_out"),
    [
        ("music", {"PlaylistTrack", "InvoiceLine"}, set()),
        ("rental", {"film_actor", "payment"}, {"log_without_key"}),
    ],
)
def test_strangers_schemas_are_declared_whole(
    database: Make, tmp_path: Path, stranger: str, history: set[str], left_out: set[str]
) -> None:
    """Every table with a key is in the pipeline, whatever its names, types and references."""
    source = database((STRANGERS / f"{stranger}.sql").read_text())

    written = write_pipeline(stranger, parse_database_url(source), tmp_path)

    mappings = declared(written).mappings("source")
    assert len(mappings) == len(written.tables) >= 9
    assert {name for name, way in written.tables.items() if way == "history"} == history
    assert set(written.left_out) == left_out


def test_what_cannot_be_read_is_left_out_with_the_reason(
    database: Make, postgres: PostgresServer, tmp_path: Path
) -> None:
    """A table without a right or a key is named; a database without any other is refused."""
    source = database("CREATE TABLE keyless (line text)")

    with pytest.raises(NothingToDeclare) as raised:
        write_pipeline("nothing", parse_database_url(source), tmp_path)

    assert str(raised.value) == (
        "none of 1 tables can be read by a pipeline; table keyless: it has no primary key, and no "
        "unique index on columns that are NOT NULL"
    )
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Shop", "'Shop' cannot be a pipeline's name: use lower-case letters, digits and _"),
        ("../shop", "'../shop' cannot be a pipeline's name: use lower-case letters, digits and _"),
        ("there", "{} exists already: choose another name, or remove it"),
    ],
)
def test_nothing_is_overwritten(tmp_path: Path, name: str, expected: str) -> None:
    """A name that is taken or no name is refused before the database is asked."""
    (tmp_path / "there").mkdir()
    nowhere = parse_database_url("postgresql://user:password@127.0.0.1:1/none")

    with pytest.raises(SettingsError) as raised:
        write_pipeline(name, nowhere, tmp_path)

    assert str(raised.value) == expected.format(tmp_path / "there")
    with pytest.raises(DeployError):
        write_pipeline("fresh", nowhere, tmp_path)
    assert not (tmp_path / "fresh").exists()


def test_the_command_says_what_it_wrote_and_what_comes_next(
    database: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One command, without a line of Python to write, ends with the command to try it."""
    source = database("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (line text)")
    monkeypatch.setattr(deploy, "PIPELINES", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATABASE_URL", source)

    status = deploy.main(["new", "tried"])

    assert (status, capsys.readouterr().out) == (
        0,
        f"""table  kept as
a      latest 
latest: the newest values, of tables that others refer to, or that stand alone
history: every state seen, of tables that refer to others, and none to them

left out: b: it has no primary key, and no unique index on columns that are NOT NULL
Written: {tmp_path}/tried/pipeline.py
Try it:  PIPELINE=tried .venv/bin/python deploy.py local --once --source-url env
""",  # noqa: W291
    )


def test_the_next_command_repeats_where_the_url_is() -> None:
    """A file or standard input is named again; a URL is not, which may have a password."""
    written = Written("pipelines/tried/pipeline.py", {"a": "latest"}, {})
    url = "postgresql://reader:s3cret@db.example.com/shop"
    hints = [str(shown(written, given)[-1]) for given in ("@its url", "-", "env", url)]

    assert [hint.partition("--source-url ")[2] for hint in hints] == [
        "'@its url'",
        "-",
        "env",
        "env",
    ]
    assert "s3cret" not in "".join(hints)
