"""A MySQL or MariaDB server on this machine."""

import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT

from etl.mysqlddl import COLLATION, MARIADB_COLLATION
from local.mysql.installation import (
    Installation,
    MysqlError,
    find_installation,
    library_path,
    reachable_installation,
)
from local.private_files import write_private
from local.server import LocalServer
from local.system_account import SystemAccount

SUPERUSER = "root"

_SERVER_SETTINGS = {
    "bind-address": "127.0.0.1",
    # A socket's path may have 107 bytes at most, and nothing here needs one.
    "socket": "",
    "skip-name-resolve": "ON",
    "default-time-zone": "+00:00",
    "innodb-buffer-pool-size": "64M",
    # A commit outlasts the end of the process, not that of the machine.
    "innodb-flush-log-at-trx-commit": "2",
}
# Defaults of MariaDB, or options that it lacks: no replication or point-in-time recovery, no second
# protocol, no statement that reads or writes files, and no statistics, which take 100 MB.
_MYSQL_SETTINGS = {
    "disable-log-bin": "ON",
    "mysqlx": "OFF",
    "secure-file-priv": "NULL",
    "performance-schema": "OFF",
}

# Options that MySQL takes only when its files are created.
_LASTING = ("lower-case-table-names",)

# The files that `mariadb-install-db` feeds to the server. The script itself fails where a path has
# a space.
_MARIADB_FILES = (
    "m*_system_tables.sql",
    "m*_performance_tables.sql",
    "m*_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
)


class MysqlServer(LocalServer):
    """A MySQL or MariaDB server for the sandbox or the tests.

    Its `installation` is found unless it is given. `settings` are further options of its command
    line, such as `ssl-cert`.
    """

    product = "MySQL"
    name = "mysql"
    scheme = "mysql"
    error = MysqlError
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        *,
        installation: Installation | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory, port)
        self._installation = installation
        self._settings = settings or {}

    @property
    def installation(self) -> Installation:
        """The installation, found or fetched when it is first needed. Raises MysqlError."""
        if self._installation is None:
            self._installation = find_installation()
        return self._installation

    @property
    def collation(self) -> str:
        """The collation of texts in the tables created here: binary, and without padding."""
        return MARIADB_COLLATION if self.installation.is_mariadb else COLLATION

    def url(self, user: str, password: str, database: str) -> str:
        """Return the URL of a database on this server, percent-encoded.

        MySQL wants TLS from a driver that cannot encrypt the password by itself.
        """
        options = "" if self.installation.is_mariadb else "?sslmode=require"
        return super().url(user, password, database) + options

    def superuser_url(self, database: str = "mysql") -> str:
        """Return the URL of the superuser."""
        return self.url(SUPERUSER, self.password(SUPERUSER), database)

    @property
    def _variables(self) -> Mapping[str, str]:
        return library_path(self.installation)

    def _prepare(self, account: SystemAccount) -> Sequence[str]:
        self._installation = reachable_installation(self.installation, self.home, account)
        account.make_folder(self._temporary)
        self._initialise(account)
        passwords = self.home / "passwords.sql"
        write_private(passwords, _set_passwords(self.password(SUPERUSER)))
        account.own(passwords)
        settings = {
            "datadir": self.data,
            "port": self.port,
            "init-file": passwords,
            "pid-file": self.data / "server.pid",
            **_SERVER_SETTINGS,
            **({} if self.installation.is_mariadb else _MYSQL_SETTINGS),
            **self._settings,
        }
        return (*self._program, *(f"--{name}={value}" for name, value in settings.items()))

    @property
    def _program(self) -> tuple[str, ...]:
        """The server's program, which reads no option files."""
        found = self.installation
        program = (str(found.program), "--no-defaults", f"--tmpdir={self._temporary}")
        if found.share is None:
            return program
        return (*program, f"--basedir={found.base}", f"--lc-messages-dir={found.share}")

    @property
    def _temporary(self) -> Path:
        """A folder for this server alone, because MariaDB empties it when it starts."""
        return self.home / "temporary"

    def _initialise(self, account: SystemAccount) -> None:
        if self.data.exists():
            return
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        account.make_folder(unfinished)
        data = f"--datadir={unfinished}"
        if self.installation.is_mariadb:
            sql = self.home / "system-tables.sql"
            write_private(sql, _mariadb_tables(self.installation))
            with sql.open() as script:
                self._run(account, *self._program, "--bootstrap", data, stdin=script.fileno())
            sql.unlink()
        else:
            own = [
                f"--{name}={self._settings[name]}" for name in _LASTING if name in self._settings
            ]
            self._run(account, *self._program, "--initialize-insecure", data, *own)
        unfinished.rename(self.data)

    def _is_ours(self) -> bool:
        """Return whether our server listens on the port, by the log that only it writes."""
        ready = rf"ready for connections\.\s+Version: .*\bport: {self.port}\b"
        return re.search(ready, self.log_path.read_text(errors="replace")) is not None

    def _answers(self) -> bool:
        try:
            connect(self.superuser_url()).close()
        except pymysql.OperationalError as error:
            if error.args[0] == 1045:  # access denied
                raise self._login_refused(error.args[1]) from error
            return False
        return True


def connect(url: str) -> "Connection[pymysql.cursors.Cursor]":
    """Open a connection to `mysql://user:password@host:port/database`, percent-decoded.

    For a server on this machine: with `?sslmode=` its certificate is not checked. Autocommit is on.
    Raises pymysql's OperationalError when nothing answers or the login is refused.
    """
    parts = urlsplit(url)
    encrypted = parse_qs(parts.query).get("sslmode", ["disable"]) != ["disable"]
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.removeprefix("/")),
        charset="utf8mb4",
        autocommit=True,
        client_flag=CLIENT.MULTI_STATEMENTS,
        ssl_disabled=not encrypted,
        ssl_verify_cert=False if encrypted else None,
    )


def run_sql(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements in a new session; return the rows of the last.

    A statement may be several, separated by semicolons.
    """
    rows: Sequence[tuple[object, ...]] = ()
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            rows = cursor.fetchall()
            while cursor.nextset():
                rows = cursor.fetchall()
    return list(rows)


def _set_passwords(password: str) -> str:
    """Return the SQL that the server runs before it listens; host names are never resolved."""
    here = f"'{SUPERUSER}'@'127.0.0.1'"
    return (
        f"ALTER USER '{SUPERUSER}'@'localhost' IDENTIFIED BY '{password}';\n"
        f"CREATE USER IF NOT EXISTS {here} IDENTIFIED BY '{password}';\n"
        f"ALTER USER {here} IDENTIFIED BY '{password}';\n"
        f"GRANT ALL PRIVILEGES ON *.* TO {here} WITH GRANT OPTION;\n"
        f"DROP USER IF EXISTS '{SUPERUSER}'@'::1';\n"
    )


def _mariadb_tables(installation: Installation) -> str:
    """Return the SQL that creates MariaDB's system tables; its superuser has no password yet."""
    share = installation.share
    if share is None:
        raise MysqlError(f"{installation.program} has no SQL files beside it: reinstall MariaDB.")
    files = [path for pattern in _MARIADB_FILES for path in sorted(share.glob(pattern))[:1]]
    start = "CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n"
    lines = (line for path in files for line in path.read_text().splitlines())
    # As `mariadb-install-db --cross-bootstrap`: no superuser without a password from this host.
    return start + "\n".join(line for line in lines if "@current_hostname" not in line)
