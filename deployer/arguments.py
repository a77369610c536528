"""The arguments of deploy.py: its commands, their options, and the values of the options."""

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from deployer.errors import SettingsError

SMALLEST_SCALE = 0.01  # about 110 orders; a shop without any cannot trade

Command = Callable[..., int]


class _Parser(argparse.ArgumentParser):
    """Raises a usage error as a SettingsError, so that `--json` applies to it too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        # argparse quotes what it does not understand, which may be a database URL.
        said = re.sub(r"\S*://.*", "(a URL)", message, flags=re.DOTALL)
        raise SettingsError([f"{said}. `python {self.prog} --help` shows the usage."])


def parser(about: str, default: Command, commands: Iterable[Command]) -> argparse.ArgumentParser:
    """Return the parser of the command line, which sets `command`.

    A command has the name of its function and is described by its docstring. Usage errors are
    raised as SettingsError.
    """
    common = _Parser(add_help=False)
    common.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="one JSON document on stdout, progress on stderr",
    )
    whole = _Parser(prog="deploy.py", description=about, parents=[common])
    whole.set_defaults(command=default)
    added = whole.add_subparsers(title="commands", metavar="COMMAND")
    for command in commands:
        name = command.__name__
        each = added.add_parser(name, help=command.__doc__, parents=[common])
        each.set_defaults(command=command)
        if add_options := _OPTIONS.get(name):
            add_options(each)
    return whole


def port(text: str) -> int:
    """Parse a port number."""
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (1 to 65535)")
    return int(text)


def batch(text: str) -> int:
    """Parse the number of a batch."""
    if not (text.isdecimal() and 0 < int(text) < 10**10):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a batch (1 or greater)")
    return int(text)


def scale(text: str) -> float:
    """Parse the size of a sample."""
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not SMALLEST_SCALE <= size <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {SMALLEST_SCALE} to 1000")
    return size


def chosen_source(named: str | None, sources: Sequence[str]) -> str:
    """Return the named source, or the only one; raise SettingsError if there is none."""
    if named is None and len(sources) == 1:
        return sources[0]
    if named is None or named not in sources:
        raise SettingsError([f"--source must be one of {', '.join(sources)}"])
    return named


def _of_send(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="the body to post")
    _add_source(command)
    command.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="a further header, for example one with the event's type",
    )


def _of_replay(command: argparse.ArgumentParser) -> None:
    command.add_argument("batch", type=int, metavar="N", help="number of the batch")
    _add_source(command)


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument("--source", metavar="NAME", help="the source, if there are several")


def _of_run(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--now",
        action="store_true",
        help="also read sources that are not due yet, such as files read once a day",
    )


def _of_reconcile(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--repair",
        action="store_true",
        help="read the tables that differ again from their source, then compare again",
    )


def _of_verify(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--from",
        type=batch,
        default=1,
        dest="first",
        metavar="BATCH",
        help="verify the batches from this one on (default: all)",
    )


def _of_query(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "sql", metavar="SELECT", nargs="?", help="one SELECT, in the SQL of DuckDB"
    )
    command.add_argument(
        "--as-of",
        metavar="BATCH|TIME",
        help="as the warehouse was after it loaded this batch, or at a time in ISO 8601, in UTC "
        "unless it has a zone (default: now); a batch that is not loaded yet does not count",
    )
    _add_source(command)
    command.add_argument(
        "--format",
        choices=("table", "csv", "json", "parquet"),
        help="a table for people unless given; json is the same as --json",
    )
    command.add_argument(
        "--output", type=Path, metavar="FILE", help="write the answer there; parquet needs it"
    )
    command.add_argument(
        "--tables",
        action="store_true",
        help="print the tables and their columns",
    )


def _of_why(command: argparse.ArgumentParser) -> None:
    command.add_argument("table", metavar="TABLE", help="the target table")
    command.add_argument(
        "key", metavar="KEY", nargs="+", help="the value of each column of the table's key"
    )


def _of_github(command: argparse.ArgumentParser) -> None:
    command.add_argument("repository", metavar="OWNER/NAME", help="the repository on GitHub")
    command.add_argument(
        "--environment",
        metavar="NAME",
        default="sandbox",
        help="the environment whose jobs may deploy (default: sandbox)",
    )
    command.add_argument("--remove", action="store_true", help="remove the role")


def _of_new(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "name", metavar="NAME", help="name of the pipeline, and of its folder under pipelines/"
    )
    _add_source_url(command, default="env")


def _add_source_url(command: argparse.ArgumentParser, default: str | None = None) -> None:
    command.add_argument(
        "--source-url",
        metavar="WHERE",
        default=default,
        help="your own live database: env (read its URL from SOURCE_DATABASE_URL or .env), @FILE "
        "(from a file), - (from a prompt or standard input), or the URL itself; other users of "
        "this machine can read a password given that way",
    )


def _of_local(command: argparse.ArgumentParser) -> None:
    command.add_argument("--once", action="store_true", help="end after the first full cycle")
    _add_source_url(command)
    command.add_argument(
        "--warehouse-url",
        metavar="WHERE",
        help="your own prepared warehouse: env (WAREHOUSE_DATABASE_URL), @FILE, - or the URL",
    )
    command.add_argument(
        "--managed",
        action="store_true",
        help="let load create the warehouse's tables and views (WAREHOUSE_MANAGED); in the "
        "sandbox's warehouse it always does for a pipeline without DDL",
    )
    command.add_argument(
        "--dir", type=Path, help="where its files are kept (.local/ and the pipeline's name)"
    )
    command.add_argument("--port", type=port, help="port of the local AWS (default: any free one)")
    command.add_argument(
        "--postgres-port", type=port, help="port of PostgreSQL (default: any free one)"
    )
    command.add_argument(
        "--scale",
        type=scale,
        default=1.0,
        help="size of the sample data, if it is not there yet (1 is about 11,000 sales orders)",
    )


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "send": _of_send,
    "replay": _of_replay,
    "run": _of_run,
    "reconcile": _of_reconcile,
    "verify": _of_verify,
    "query": _of_query,
    "why": _of_why,
    "github": _of_github,
    "new": _of_new,
    "local": _of_local,
}
