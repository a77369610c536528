"""The command `deploy.py query`: what it prints, what it refuses, and what it never reads."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import deploy
from deployer.query import command
from deployer.query.cache import Cache
from deployer.resources.names import Names
from local.postgres import PostgresServer
from tests.documentation import commands, run_by
from tests.pipeline.conftest import Functions
from tests.pipeline.managed_warehouse import query
from tests.postgres_fixtures import Source, Warehouse, keep_as_template

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def lakes_of_one_run() -> list[Functions]:
    """What the first test makes: the functions after a run, whose lake is asked and not changed."""
    return []


@pytest.fixture
def asked(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_source: Callable[[], Source],
    new_warehouse: Callable[[], Warehouse],
    lakes_of_one_run: list[Functions],
    postgres: PostgresServer,
) -> Functions:
    """The functions after a run on a small shop, the same for all tests."""
    if not lakes_of_one_run:
        functions = functions_on(new_source(), new_warehouse())
        functions.run()
        keep_as_template(postgres, functions.warehouse.database)
        lakes_of_one_run.append(functions)
    return lakes_of_one_run[0]


@pytest.fixture
def changed(functions_on: Callable[[Source, Warehouse], Functions], asked: Functions) -> Functions:
    """The functions on a copy of that lake, for a test that changes it."""
    functions = functions_on(asked.source, asked.warehouse)
    for key in asked.keys(asked.processed):
        body = asked.body(asked.processed, key)
        functions.s3.put_object(Bucket=functions.processed, Key=key, Body=body)
    return functions


@pytest.fixture
def ask_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[Functions], Ask]:
    """Return what lets the command run on a lake: its exit status, stdout and stderr."""

    def set_up(functions: Functions) -> Ask:
        monkeypatch.setattr(Names, "bucket", lambda *_: functions.processed)
        monkeypatch.setattr(command, "Cache", lambda: Cache(tmp_path / "cache"))
        monkeypatch.setenv("WAREHOUSE_DATABASE_URL", functions.warehouse.loader_url)
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()

        def run(*arguments: str) -> tuple[int, str, str]:
            status = deploy.main(["query", *arguments])
            return status, *capsys.readouterr()

        return run

    return set_up


@pytest.fixture
def ask(ask_of: Callable[[Functions], Ask], asked: Functions) -> Ask:
    """Return what runs the command on the lake that is not changed."""
    return ask_of(asked)


def test_the_commands_of_the_page_answer(ask: Ask, asked: Functions) -> None:
    """Each line of the page can be typed, and says what the warehouse says."""
    [block] = run_by("test_the_commands_of_the_page_answer")
    said = [ask(*deploy_arguments(line)) for line in commands(block.text)]

    assert [status for status, *_ in said] == [0] * 7
    [[records]] = query(asked.warehouse, "SELECT count(*) FROM fact_sales_order")
    tables, count, orders, *_, rows = [out for _, out, _ in said]
    assert (
        "fact_sales_order (history)\n    sales_record_id BIGINT, sales_order_id INTEGER" in tables
    )
    assert count.split() == ["records", str(records), "(1", "row)"]
    assert orders.split() == ["orders", str(records), "(1", "row)"]
    designs = query(asked.warehouse, "SELECT * FROM dim_design ORDER BY 1")
    assert Path("designs.csv").read_text().count("\n") == len(designs) + 1
    currencies = pq.read_table("currencies.parquet")
    codes = sorted(
        code for [code] in query(asked.warehouse, "SELECT currency_code FROM dim_currency")
    )
    assert sorted(currencies["currency_code"].to_pylist()) == codes
    document = json.loads(rows)
    assert sorted(row["currency_code"] for row in document["rows"]) == codes
    assert document["columns"] == {"currency_code": "VARCHAR"}
    assert document["as_of"]["source"]["batch"] == 1


def deploy_arguments(line: str) -> list[str]:
    """Return the words of a command line after `deploy.py query`."""
    return shlex.split(line)[3:]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["SELECT 1 FROM nothing"], 1, "There are: current_fx_reference_rate, current_payment"),
        (["SELECT nothing FROM dim_staff"], 1, '"nothing" not found'),
        (["SELECT"], 1, "SELECT clause without selection list"),
        (["DROP TABLE dim_staff"], 2, "a query is one SELECT, and it is DROP"),
        (["SELECT 1; SELECT 2"], 2, "a query is one SELECT, and there are 2 statements"),
        (["SELECT 1", "--as-of", "9"], 1, "is not in the warehouse: loaded are 1 to 1"),
        (["SELECT 1", "--as-of", "soon"], 2, "--as-of 'soon' is neither a batch nor a time"),
        (["SELECT 1", "--source", "x", "--as-of", "1"], 2, "--source must be one of source"),
        (["SELECT 1", "--format", "parquet"], 2, "--format parquet needs --output FILE"),
        (["SELECT 1", "--output", "x"], 2, "--output needs --format csv, json or parquet"),
        (["SELECT 1", "--format", "csv", "--output", "no/x"], 1, "--output no/x: No such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_says_why(
    ask: Ask, arguments: list[str], status: int, says: str
) -> None:
    """A wrong name, wrong SQL, another statement, an unknown moment: one clear error, no answer."""
    found, out, err = ask(*arguments)

    assert (found, out) == (status, "")
    assert says in err


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')",
        "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
        "SELECT getenv('HOME')",
        "SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')",
        "SELECT * FROM os",
    ],
)
def test_a_statement_reads_nothing_but_its_tables(ask: Ask, tmp_path: Path, sql: str) -> None:
    """No file, no address, no variable of this process or of Python."""
    secret = tmp_path / "secret.csv"
    secret.write_text("s3cret\n")

    status, out, err = ask(sql.format(secret=secret, folder=tmp_path))

    assert (status, out) == (1, "")
    assert "s3cret" not in err


@pytest.mark.parametrize("how", ["changed", "emptied", "removed"])
def test_an_object_that_is_not_the_one_of_its_manifest_is_not_read(
    ask_of: Callable[[Functions], Ask], changed: Functions, how: str
) -> None:
    """A changed object and a removed one are named, with what to do."""
    [key] = changed.keys(changed.processed, "dim_staff/")
    changed.s3.delete_object(Bucket=changed.processed, Key=key)
    if how != "removed":
        body = b"PAR1" if how == "changed" else b""
        changed.s3.put_object(Bucket=changed.processed, Key=key, Body=body)

    status, out, err = ask_of(changed)("FROM dim_staff")

    assert (status, out) == (1, "")
    what = "is missing" if how == "removed" else "is not what its manifest names"
    assert f"s3://{changed.processed}/{key} {what}: restore its first version" in err


def test_only_named_tables_are_fetched_and_each_object_once(
    ask: Ask, asked: Functions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A second question of the same tables asks S3 for the logs alone."""
    fetched = []

    def body_of(key: str) -> bytes:
        fetched.append(key)
        return asked.body(asked.processed, key)

    monkeypatch.setattr(
        "deployer.query.cache._checked",
        lambda _, __, file: body_of(file.key),
    )
    for _ in range(2):
        assert ask("SELECT count(*) FROM dim_staff")[0] == 0

    assert [key.split("/")[0] for key in fetched] == ["dim_staff"]
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "cache").iterdir()}
    assert modes == {0o600}
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_a_log_that_began_again_is_read_again(
    ask_of: Callable[[Functions], Ask], changed: Functions
) -> None:
    """What is kept of a manifest belongs to that object, and not to the next one of its name."""
    ask = ask_of(changed)
    assert ask("SELECT count(*) FROM dim_staff")[0] == 0
    for key in changed.keys(changed.processed):
        changed.s3.delete_object(Bucket=changed.processed, Key=key)

    status, out, _ = ask("SELECT count(*) AS staff FROM dim_staff")
    assert (status, out.split()[:2]) == (0, ["staff", "0"])


def test_hostile_text_can_neither_move_the_cursor_nor_hide(ask: Ask) -> None:
    """On a terminal, control characters and text from right to left are escaped."""
    _, out, _ = ask("SELECT chr(27) || '[2J' || chr(8238) || chr(10) AS \"a\tb\"")

    assert out.splitlines()[0].rstrip() == "a\\tb"
    assert out.splitlines()[1].rstrip() == "\\x1b[2J\\u202e\\n"
