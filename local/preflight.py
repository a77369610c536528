"""Checks before anything is started: URLs, the folder, the pipeline, the user's databases.

They change nothing. What they find would also come up later, but after a minute, and with half of
the pipeline deployed.
"""

import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import etl.testing
from deployer.configuration.databases import (
    KINDS,
    DatabaseAddress,
    parse_database_url,
)
from deployer.errors import AddressError, DeployError, SettingsError
from etl import DeclarationError, Pipeline, Postgres
from etl.targets import Target
from functions.sources.postgres.columns import read_columns, unreadable
from functions.sources.postgres.logready import missing
from functions.targets.mysql.ready import ready as mysql_ready
from functions.targets.postgres.ready import ready
from local.connection import DatabaseProblem, mysql_session, session
from local.private_files import make_private_folder, write_private
from local.system_account import server_account

SANDBOXES = Path(".local")


class PreflightError(DeployError):
    """The sandbox cannot start here: the message says what to choose instead."""


def read_url(option: str, url: str, kind: str = "postgres") -> DatabaseAddress:
    """Return the address in the URL given as `option`; raise SettingsError if it is malformed."""
    try:
        return parse_database_url(url, kind)
    except AddressError as error:
        raise SettingsError([f"{option} {error}. Example: {KINDS[kind].example}"]) from None


def only_parts(name: str, declared: Pipeline) -> tuple[Postgres | None, Target]:
    """Return the database that is a source of a pipeline, if one is, and its target.

    Raises PreflightError if it has several.
    """
    databases = [source for source in declared.sources if isinstance(source, Postgres)]
    if len(databases) <= 1 and len(declared.targets) == 1:
        return next(iter(databases), None), declared.targets[0]
    raise PreflightError(
        f"pipelines/{name} has {len(databases)} databases as sources and {len(declared.targets)} "
        "targets, and on this machine it can have one of each, and any files: deploy it to AWS"
    )


def check_functions(declared: Pipeline) -> None:
    """Raise SettingsError for a row function that does not return what is declared."""
    try:
        etl.testing.check(declared)
    except DeclarationError as error:
        raise SettingsError([str(error)]) from error


def own_folder(pipeline: str, warn: Callable[[str], None]) -> Path:
    """Return the folder of a pipeline's sandbox; warn of files that no sandbox uses any more."""
    if (SANDBOXES / "lock").is_file():
        warn(
            f"{SANDBOXES} has a sandbox from before each pipeline had its own folder, which is not "
            f"used: use it with --dir {SANDBOXES}, or remove {SANDBOXES}"
        )
    return SANDBOXES / pipeline


def check_directory(directory: Path) -> None:
    """Create the folder if there is none.

    Raises PreflightError if it cannot be written to, or if every user of this machine may do so.
    """
    try:
        if not directory.exists():
            make_private_folder(directory, server_account().passage)
        if directory.stat().st_mode & stat.S_IWOTH:
            raise PreflightError(
                f"{directory} can be written to by every user of this machine: choose another "
                "folder (--dir)"
            )
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise PreflightError(
            f"{directory} cannot be written to ({error.strerror}): choose another folder (--dir)"
        ) from error


def check_pipeline(directory: Path, pipeline: str) -> None:
    """Write down whose sandbox the folder holds; raise PreflightError if it is another pipeline's.

    A folder in which nothing is written down is that of the pipeline that uses it first.
    """
    owner = directory / "pipeline"
    if owner.exists() and (other := owner.read_text()) != pipeline:
        raise PreflightError(
            f"{directory} holds the sandbox of pipeline {other}: choose another folder for "
            f"{pipeline} (--dir), or remove {directory}"
        )
    write_private(owner, pipeline)


def check_source(
    address: DatabaseAddress, source: Postgres, pipeline: str, *, logged: bool = False
) -> str:
    """Return what can be read; raise DatabaseProblem, a line for each table that cannot.

    If changes are `logged`, there is also a line for what is missing to look them up in the log.
    """
    with session(address) as connection:
        columns = read_columns(connection, source.tables)
        unready = missing(connection, source) if logged else []
    if not any(table.types for table in columns.values()):
        raise DatabaseProblem(
            f"database {address.dbname} at {address.host}:{address.port} has none of the tables "
            f"that pipelines/{pipeline} declares: is it the right database?"
        )
    if problems := [*unreadable(columns), *unready]:
        raise DatabaseProblem("\n".join(problems))
    return f"{len(columns)} tables can be read"


def check_warehouse(address: DatabaseAddress, target: Target, schema: str, managed: bool) -> str:
    """Return which of the target's tables can be loaded; raise DatabaseProblem if not all can.

    Whether the role may create tables in MySQL shows only when load does.
    """
    if target.kind == "mysql":
        with mysql_session(address) as opened:
            return mysql_ready(opened, schema, target, is_managed=managed)
    with session(address) as connection:
        return ready(connection, schema, target, is_managed=managed)
