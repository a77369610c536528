"""A real MySQL or MariaDB for the tests, one for the whole session, and fresh databases on it.

TEST_MYSQL is the path of the program, such as /usr/sbin/mysqld, or `apt` for MariaDB of the
system's packages. Without it, one is found or fetched as for the sandbox.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import trustme

from deployer.errors import DeployError
from etl.mysqlddl import quoted
from local.mysql import MysqlServer, run_sql
from local.mysql.installation import Installation, describe, find_installation, packaged_mariadb
from local.system_account import server_account
from tests.memory import fast_folder
from tests.postgres_fixtures import Warehouse

LOADER = "loader"
PREPARED = "SELECT, INSERT, UPDATE, CREATE TEMPORARY TABLES"
"""What the role that loads may do in a warehouse that others prepare."""


def mysql_installation() -> Installation:
    """Return the server to test with; a test that has none is reported as not run, with the reason.

    But not on Linux, where there always is one, nor where TEST_MYSQL chose it.
    """
    chosen = os.environ.get("TEST_MYSQL")
    try:
        if chosen == "apt":
            return packaged_mariadb()
        return describe(Path(chosen)) if chosen else find_installation()
    except DeployError as error:
        if chosen or sys.platform == "linux":
            raise
        pytest.skip(f"not run without a MySQL: {error}")


@contextmanager
def own_mysql(settings: Mapping[str, str] | None = None) -> Iterator[MysqlServer]:
    """Run a server in a folder whose name has a space; it and its folder are gone afterwards.

    It keeps its port when it is killed or stopped and starts again. `settings` are options of the
    server's command line, without the dashes.
    """
    installation = mysql_installation()
    with tempfile.TemporaryDirectory(prefix="mysql tests ", dir=fast_folder()) as folder:
        directory = Path(folder)
        # As root the server runs as nobody, who has to get in.
        directory.chmod(0o711)
        with MysqlServer(directory, installation=installation, settings=settings) as server:
            yield server


@pytest.fixture(scope="session")
def mysql_ca() -> trustme.CA:
    """The authority that signed the certificate of the session's server, for 127.0.0.1."""
    return trustme.CA()


@pytest.fixture(scope="session")
def mysql(mysql_ca: trustme.CA) -> Iterator[MysqlServer]:
    """Run a server, which speaks TLS to those who want it, for the session."""
    with tempfile.TemporaryDirectory(prefix="mysql tls ") as folder:
        Path(folder).chmod(0o711)
        certificate = mysql_ca.issue_cert("127.0.0.1")
        pems = {
            "ssl-ca": mysql_ca.cert_pem,
            "ssl-cert": certificate.cert_chain_pems[0],
            "ssl-key": certificate.private_key_pem,
        }
        settings = {}
        for name, pem in pems.items():
            path = Path(folder) / f"{name}.pem"
            pem.write_to_path(path)
            server_account().own(path)
            settings[name] = str(path)
        with own_mysql(settings) as server:
            yield server


@pytest.fixture(scope="session")
def mysql_numbers() -> Iterator[int]:
    """Number the databases of the session."""
    return count(1)


@pytest.fixture
def new_mysql_warehouse(
    mysql: MysqlServer, mysql_numbers: Iterator[int]
) -> Callable[..., Warehouse]:
    """Return a function that makes an empty database, and a user with these rights in it alone.

    Its schema is the database. With `ALL` rights load may create the tables.
    """

    def make(rights: str = "ALL") -> Warehouse:
        return mysql_warehouse_on(mysql, f"warehouse {next(mysql_numbers)}", rights)

    return make


def mysql_warehouse_on(server: MysqlServer, database: str, rights: str = "ALL") -> Warehouse:
    """Make an empty database on a server, and a user with these rights in it alone."""
    user = f"{LOADER} {database}"[-32:]  # MySQL's limit; MariaDB's is 80
    account = f"'{user}'@'127.0.0.1'"
    run_sql(
        server.superuser_url(),
        f"CREATE DATABASE {quoted(database)} CHARACTER SET utf8mb4",
        f"CREATE USER {account} IDENTIFIED BY '{server.password(user)}'",
        f"GRANT {rights} ON {quoted(database)}.* TO {account}",
    )
    return Warehouse(
        database,
        database,
        server.url(user, server.password(user), database),
        server.superuser_url(database),
    )
