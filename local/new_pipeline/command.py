"""`deploy.py new`: write a pipeline for a live database."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from deployer.configuration.databases import DatabaseAddress
from deployer.errors import DeployError, SettingsError
from deployer.terminal import table
from local.addresses import FROM_ENVIRONMENT, FROM_FILE, FROM_INPUT
from local.connection import session
from local.new_pipeline.catalogue import FoundTable, read_catalogue
from local.new_pipeline.page import page, ways

# A folder of Python, from which `<name>-etl` is made.
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class NothingToDeclare(DeployError):
    """A database has no table that a pipeline could read: look at the role's rights."""


@dataclass(frozen=True)
class Written:
    """A pipeline that was written: its page, and each table with `latest` or `history`.

    `left_out` says by table why it is not in it.
    """

    path: str
    tables: Mapping[str, str]
    left_out: Mapping[str, str]


def write_pipeline(name: str, source: DatabaseAddress, pipelines: Path) -> Written:
    """Write `<pipelines>/<name>/pipeline.py` for the tables of a database; overwrites nothing.

    Raises SettingsError for a name that cannot be used, DatabaseProblem for an error of the
    database, and NothingToDeclare.
    """
    folder = pipelines / name
    if not _NAME.fullmatch(name):
        raise SettingsError(
            [f"{name!r} cannot be a pipeline's name: use lower-case letters, digits and _"]
        )
    if folder.exists():
        raise SettingsError([f"{folder} exists already: choose another name, or remove it"])
    with session(source) as connection:
        found = read_catalogue(connection)
    left_out = {_shown(each): why for each in found if (why := _why_left_out(each))}
    tables = [each for each in found if not _why_left_out(each)]
    if not tables:
        raise NothingToDeclare(_nothing(left_out))
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(f'"""{name}: see `pipeline.py`."""\n', encoding="utf-8")
    (folder / "pipeline.py").write_text(page(name, tables), encoding="utf-8")
    chosen = ways(tables)
    return Written(
        str(folder / "pipeline.py"),
        {_shown(each): chosen[each.known_as] for each in tables},
        left_out,
    )


def _why_left_out(found: FoundTable) -> str | None:
    if not found.may_read:
        return "this role may not read it: GRANT SELECT on it"
    if not found.key:
        return "it has no primary key, and no unique index on columns that are NOT NULL"
    return None


def _shown(found: FoundTable) -> str:
    return found.name if found.schema == "public" else f"{found.schema}.{found.name}"


def _nothing(left_out: Mapping[str, str]) -> str:
    if not left_out:
        return "the database has no table in any schema that this role may use: GRANT USAGE on one"
    name, why = next(iter(left_out.items()))
    return f"none of {len(left_out)} tables can be read by a pipeline; table {name}: {why}"


def shown(written: Written, source_url: str) -> list[Table | Text]:
    """Return what a terminal shows of it, and the next step with `--source-url` as it was given.

    A URL is not repeated, because it may have a password.
    """
    tables = table("table", "kept as")
    for name, way in written.tables.items():
        tables.add_row(name, way)
    name = Path(written.path).parent.name
    is_place = source_url == FROM_INPUT or source_url.startswith(FROM_FILE)
    where = shlex.quote(source_url) if is_place else FROM_ENVIRONMENT
    return [
        tables,
        Text(
            "latest: the newest values, of tables that others refer to, or that stand alone\n"
            "history: every state seen, of tables that refer to others, and none to them\n"
        ),
        *(Text(f"left out: {left_out}: {why}") for left_out, why in written.left_out.items()),
        Text(
            f"Written: {written.path}\n"
            f"Try it:  PIPELINE={name} .venv/bin/python deploy.py local --once "
            f"--source-url {where}"
        ),
    ]
