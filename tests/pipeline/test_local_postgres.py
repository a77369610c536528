"""The PostgreSQL of the sandbox: it comes up, keeps its data, and leaves nothing behind."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from pg8000.native import DatabaseError

from functions.common.errors import DatabaseAccessError
from local import processes
from local.connection import connect
from local.postgres import PostgresError, PostgresServer, reachable_binaries
from local.processes import PortError
from local.system_account import SystemAccount, reachable_home, server_account
from tests.postgres_fixtures import Source

SERVE_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from local.connection import connect
from local.postgres import PostgresServer
server = PostgresServer(Path(sys.argv[1]))
server.start()
with connect(server.superuser_url()) as connection:
    connection.run("CREATE TABLE kept AS SELECT 42 AS answer")
print(server.port, flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return an empty folder with a space in its name that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="one server ") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def answer(server: PostgresServer, query: str) -> object:
    with connect(server.superuser_url()) as connection:
        return connection.run(query)[0][0]


def test_a_second_start_finds_the_data_and_the_passwords(folder: Path) -> None:
    """Yesterday's data of the sandbox is there today, under the same passwords."""
    with PostgresServer(folder) as server:
        password = server.password("postgres")
        answer(server, "CREATE TABLE kept (); SELECT 1")
    with PostgresServer(folder) as server:
        assert server.password("postgres") == password
        assert answer(server, "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'") == 1


def test_it_listens_on_loopback_only_and_wants_a_password(postgres: PostgresServer) -> None:
    """Nobody else on the network, and nobody without the password, gets in."""
    assert answer(postgres, "SHOW listen_addresses") == "127.0.0.1"
    assert answer(postgres, "SHOW unix_socket_directories") == ""
    with pytest.raises(DatabaseError) as error:
        connect(postgres.url("postgres", "wrong", "postgres"))
    assert error.value.args[0]["C"] == "28P01"  # invalid_password


def test_it_is_a_database_like_the_real_one(postgres: PostgresServer) -> None:
    """UTF-8, C collation and UTC, whatever this machine is set to."""
    assert answer(postgres, "SHOW server_encoding") == "UTF8"
    assert answer(postgres, "SHOW timezone") == "UTC"
    assert answer(postgres, "SELECT datcollate FROM pg_database LIMIT 1") == "C"


def test_passwords_are_private(postgres: PostgresServer, new_source: Callable[..., Source]) -> None:
    """Passwords are readable by their owner only, and never in the log."""
    source = new_source(0)
    path = postgres.directory / "passwords.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with connect(source.superuser_url) as connection, pytest.raises(DatabaseError):
        connection.run("CREATE ROLE source_writer PASSWORD 'top secret'")
    log = postgres.log_path.read_text()
    assert "already exists" in log
    assert "top secret" not in log
    assert [role for role in ("postgres", "source_writer") if postgres.password(role) in log] == []


def test_the_bundled_psql_connects(postgres: PostgresServer) -> None:
    """The line that a person is shown for looking inside works."""
    assert postgres.psql is not None
    command: list[str | Path] = [postgres.psql, postgres.superuser_url(), "-Atc", "SELECT 6 * 7"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "42\n"


def test_stop_ends_open_sessions_and_the_server(folder: Path) -> None:
    """After stop nothing answers any more, even if somebody was still connected."""
    server = PostgresServer(folder)
    server.start()
    with connect(server.superuser_url()):
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            connect(server.superuser_url())
    server.stop()


def test_a_taken_port_is_named(folder: Path) -> None:
    """The error for a port that is in use says which one, and what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortError) as error:
            PostgresServer(folder, port).start()
    assert str(error.value) == (
        f"port {port} is taken (Address already in use): stop what uses it, or choose another"
    )


ASK_FOR_THE_PASSWORD = b"R\0\0\0\x08\0\0\0\x03"  # AuthenticationCleartextPassword


@contextmanager
def another_server() -> Iterator[tuple[int, list[bytes]]]:
    """Yield the port of a server that asks everybody for the password, and what it was sent."""
    received: list[bytes] = []

    def take_what_comes(squatter: socket.socket) -> None:
        with suppress(OSError):
            while True:
                peer, _ = squatter.accept()
                with peer:
                    received.append(peer.recv(4096))
                    peer.sendall(ASK_FOR_THE_PASSWORD)
                    received.append(peer.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as squatter:
        thread = Thread(target=take_what_comes, args=(squatter,), daemon=True)
        thread.start()
        yield squatter.getsockname()[1], received
        # Linux needs the first to wake the thread, macOS refuses it and needs the second.
        with suppress(OSError):
            squatter.shutdown(socket.SHUT_RDWR)
        squatter.close()
        thread.join(5)


def test_another_server_on_the_port_is_given_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that takes the port before our server gets no password, nor anything else."""
    with another_server() as (port, received):
        monkeypatch.setattr(processes, "port_of", lambda _: port)
        with pytest.raises(PostgresError, match="could not create any TCP/IP"):
            PostgresServer(folder).start()
    assert received == []


def test_another_server_is_not_sent_the_password() -> None:
    """A process that takes the port after our server has ended gets no password."""
    with another_server() as (port, received), pytest.raises(DatabaseAccessError, match="by SCRAM"):
        connect(f"postgresql://postgres:s3cret@127.0.0.1:{port}/postgres")
    assert b"s3cret" not in b"".join(received)


def test_only_its_account_can_read_its_files(folder: Path) -> None:
    """Data, passwords and log are closed to others, whatever the umask is."""
    before = os.umask(0)
    try:
        with PostgresServer(folder / "postgres") as server:
            inside = list(server.directory.iterdir())
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in inside}
    finally:
        os.umask(before)
    assert modes == {"data": 0o700, "passwords.json": 0o600, "postgres.log": 0o600}
    # As root, others may pass through, because nobody has to.
    assert stat.S_IMODE(server.directory.stat().st_mode) == server_account().passage


def test_a_given_port_is_used(folder: Path) -> None:
    """A person can choose the port, and have it again at once after a stop."""
    with PostgresServer(folder) as server:
        port = server.port
    with PostgresServer(folder, port) as server:
        assert answer(server, "SELECT inet_server_port()") == port


def test_two_processes_cannot_have_one_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second start while the first is up is refused, and the first goes on unharmed."""
    monkeypatch.setattr(processes, "FREE_SECONDS", 0.1)
    with PostgresServer(folder) as server:
        pid = (server.home / "data" / "postmaster.pid").read_text().split()[0]
        with pytest.raises(PostgresError) as error:
            PostgresServer(folder).start()
        assert str(error.value) == (
            f"The PostgreSQL in {folder} is in use by process {pid}: "
            "stop that one first, or choose another folder."
        )
        assert answer(server, "SELECT 1") == 1


def test_the_server_ends_when_its_process_is_killed(folder: Path) -> None:
    """Not even kill -9 leaves a server running or loses data; the next start takes over."""
    root = Path(__file__).parents[2]
    command: list[str | Path] = [sys.executable, "-c", SERVE_UNTIL_KILLED, folder]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        port = int(owner.stdout.readline())
        os.kill(owner.pid, signal.SIGKILL)
    # The port can be had again only if nobody listens on it any more.
    with PostgresServer(folder, port) as server:
        assert answer(server, "SELECT answer FROM kept") == 42


def test_a_server_that_does_not_come_up_says_why(folder: Path) -> None:
    """The reason in the server's log reaches the person, who need not look for the log."""
    with PostgresServer(folder) as server:
        version = server.home / "data" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(PostgresError, match="initialized by PostgreSQL version 9"):
        PostgresServer(folder).start()


def test_lost_passwords_are_explained(folder: Path) -> None:
    """Data without its passwords cannot be used, and the way out is named."""
    with PostgresServer(folder):
        pass
    (folder / "passwords.json").unlink()
    with pytest.raises(PostgresError, match=r"refuses the login .* remove that folder"):
        PostgresServer(folder).start()


def test_it_runs_below_a_folder_that_only_we_may_enter(folder: Path) -> None:
    """It works in a private clone, also as root, and opens no folder to anybody."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    with PostgresServer(private / "postgres") as server:
        assert answer(server, "SELECT 1") == 1
        home = server.home
    with PostgresServer(private / "postgres") as server:
        assert server.home == home
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    shutil.rmtree(home)


class Stranger(SystemAccount):
    """A user who can reach nothing but the temporary folder's own children."""

    def can_reach(self, path: Path) -> bool:
        """Return whether the path is such a child, or in one."""
        return path.is_relative_to(Path(tempfile.gettempdir())) and "private" not in str(path)


def test_what_the_server_cannot_reach_is_kept_elsewhere(folder: Path) -> None:
    """The place that was chosen for a private folder is found again, unless it is gone."""
    private = folder / "private"
    private.mkdir()
    stranger = Stranger(None, None)
    home = reachable_home(private, stranger)
    assert home.parent == Path(tempfile.gettempdir())
    assert reachable_home(private, stranger) == home
    home.rmdir()
    renewed = reachable_home(private, stranger)
    assert renewed.is_dir()
    renewed.rmdir()


def test_programs_that_the_server_cannot_reach_are_copied(folder: Path) -> None:
    """A private virtual environment stays private: its PostgreSQL is copied, once and whole."""
    original = folder / "private" / "package" / "pginstall18"
    (original / "bin").mkdir(parents=True, mode=0o700)
    (folder / "private" / "package.libs").mkdir(mode=0o700)
    (original / "bin" / "postgres").write_text("#!/bin/sh")
    (original / "bin" / "postgres").chmod(0o700)
    copy = reachable_binaries(original, folder, Stranger(None, None))
    assert copy == folder / "programs" / "package" / "pginstall18"
    assert stat.S_IMODE((folder / "programs" / "package.libs").stat().st_mode) == 0o755
    assert stat.S_IMODE((copy / "bin" / "postgres").stat().st_mode) == 0o755
    assert reachable_binaries(original, folder, Stranger(None, None)) == copy
