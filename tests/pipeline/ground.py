"""Servers that a test may crash, copy, restore, age and replicate: what happens to a source.

Each server has its own folder and port, so tests that share a server are not disturbed,
and its address stays the same when it is stopped and started again.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pg8000.native

from local import processes
from local.connection import connect
from local.databases import create_source, source_writer_url
from local.postgres import SUPERUSER, PostgresServer, installed_postgres, reachable_binaries
from local.server import LocalServer
from local.system_account import server_account
from tests.memory import fast_folder
from tests.postgres_fixtures import SAMPLE_NOW, SAMPLE_SCALE, Source

PATIENCE_SECONDS = 120.0
EPOCH = 1 << 32
STRIDE = 1 << 30  # less than half the range of an xid: all that is frozen stays in the past
XIDS_PER_SEGMENT = 1 << 20  # of pg_xact: 32 pages of 8 kB, two bits a transaction


@contextmanager
def own_server() -> Iterator[PostgresServer]:
    """Run a server in a temporary folder, on a port that it keeps."""
    with _folder() as folder, PostgresServer(folder, free_port()) as server:
        yield server


def shop_on(
    server: PostgresServer, database: str = "totesys", scale: float = SAMPLE_SCALE
) -> Source:
    """Return the shop's database on a server, made unless it is there."""
    reader = create_source(server, "totesys", now=SAMPLE_NOW, scale=scale, database=database)
    return Source(
        database, reader, source_writer_url(server, database), server.superuser_url(database)
    )


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with processes.bind(0) as bound:
        return processes.port_of(bound)


def run_sql(url: str, *statements: str) -> list[list[object]]:
    """Run statements in a new session; return the rows of the last."""
    with connect(url) as connection:
        rows: list[list[object]] = []
        for statement in statements:
            rows = connection.run(statement)
        return rows


def wait_until(
    condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait until a condition holds; fail with `what` was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"timed out: {what}"
        time.sleep(0.05)


def restart(server: PostgresServer) -> None:
    """Stop a server in order and start it again."""
    server.stop()
    server.start()


def crash(server: PostgresServer) -> None:
    """Kill a session with SIGKILL: the server drops all sessions, recovers, and is not restarted.

    Its process and start time stay. Transactions committed with synchronous_commit off whose WAL
    was not yet written are lost (see `let_commits_be_lost`).
    """
    with connect(server.superuser_url()) as victim:
        [[pid]] = victim.run("SELECT pg_backend_pid()")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: _is_gone(pid), "the killed session is gone")
    wait_until(lambda: answers(server), "the server recovers")


def answers(server: PostgresServer) -> bool:
    """Return whether a server accepts a new session."""
    try:
        connect(server.superuser_url()).close()
    except (OSError, pg8000.native.InterfaceError, pg8000.native.DatabaseError):
        return False
    return True


def let_commits_be_lost(server: PostgresServer) -> None:
    """Leave WAL in memory for ten seconds, so that `crash` loses asynchronous commits."""
    run_sql(
        server.superuser_url(),
        "ALTER SYSTEM SET wal_writer_delay = '10s'",
        "ALTER SYSTEM SET wal_writer_flush_after = '1GB'",
        "ALTER SYSTEM SET bgwriter_delay = '10s'",
    )
    restart(server)


@contextmanager
def volume_snapshot(server: LocalServer) -> Iterator[Path]:
    """Keep a copy of a server's data as it is now, for `restore`; the server is restarted."""
    with _folder() as folder:
        server.stop()
        _copy(server.data, folder / "data")
        server.start()
        yield folder / "data"


def restore(server: LocalServer, snapshot: Path) -> None:
    """Replace a server's data by an earlier copy of them, and start it on the same port."""
    server.stop()
    shutil.rmtree(server.data)
    _copy(snapshot, server.data)
    server.start()


def wrap(server: PostgresServer, next_xid: int) -> None:
    """Advance the next transaction id of a server, from less than 2^32 to `next_xid`, any more.

    In strides, each with all rows of all databases frozen, as years of vacuum would leave them.
    """
    _freeze(server)
    while (reached := _next_xid(server)) < next_xid:
        _reset_xid(server, min(reached + STRIDE, next_xid))
        _freeze(server)


@contextmanager
def standby_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """Run a streaming standby, made from a base backup of the primary."""
    with _folder() as folder:
        shutil.copy2(primary.directory / "passwords.json", folder)
        backup = folder / "data"
        backup.mkdir(mode=0o700)
        server_account().own(backup)
        password = primary.password(SUPERUSER)
        address = f"host=127.0.0.1 port={primary.port} user={SUPERUSER} password={password}"
        arguments = ("-D", str(backup), "-d", address, "-R", "--checkpoint=fast", "--no-sync")
        _run_program(primary, "pg_basebackup", *arguments)
        with PostgresServer(folder, free_port()) as standby:
            yield standby


def pause_replay(standby: PostgresServer) -> None:
    """Let a standby fall behind: it receives and does not replay."""
    run_sql(standby.superuser_url(), "SELECT pg_wal_replay_pause()")
    state = "SELECT pg_get_wal_replay_pause_state()"
    wait_until(lambda: run_sql(standby.superuser_url(), state) == [["paused"]], "replay pauses")


def resume_replay(standby: PostgresServer) -> None:
    """Let a paused standby go on."""
    run_sql(standby.superuser_url(), "SELECT pg_wal_replay_resume()")


def wait_for_replay(primary: PostgresServer, standby: PostgresServer) -> None:
    """Wait until a standby shows all that the primary has committed."""
    _wait_for_position(primary, standby, "pg_last_wal_replay_lsn()")


def wait_for_log(primary: PostgresServer, standby: PostgresServer) -> None:
    """Wait until a standby has received, replayed or not, all that the primary has committed."""
    _wait_for_position(primary, standby, "pg_last_wal_receive_lsn()")


def _wait_for_position(primary: PostgresServer, standby: PostgresServer, position: str) -> None:
    # A separate record: the insert position may lie behind the header of an empty page.
    emit = "SELECT pg_logical_emit_message(false, 'test', '', true)"
    [[goal]] = run_sql(primary.superuser_url(), emit)
    reached = f"SELECT {position} >= '{goal}'"
    wait_until(lambda: run_sql(standby.superuser_url(), reached) == [[True]], position)


def promote(standby: PostgresServer) -> None:
    """Make a standby a primary, on its own timeline."""
    run_sql(standby.superuser_url(), "SELECT pg_promote()")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ground ", dir=fast_folder()) as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root the server runs as nobody, who has to get in
        yield folder


def _copy(data: Path, to: Path) -> None:
    subprocess.run(["cp", "-a", data, to], check=True)


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _next_xid(server: PostgresServer) -> int:
    [[xid]] = run_sql(server.superuser_url(), "SELECT txid_snapshot_xmax(txid_current_snapshot())")
    return int(str(xid))


def _freeze(server: PostgresServer) -> None:
    allow = "UPDATE pg_database SET datallowconn = true"
    for [name] in run_sql(server.superuser_url(), allow, "SELECT datname FROM pg_database"):
        run_sql(server.superuser_url(str(name)), "VACUUM (FREEZE)")


def _reset_xid(server: PostgresServer, xid: int) -> None:
    server.stop()
    data = server.home / "data"
    # A first segment for ids that no transaction has used.
    segment = data / "pg_xact" / f"{xid % EPOCH // XIDS_PER_SEGMENT:04X}"
    if not segment.exists():
        segment.write_bytes(bytes(XIDS_PER_SEGMENT // 4))
        server_account().own(segment)
    position = ("-e", str(xid // EPOCH), "-x", str(xid % EPOCH))
    _run_program(server, "pg_resetwal", *position, "-D", str(data))
    server.start()


def _run_program(server: PostgresServer, name: str, *arguments: str) -> None:
    account = server_account()
    binaries = reachable_binaries(installed_postgres(), server.home, account) / "bin"
    done = subprocess.run(
        [binaries / name, *arguments],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **account.identity,
    )
    assert done.returncode == 0, f"{name}: {done.stderr}"
