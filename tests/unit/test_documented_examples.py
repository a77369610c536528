"""The examples on the pages are declarations, and what they are said to print is printed."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import etl
import pipelines
from deployer.configuration.databases import parse_database_url
from deployer.configuration.dotenv_file import load_dotenv
from etl import Integer, Table, Text, history, latest, loading
from functions.common.carried import LINE, ROW
from functions.transform.reports import Refused, form_of
from tests.aws.test_zipster_files import REPORT
from tests.documentation import ROOT, Block, commands, run_by
from tests.unit.conftest import COSTS, Command

EXAMPLES = run_by("test_an_example_declares_what_it_shows")
SETTINGS = run_by("test_settings_are_those_of_the_example_file")
DECLARED = etl.Pipeline | Table | etl.Model | etl.TargetTable

# What the examples refer to and do not declare.
TEAM = Table("team", key="team_id", columns={"team_id": Integer(), "title": Text()})
EMPLOYEE = Table(
    "employee",
    key="employee_id",
    columns={
        "employee_id": Integer(),
        "name": Text(),
        "team_id": Integer(references=TEAM),
        "manager_id": Integer(nullable=True, references=etl.SELF),
    },
)
GIVEN = {
    "team": TEAM,
    "employee": EMPLOYEE,
    "customer": Table(
        "customer", key=("country", "number"), columns={"country": Text(), "number": Integer()}
    ),
    "playlist": Table("Playlist", key="PlaylistId", columns={"PlaylistId": Integer()}),
    "track": Table("Track", key="TrackId", columns={"TrackId": Integer()}),
}
VISITS = {"day": etl.Date(), "visit_id": Integer()}


def given(page: Path) -> dict[str, Any]:
    """Return the names that the examples of a page may use."""
    source = etl.Postgres("source", (TEAM, EMPLOYEE))
    names = {name: getattr(etl, name) for name in etl.__all__}
    return (
        names
        | GIVEN
        | {
            "SOURCES": [source],
            "TARGETS": [etl.PostgresWarehouse("warehouse", (latest(TEAM),))],
            "VISITS": history(Table("visits", key="visit_id", columns=VISITS)),
            "artist": TEAM,
            "invoice_line": EMPLOYEE,
        }
    )


def run(block: Block, names: dict[str, Any]) -> dict[str, Any]:
    """Run an example as a reader would, with the lists that it leaves out."""
    text = block.text.replace("targets=[…]", "targets=TARGETS").replace(
        "sources=[…]", "sources=SOURCES"
    )
    exec(compile(text, block.name, "exec"), names)  # noqa: S102  it is our own page
    return names


@pytest.mark.parametrize("block", EXAMPLES, ids=[block.name for block in EXAMPLES])
def test_an_example_declares_what_it_shows(block: Block) -> None:
    """An example can be copied: it is Python, and the declarations in it are valid."""
    names = given(block.page)
    for earlier in EXAMPLES:
        if earlier.page == block.page and earlier.line < block.line:
            run(earlier, names)
    before = dict(names)

    after = run(block, names)
    new = [value for name, value in after.items() if before.get(name) is not value]
    assert any(isinstance(each, DECLARED) for each in new) or "latest(" in block.text


Write = Callable[[str], None]


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes the pipeline `music` beside those that ship."""
    folder = tmp_path / "pipelines"
    for name in ("music", *(path.parent.name for path in ROOT.glob("pipelines/*/pipeline.py"))):
        (folder / name).mkdir(parents=True)
        (folder / name / "pipeline.py").touch()
    monkeypatch.setattr(pipelines, "__path__", [str(folder)])
    monkeypatch.delitem(sys.modules, "pipelines.music", raising=False)
    monkeypatch.delitem(sys.modules, "pipelines.music.pipeline", raising=False)
    loading.load.cache_clear()

    def write(text: str) -> None:
        (folder / "music" / "pipeline.py").write_text(text)

    return write


PAGE = """from etl import *

album = Table("Album", key="AlbumId", columns={"AlbumId": Integer()})
artist = Table("Artist", key="ArtistId", columns={
    "ArtistId": Integer(), "Name": Text(nullable=True)})
PIPELINE = Pipeline(
    sources=[Postgres("source", (artist, album))],
    targets=[PostgresWarehouse("warehouse", (latest(artist), latest(album)))])
"""


def test_ddl_prints_what_the_page_shows(command: Command, music: Write) -> None:
    """The statements of a generated warehouse begin as the tutorial shows them."""
    [block] = run_by("test_ddl_prints_what_the_page_shows")
    music(PAGE)
    os.environ.update(PIPELINE="music", WAREHOUSE_SCHEMA="music")

    status, out, _ = command("ddl")

    assert status == 0
    assert out.startswith(block.text.partition("\n")[2].removesuffix("…\n"))


def test_a_mistake_is_the_line_on_the_page(command: Command, music: Write) -> None:
    """A mistake in a declaration, or in the name of one, is the line that the tutorial shows."""
    [block] = run_by("test_a_mistake_is_the_line_on_the_page")
    lines = 22 * "\n"
    wrong = "Table('Artist', key='ArtistID', columns={'ArtistId': Integer()})"
    music(f"from etl import *{lines}{wrong}")

    said = []
    for typed in commands(block.text):
        for name in re.findall(r"PIPELINE=(\w+)", typed) or ["music"]:
            os.environ["PIPELINE"] = name
        status, _, err = command("plan")
        said.append(f"$ {typed}\n{err}")
        assert status == 2
    assert "".join(said) == block.text


def test_the_test_on_the_page_passes(music: Write) -> None:
    """The unit test of the tutorial tries the function that the page declares before it."""
    [block] = run_by("test_the_test_on_the_page_passes")
    [declared] = [each for each in EXAMPLES if "def dim_employee(employee, team):" in each.text]
    tables = """
team = Table("team", key="team_id", columns={"team_id": Integer(), "title": Text()})
employee = Table("employee", key="employee_id", columns={
    "employee_id": Integer(), "name": Text(), "team_id": Integer(references=team)})
"""
    pipeline = """
PIPELINE = Pipeline(
    sources=[Postgres("source", (team, employee))],
    targets=[PostgresWarehouse("warehouse", (dim_employee,))])
"""
    music(f"from etl import *\n{tables}{declared.text}{pipeline}")

    tests = run(block, {})
    functions = [each for name, each in tests.items() if name.startswith("test_")]
    assert len(functions) == 2
    for each in functions:
        each()


def test_the_costs_are_those_of_the_default_settings() -> None:
    """The bill on the page is the one that `deploy.py` prints."""
    [block] = run_by("test_the_costs_are_those_of_the_default_settings")

    assert block.text == f"{COSTS.text()}\n"


@pytest.mark.parametrize("block", SETTINGS, ids=[block.name for block in SETTINGS])
def test_settings_are_those_of_the_example_file(block: Block, tmp_path: Path) -> None:
    """Each setting on a page is one that there is, and each address can be read."""
    (tmp_path / ".env").write_text(block.text)
    (tmp_path / ".env").chmod(0o600)
    settings: dict[str, str] = {}
    load_dotenv(tmp_path / ".env", settings, pytest.fail)

    assert settings
    for name, value in settings.items():
        assert re.search(rf"^{name}=", (ROOT / ".env.example").read_text(), re.MULTILINE)
        if name.endswith("_DATABASE_URL"):
            parse_database_url(value, "mysql" if value.startswith("mysql") else "postgres")


def test_refused_rows_look_as_on_the_page() -> None:
    """The object under `errors/` has line, reasons and row, as the page shows them."""
    [block] = run_by("test_refused_rows_look_as_on_the_page")
    header = ["order_id", "order_date", "quantity"]
    orders = Table(
        "orders",
        key="order_id",
        columns={"order_id": Integer(), "order_date": etl.Date(), "quantity": Integer()},
    )
    form = form_of(etl.Feed(orders, "orders.csv"), header)
    lines = block.text.splitlines()
    cells = dict(zip(header, ["12", "2026-02-30", "ten"], strict=True))
    refused = [
        Refused(5, {LINE: 7, ROW: None, **cells}, {}, lines[1].split(",")[1]),
        Refused(7, {LINE: 9, ROW: "13,2026-02-01,2,x"}, {}, lines[2].split('"')[1]),
    ]

    assert (form.head + form.rows(refused)).replace("\r\n", "\n") == block.text


def test_error_objects_look_as_on_the_page() -> None:
    """The lines of an `.err` object on the page are those that its readers get."""
    [block] = run_by("test_error_objects_look_as_on_the_page")

    assert set(block.text.splitlines()) < set(REPORT.splitlines())
