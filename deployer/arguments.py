"""The arguments of deploy.py: its commands, their options, and the values that these take."""

import argparse
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from deployer.errors import SettingsError

SMALLEST_SCALE = 0.01  # about 110 orders; a shop without any cannot trade

Command = Callable[..., int]


class _Parser(argparse.ArgumentParser):
    """Raises a mistake as an error like any other, so that `--json` holds for it too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        # argparse quotes what it does not understand, which may be the URL of a database.
        said = re.sub(r"\S*://.*", "(a URL)", message, flags=re.DOTALL)
        raise SettingsError([f"{said}. `python {self.prog} --help` shows the usage."])


def parser(about: str, default: Command, commands: Iterable[Command]) -> argparse.ArgumentParser:
    """Return the parser of the command line, which sets `command`.

    A command is named by its function and described by that one's docstring. Mistakes are raised as
    SettingsError.
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
    """Read the number of a port."""
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (1 to 65535)")
    return int(text)


def scale(text: str) -> float:
    """Read the size of a sample."""
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not SMALLEST_SCALE <= size <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {SMALLEST_SCALE} to 1000")
    return size


def _of_send(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="the body, as it is posted")
    _add_source(command)
    command.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="a further header beside those of the signature, such as one with the type",
    )


def _of_replay(command: argparse.ArgumentParser) -> None:
    command.add_argument("batch", type=int, metavar="N", help="the number of the batch")
    _add_source(command)


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument("--source", metavar="NAME", help="the source, if there are several")


def _of_run(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--now",
        action="store_true",
        help="also sources that are not due yet, such as files that are read once a day",
    )


def _of_reconcile(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--repair",
        action="store_true",
        help="read the tables that disagree again from the source, then compare again",
    )


def _of_github(command: argparse.ArgumentParser) -> None:
    command.add_argument("repository", metavar="OWNER/NAME", help="the repository on GitHub")
    command.add_argument(
        "--environment",
        metavar="NAME",
        default="sandbox",
        help="the environment whose jobs may deploy (sandbox)",
    )
    command.add_argument("--remove", action="store_true", help="remove the role")


def _of_new(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", help="its name: pipelines/NAME")
    _add_source_url(command, default="env")


def _add_source_url(command: argparse.ArgumentParser, default: str | None = None) -> None:
    command.add_argument(
        "--source-url",
        metavar="WHERE",
        default=default,
        help="your own live database: env (its URL is in SOURCE_DATABASE_URL, also of .env), "
        "@FILE (in a file), - (asked for, or on standard input), or the URL itself, whose "
        "password other users of this machine can then read",
    )


def _of_local(command: argparse.ArgumentParser) -> None:
    command.add_argument("--once", action="store_true", help="end after the first full cycle")
    _add_source_url(command)
    command.add_argument(
        "--warehouse-url",
        metavar="WHERE",
        help="your own prepared warehouse, likewise: env (WAREHOUSE_DATABASE_URL), @FILE, -, URL",
    )
    command.add_argument(
        "--managed",
        action="store_true",
        help="load creates the warehouse's tables and views (WAREHOUSE_MANAGED), as it always does "
        "in the sandbox's own warehouse for a pipeline without ddl",
    )
    command.add_argument(
        "--dir", type=Path, help="where its files are kept (.local/ and the pipeline's name)"
    )
    command.add_argument("--port", type=port, help="port of the local AWS (any free one)")
    command.add_argument("--postgres-port", type=port, help="port of PostgreSQL (any free one)")
    command.add_argument(
        "--scale",
        type=scale,
        default=1.0,
        help="size of the sample when it is made, 1 is about 11,000 sales orders",
    )


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "send": _of_send,
    "replay": _of_replay,
    "run": _of_run,
    "reconcile": _of_reconcile,
    "github": _of_github,
    "new": _of_new,
    "local": _of_local,
}
