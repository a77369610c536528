"""A PostgreSQL server on this machine, from the binaries that come with a Python package.

It serves the sandbox and the tests: it listens on 127.0.0.1 only, ends when we end (even when we
are killed), and does not wait for the disk, so a power cut may cost its data. It must never be
given data that exists nowhere else, and it knows nothing of the databases inside it.
"""

import fcntl
import shutil
import signal
import socket
import subprocess  # nosec B404
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TextIO
from urllib.parse import quote

import pg8000.native

from local.connection import connect
from local.installation import PostgresError, installed_postgres, reachable_binaries
from local.passwords import PasswordFile
from local.private_files import make_private_folder, open_private, write_private
from local.system_account import SystemAccount, reachable_home, server_account

SUPERUSER = "postgres"

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
# A server whose process was killed needs a moment to shut down before its folder is free again.
FREE_SECONDS = 10.0

_SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # A socket's path may have 107 bytes at most, and nothing here needs one.
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Safe when processes die, not when the machine does; the files here can all be made again.
    "fsync": "off",
    # A failed CREATE ROLE would put the password that it names into the log.
    "log_min_error_statement": "panic",
}

# Lines of postmaster.pid, from 0.
_PID_LINE, _PORT_LINE, _ADDRESS_LINE, _STATUS_LINE = 0, 3, 5, 7

# Sees the end of our process, however it comes, as the end of its input, and then asks the server
# for a fast shutdown: more than once, since one that is still starting does not listen.
_STOP_WHEN_PARENT_IS_GONE = """
read -r _
n=0
while [ $n -lt 100 ] && kill -INT "$1" 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
"""


class PostgresServer:
    """A server whose files and passwords live in one folder, so that a second start finds them.

    `directory` holds the passwords (mode 0600), the log, and the data, or the data is in `home`, a
    folder that root had to make elsewhere (`local.installation`). One process at a time has it.
    """

    host = "127.0.0.1"

    def __init__(self, directory: Path, port: int | None = None) -> None:
        """Remember where the files are; `port` None means any free one, chosen by `start`."""
        self.directory = directory.absolute()
        self.home = self.directory
        self.port = port or 0
        self._any_port = port is None
        self._log: TextIO | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the server."""
        self.stop()

    @property
    def log_path(self) -> Path:
        """The server's log since its last start."""
        return self.directory / "postgres.log"

    @property
    def psql(self) -> Path | None:
        """The bundled psql, or None where the package brings none."""
        program = installed_postgres() / "bin" / "psql"
        return program if program.exists() else None

    def start(self) -> None:
        """Make the data folder if there is none, start the server and wait until it answers.

        Raises PostgresError when the port is taken, another process has the folder, or the server
        does not come up (with the end of its log).
        """
        account = server_account()
        make_private_folder(self.directory, account.passage)
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._log = self._claim_folder()
            self._choose_port()
            self.home = reachable_home(self.directory, account)
            binaries = reachable_binaries(installed_postgres(), self.home, account) / "bin"
            self._initialise(binaries, account)
            self._launch(binaries, account)
            self._wait_until_ready()
            undo.pop_all()

    def stop(self) -> None:
        """End all sessions and the server, and wait until it is gone; does nothing when stopped."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)  # fast shutdown, open sessions or not
            try:
                self._server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def url(self, user: str, password: str, database: str) -> str:
        """Return the URL of a database on this server, percent-encoded."""
        account = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{account}@{self.host}:{self.port}/{quote(database, safe='')}"

    def superuser_url(self, database: str = "postgres") -> str:
        """Return the URL under which everything is allowed."""
        return self.url(SUPERUSER, self.password(SUPERUSER), database)

    def password(self, role: str) -> str:
        """Return the password of `role`, a random one that is made at first and kept from then."""
        return PasswordFile(self.directory / "passwords.json").get(role)

    def _claim_folder(self) -> TextIO:
        """Return the emptied log, locked for as long as a process of the server has it open.

        All of them inherit it as their standard output. So the lock also tells whether a server of
        a process that was killed is still there, with no process id to go stale.
        """
        log = open_private(self.log_path)
        deadline = time.monotonic() + FREE_SECONDS
        while True:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                log.close()
                raise PostgresError(
                    f"The PostgreSQL in {self.directory} is in use{self._owner()}: "
                    "stop that one first, or choose another folder."
                ) from error
            log.truncate(0)
            return log

    def _owner(self) -> str:
        home = self.directory / "home"
        lock = (Path(home.read_text()) if home.exists() else self.directory) / "data/postmaster.pid"
        return f" by process {lock.read_text().split()[0]}" if lock.exists() else ""

    def _choose_port(self) -> None:
        with socket.socket() as probe:
            # As PostgreSQL does; without it a port of a moment ago counts as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, 0 if self._any_port else self.port))
            except OSError as error:
                raise PostgresError(
                    f"Port {self.port} on {self.host} cannot be had ({error.strerror}): "
                    "stop what uses it, or choose another port."
                ) from error
            self.port = probe.getsockname()[1]

    def _initialise(self, binaries: Path, account: SystemAccount) -> None:
        data = self.home / "data"
        if data.exists():
            return
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        account.make_folder(unfinished)
        password_file = self.home / "superuser-password"
        write_private(password_file, self.password(SUPERUSER))
        account.own(password_file)
        try:
            with self._spawn(
                account,
                str(binaries / "initdb"),
                *(f"--pgdata={unfinished}", f"--pwfile={password_file}"),
                *(f"--username={SUPERUSER}", "--auth=scram-sha-256", "--encoding=UTF8"),
                *("--locale=C", "--no-sync", "--no-instructions"),
            ) as initdb:
                status = initdb.wait()
            if status != 0:
                raise PostgresError(f"PostgreSQL cannot make its files in {data}: {self._tail()}")
        finally:
            password_file.unlink()
        unfinished.rename(data)

    def _launch(self, binaries: Path, account: SystemAccount) -> None:
        command = (str(binaries / "postgres"), "-D", str(self.home / "data"), "-p", str(self.port))
        settings = (f"--{name}={value}" for name, value in _SERVER_SETTINGS.items())
        self._server = self._spawn(account, *command, *settings)
        shell = ("/bin/sh", "-c", _STOP_WHEN_PARENT_IS_GONE, "sh")
        self._watcher = self._spawn(account, *shell, str(self._server.pid), stdin=subprocess.PIPE)

    def _spawn(
        self, account: SystemAccount, *command: str, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # nosec B603
            command,
            stdin=stdin,
            stdout=self._log,
            stderr=self._log,
            cwd="/",
            # None of the caller's PG* variables; C also keeps the messages that we show in English.
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"},
            # Ctrl-C in our terminal is ours to handle: the server ends last, in order.
            start_new_session=True,
            **account.identity,
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        # Who has the port is settled before anything is sent there: it might be another's server.
        while not (self._has_port() and self._answers()):
            ended = self._server is None or self._server.poll() is not None
            if ended or time.monotonic() > deadline:
                raise PostgresError(
                    f"PostgreSQL did not come up, see {self.log_path}: {self._tail()}"
                )
            time.sleep(0.05)

    def _has_port(self) -> bool:
        """Tell whether our server listens on the port, by the file that it alone can write.

        The server writes its address when it listens there, and ends when it cannot.
        https://www.postgresql.org/docs/18/storage-file-layout.html
        """
        try:
            lines = (self.home / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        if self._server is None or len(lines) <= _STATUS_LINE:
            return False
        written = (lines[_PID_LINE], lines[_PORT_LINE], lines[_ADDRESS_LINE])
        expected = (str(self._server.pid), str(self.port), self.host)
        return written == expected and lines[_STATUS_LINE].strip() == "ready"

    def _answers(self) -> bool:
        try:
            connect(self.superuser_url()).close()
        except (OSError, pg8000.native.InterfaceError):
            return False
        except pg8000.native.DatabaseError as error:
            code, message = error.args[0]["C"], error.args[0]["M"]
            if code == "57P03":  # cannot connect now: it is starting up
                return False
            raise PostgresError(
                f"The PostgreSQL in {self.directory} turns us away ({message}): "
                "remove that folder to start afresh."
            ) from error
        return True

    def _tail(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()
        return " / ".join(line.strip() for line in lines[-5:]) or "its log is empty"
