"""A MySQL or MariaDB server on this machine: which one, where it comes from, and its databases."""

from local.mysql.server import SUPERUSER, MysqlServer, connect, run_sql

__all__ = ["SUPERUSER", "MysqlServer", "connect", "run_sql"]
