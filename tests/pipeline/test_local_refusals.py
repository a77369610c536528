"""`deploy.py local` says in one line what is wrong, early, and leaves nothing running."""

import errno
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.errors import InstallError
from local import emulator
from local.connection import connect
from local.postgres import PostgresServer
from tests.pipeline.local_process import local, running
from tests.postgres_fixtures import Source, Warehouse


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that fails to start a sandbox: nothing starts, and one line says why."""

    def run(*options: object, status: int = 1) -> str:
        assert local("--json", "--dir", tmp_path / "sandbox", *options) == status
        out, err = capsys.readouterr()
        message: str = json.loads(out)["error"]
        assert err.endswith("".join(f"error: {line}\n" for line in message.splitlines()))
        assert not (tmp_path / "sandbox" / "postgres").exists()
        assert not (tmp_path / "sandbox" / "aws").exists()
        return message

    return run


def swapped(url: str, old: str, new: str) -> str:
    assert old in url
    return url.replace(old, new)


@pytest.mark.parametrize("option", ["--port", "--postgres-port"])
def test_a_taken_port_is_named(refused: Callable[..., str], option: str) -> None:
    """Whose port is taken reads which, and which option to change."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = refused(option, port)

    assert message == (
        f"port {port} is taken (Address already in use): stop what uses it, or choose another "
        f"({option}; without {option} it is any free one)"
    )


@pytest.mark.parametrize("option", ["--source-url", "--warehouse-url"])
def test_a_malformed_url_is_named(refused: Callable[..., str], option: str) -> None:
    """The option is named and a right one shown; nothing of the wrong one is."""
    assert refused(option, "mysql://u:s3cret@host/db", status=2) == (
        f"{option} is the URL of a MySQL database, but PostgreSQL is declared. "
        "Example: postgresql://user:password@host:5432/database"
    )


@pytest.mark.parametrize("option", ["--source-url", "--warehouse-url"])
def test_a_database_that_turns_us_away(
    refused: Callable[..., str],
    option: str,
    new_source: Callable[..., Source],
    postgres: PostgresServer,
) -> None:
    """Unreachable, wrong password, unknown database: each says which database, and what to do."""
    url, port = new_source(0).reader_url, str(postgres.port)
    password = url.split(":")[2].split("@")[0]

    assert refused(option, swapped(url, f":{port}/", ":1/")).endswith(
        f"cannot be reached ([Errno {errno.ECONNREFUSED}] Connection refused): is the server up, "
        "and is the address right?"
    )
    for wrong in ("wrong", ""):
        message = refused(option, swapped(url, f":{password}@", f":{wrong}@"))
        assert message.endswith(
            'password authentication failed for user "source_reader": check user and password '
            "of the URL"
        )
    unknown = refused(option, swapped(url, f":{port}/", f":{port}/nowhere"))
    assert "does not exist: check the database name of the URL" in unknown
    assert password not in unknown


def test_a_source_that_does_not_fit(
    refused: Callable[..., str], new_source: Callable[..., Source], postgres: PostgresServer
) -> None:
    """Every table that cannot be read is named with its reason, before anything is deployed."""
    source = new_source(0)
    with connect(source.superuser_url) as connection:
        connection.run("REVOKE SELECT ON currency FROM source_reader")
        connection.run("ALTER TABLE design RENAME TO drawing")

    assert refused("--source-url", source.reader_url) == (
        "table currency: no right to read it: GRANT SELECT ON currency to this role\n"
        "table design is not in schema public of the source (any more)"
    )
    assert refused("--source-url", postgres.superuser_url()) == (
        f"database postgres at 127.0.0.1:{postgres.port} has none of the tables that "
        "pipelines/totesys declares: is it the right database?"
    )


def test_a_warehouse_that_does_not_fit(
    refused: Callable[..., str], new_warehouse: Callable[[], Warehouse]
) -> None:
    """A table or a right that the warehouse lacks is named, before anything is deployed."""
    warehouse = new_warehouse()
    with connect(warehouse.superuser_url) as connection:
        connection.run("REVOKE INSERT ON dim_staff FROM warehouse_loader")
        no_right = refused("--warehouse-url", warehouse.loader_url)
        connection.run("DROP TABLE fact_payment")
        connection.run("GRANT INSERT ON dim_staff TO warehouse_loader")

    assert no_right == "no right to INSERT on public.dim_staff of the warehouse: ask for it"
    assert refused("--warehouse-url", warehouse.loader_url).startswith(
        "table fact_payment is not in schema public of the warehouse"
    )


def test_a_warehouse_that_cannot_be_shaped(
    refused: Callable[..., str],
    new_managed_warehouse: Callable[[], Warehouse],
) -> None:
    """An empty warehouse needs --managed, and that the right to create; both are said at once."""
    warehouse = new_managed_warehouse()
    unprepared = refused("--warehouse-url", warehouse.loader_url)
    with connect(warehouse.superuser_url) as connection:
        connection.run("ALTER SCHEMA public OWNER TO CURRENT_USER")

    assert unprepared.endswith("where the schema is this role's own, set WAREHOUSE_MANAGED=true")
    assert refused("--managed", "--warehouse-url", warehouse.loader_url) == (
        "table dim_date is not in the warehouse, and this role may not create it: GRANT "
        'USAGE, CREATE ON SCHEMA "public" TO "warehouse_loader", or set WAREHOUSE_MANAGED=false '
        "and ask for the tables to be prepared"
    )


def test_a_folder_that_cannot_be_written(
    refused: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is none, or not ours to write, is named."""
    (tmp_path / "file").write_text("")

    assert refused("--dir", tmp_path / "file" / "below") == (
        f"{tmp_path}/file/below cannot be written to (Not a directory): "
        "choose another folder (--dir)"
    )


def test_a_folder_of_everybody(refused: Callable[..., str], tmp_path: Path) -> None:
    """In a folder where others may write, they could put files under our names."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)

    assert refused("--dir", shared) == (
        f"{shared} can be written to by every user of this machine: choose another folder (--dir)"
    )


def test_a_folder_of_another_pipeline(refused: Callable[..., str], tmp_path: Path) -> None:
    """A folder serves one pipeline: another's buckets and databases would be mixed with its own."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "pipeline").write_text("another")

    assert refused("--dir", tmp_path / "theirs") == (
        f"{tmp_path}/theirs holds the sandbox of pipeline another: choose another folder for "
        f"totesys (--dir), or remove {tmp_path}/theirs"
    )


def test_without_a_network_everything_stops_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When packages cannot be had, that is one line, and PostgreSQL does not stay up."""

    def out_of_reach() -> Path:
        raise InstallError("Cannot install requirements/local-aws.txt: PyPI is out of reach.")

    monkeypatch.setattr(emulator, "install_ministack", out_of_reach)

    assert local("--scale=0.01", "--dir", folder) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: Cannot install requirements/local-aws.txt: PyPI is out of reach."
    )
    assert running(str(folder)) == []
