"""The sandbox's warehouse where the target is MySQL: its databases, and the user that loads.

Existing databases and tables stay as they are. The user whose URL is returned has the rights that
it has in the real systems and no others.
"""

from collections.abc import Iterable

from etl import mysqlddl
from etl.loading import folder, load
from etl.mysqlddl import quoted
from etl.targets import Target
from local.databases import LOADER
from local.mysql.server import MysqlServer, run_sql

DATABASE = "warehouse"
# Rights of the user that loads: into prepared tables, and into tables that load creates.
PREPARED = ("SELECT", "INSERT", "UPDATE", "CREATE TEMPORARY TABLES")
MANAGED = (
    *(*PREPARED, "DELETE", "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES"),
    *("CREATE VIEW", "SHOW VIEW"),
)


def create_mysql_warehouse(server: MysqlServer, pipeline: str, schema: str) -> str:
    """Create the prepared, empty warehouse in the database `schema`; return its loader's URL.

    The loader may select, insert, update, and make temporary tables. It may delete only where a
    table is replaced by what is in the source.
    """
    [target] = load(pipeline).targets
    rights = list(PREPARED)
    if any(table.way == "replace" for table in target.tables):
        rights.append("DELETE")
    url = _create(server, target, schema, rights)
    there = run_sql(
        server.superuser_url(), "SELECT table_schema, table_name FROM information_schema.tables"
    )
    homes = {table.name: table.schema or schema for table in target.made}
    tables = mysqlddl.mysql(target, schema, folder(pipeline), server.collation)
    missing = [
        statement
        for name, statement in tables.items()
        if (homes.get(name, schema), name) not in there
    ]
    views = mysqlddl.create_views(target, schema, folder(pipeline))
    needed = [views[view.name] for view in target.views if not view.optional]
    run_sql(server.superuser_url(schema), *missing, *needed)
    return url


def create_managed_mysql_warehouse(server: MysqlServer, target: Target, schema: str) -> str:
    """Create empty databases whose tables load creates; return the URL of its user."""
    return _create(server, target, schema, MANAGED)


def _create(server: MysqlServer, target: Target, schema: str, rights: Iterable[str]) -> str:
    """Create the databases of a target, and a user with rights in them alone; return its URL."""
    password = server.password(LOADER)
    account = f"'{LOADER}'@'127.0.0.1'"
    homes = dict.fromkeys([DATABASE, *target.schemas(schema)])
    run_sql(
        server.superuser_url(),
        f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}'",
        f"ALTER USER {account} IDENTIFIED BY '{password}'",
        *(f"CREATE DATABASE IF NOT EXISTS {quoted(home)} CHARACTER SET utf8mb4" for home in homes),
        *(f"GRANT {', '.join(rights)} ON {_only(home)}.* TO {account}" for home in homes),
    )
    return server.url(LOADER, password, DATABASE)


def _only(database: str) -> str:
    """Return the name of a database for GRANT, which treats _ and % as wildcards.

    https://dev.mysql.com/doc/refman/8.4/en/grant.html
    """
    return quoted(database.replace("_", r"\_").replace("%", r"\%"))
