"""The MySQL of the sandbox: it comes up, keeps its data, and leaves nothing behind."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest
import trustme

from local import processes
from local.mysql import MysqlServer, connect, run_sql
from local.mysql.installation import Installation, MysqlError
from local.system_account import server_account
from tests.mysql_fixtures import PREPARED, mysql_installation
from tests.postgres_fixtures import Warehouse

SERVE_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from local.mysql import MysqlServer, run_sql
from local.mysql.installation import describe
server = MysqlServer(Path(sys.argv[1]), installation=describe(Path(sys.argv[2])))
server.start()
url = server.superuser_url()
run_sql(url, "CREATE DATABASE kept", "CREATE TABLE kept.kept SELECT 42 AS answer")
print(server.port, flush=True)
time.sleep(600)
"""
ACCESS_DENIED = 1045


@pytest.fixture
def installation() -> Installation:
    """The server that is tested."""
    return mysql_installation()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return an empty folder with a space in its name that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="one server ") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def answer(server: MysqlServer, query: str) -> object:
    return run_sql(server.superuser_url(), query)[0][0]


def test_a_second_start_finds_the_data_and_the_passwords(
    folder: Path, installation: Installation
) -> None:
    """What was in the sandbox yesterday is there today, under the same passwords."""
    with MysqlServer(folder, installation=installation) as server:
        password = server.password("root")
        run_sql(server.superuser_url(), "CREATE DATABASE kept")
    with MysqlServer(folder, installation=installation) as server:
        assert server.password("root") == password
        assert answer(server, "SHOW DATABASES LIKE 'kept'") == "kept"


def test_it_listens_on_loopback_only_and_wants_a_password(mysql: MysqlServer) -> None:
    """Nobody else on the network, and nobody without the password, gets in."""
    assert answer(mysql, "SELECT @@bind_address") == "127.0.0.1"
    assert answer(mysql, "SELECT @@socket") == ""
    for user, password in (("root", "wrong"), ("root", ""), ("", "")):
        with pytest.raises(pymysql.OperationalError) as error:
            connect(mysql.url(user, password, ""))
        assert error.value.args[0] == ACCESS_DENIED


def test_a_crash_loses_nothing_that_was_committed(folder: Path, installation: Installation) -> None:
    """After kill -9 the server comes up again on the same port with every committed row."""
    with MysqlServer(folder, installation=installation) as server:
        port = server.port
        run_sql(server.superuser_url(), "CREATE DATABASE d", "CREATE TABLE d.t SELECT 42 AS a")
        server.kill()
        with pytest.raises(pymysql.OperationalError):
            connect(server.superuser_url())
        server.start()
        assert (server.port, answer(server, "SELECT a FROM d.t")) == (port, 42)


def test_the_server_ends_when_its_process_is_killed(
    folder: Path, installation: Installation
) -> None:
    """Not even kill -9 of ours leaves a server running or loses data; the next start takes over."""
    root = Path(__file__).parents[2]
    command: list[str | Path] = [sys.executable, "-c", SERVE_UNTIL_KILLED]
    command += [folder, installation.program]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        port = int(owner.stdout.readline())
        os.kill(owner.pid, signal.SIGKILL)
    # The port can be had again only if nobody listens on it any more.
    with MysqlServer(folder, port, installation=installation) as server:
        assert answer(server, "SELECT answer FROM kept.kept") == 42


def test_two_processes_cannot_have_one_folder(
    folder: Path, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second start while the first is up is refused, and the first goes on unharmed."""
    monkeypatch.setattr(processes, "FREE_SECONDS", 0.1)
    with MysqlServer(folder, installation=installation) as server:
        with pytest.raises(MysqlError) as error:
            MysqlServer(folder, installation=installation).start()
        assert str(error.value) == (
            f"The MySQL in {folder} is in use: stop that one first, or choose another folder."
        )
        assert answer(server, "SELECT 1") == 1


def test_another_server_on_the_port_is_given_nothing(
    folder: Path, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes the port before our server does is never sent a password, nor anything else."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        squatter.settimeout(0)
        monkeypatch.setattr(processes, "port_of", lambda _: squatter.getsockname()[1])
        with pytest.raises(MysqlError, match="did not come up"):
            MysqlServer(folder, installation=installation).start()
        with pytest.raises(BlockingIOError):
            squatter.accept()


def test_only_its_account_can_read_its_files(folder: Path, installation: Installation) -> None:
    """Data, passwords and log are closed to others, whatever the umask is."""
    before = os.umask(0)
    try:
        with MysqlServer(folder / "mysql", installation=installation) as server:
            inside = list(server.directory.iterdir())
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in inside}
    finally:
        os.umask(before)
    expected = {
        "data": 0o700,
        "mysql.log": 0o600,
        "passwords.json": 0o600,
        "passwords.sql": 0o600,
    }
    assert {name: modes[name] for name in expected} == expected
    assert stat.S_IMODE(server.directory.stat().st_mode) == server_account().passage


def test_no_password_is_in_its_log(mysql: MysqlServer) -> None:
    """What the superuser logs in with is written nowhere but into files of its owner."""
    assert mysql.password("root") not in mysql.log_path.read_text()


def test_it_speaks_tls_with_a_certificate_of_ours(
    mysql: MysqlServer, mysql_ca: trustme.CA, tmp_path: Path
) -> None:
    """The tests can connect as to a server on the network: by name and authority."""
    path = tmp_path / "ca.pem"
    mysql_ca.cert_pem.write_to_path(path)
    with (
        pymysql.connect(
            host=mysql.host,
            port=mysql.port,
            user="root",
            password=mysql.password("root"),
            ssl_ca=str(path),
            ssl_verify_cert=True,
            ssl_verify_identity=True,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
        [(_, cipher)] = cursor.fetchall()
    assert cipher


def test_a_database_of_a_test_has_a_user_with_the_rights_that_were_asked_for(
    new_mysql_warehouse: Callable[..., Warehouse],
) -> None:
    """A prepared warehouse can be tested: its user makes temporary tables, and no others."""
    warehouse = new_mysql_warehouse(PREPARED)
    run_sql(warehouse.loader_url, "CREATE TEMPORARY TABLE staged (a INT)")
    with pytest.raises(pymysql.OperationalError) as error:
        run_sql(warehouse.loader_url, "CREATE TABLE lasting (a INT)")
    assert error.value.args[0] == 1142  # CREATE command denied


def test_it_runs_below_a_folder_that_only_we_may_enter(
    folder: Path, installation: Installation
) -> None:
    """It works in a private clone, also as root, and opens no folder to anybody."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    with MysqlServer(private / "mysql", installation=installation) as server:
        assert answer(server, "SELECT 1") == 1
        home = server.home
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    shutil.rmtree(home)
