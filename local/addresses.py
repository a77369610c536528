"""Where `deploy.py local` reads the address of the user's own database.

Other users of this machine can read the arguments of a process, so an argument may also name the
place of the address. A place is read only if it is named: production addresses in a `.env` are
never used by a sandbox.
"""

import getpass
import sys
from collections.abc import Mapping
from pathlib import Path

from deployer.configuration.databases import KINDS, parse_database_url
from deployer.configuration.dotenv_file import warn_if_exposed
from deployer.errors import AddressError, SettingsError
from deployer.terminal import Terminal

FROM_ENVIRONMENT = "env"
FROM_INPUT = "-"
FROM_FILE = "@"


def read_address(
    option: str,
    given: str | None,
    variable: str,
    environment: Mapping[str, str],
    terminal: Terminal,
    *,
    kind: str = "postgres",
) -> str | None:
    """Return the URL that `option` names; None, if it is not given, for the sandbox's own database.

    `kind` is that of the database.

    `given` is `env` (the URL is in `variable`), `@FILE` (in the first line of a file), `-` (the
    next line of standard input, asked for without echo in a terminal), or the URL itself.
    Raises SettingsError when there is no URL.
    """
    if given is None:
        if environment.get(variable):
            terminal.note(f"{variable} is not used: {option} env would use it")
        return None
    if given == FROM_ENVIRONMENT:
        url = environment.get(variable, "")
    elif given == FROM_INPUT:
        url = _from_input(option)
    elif given.startswith(FROM_FILE):
        url = _from_file(option, Path(given.removeprefix(FROM_FILE)), terminal)
    else:
        _warn_of_a_password(option, given, kind, terminal)
        return given
    if not url:
        where = variable if given == FROM_ENVIRONMENT else given
        raise SettingsError([f"{option} finds no URL in {where}. Example: {KINDS[kind].example}"])
    return url


def _from_input(option: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"{option} (not shown): ").strip()
    return sys.stdin.readline().strip()


def _from_file(option: str, path: Path, terminal: Terminal) -> str:
    try:
        with path.expanduser().open(encoding="utf-8") as file:
            url = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SettingsError([f"{option}: {path} cannot be read ({reason})"]) from None
    warn_if_exposed(path.expanduser(), terminal.warn)
    return url


def _warn_of_a_password(option: str, url: str, kind: str, terminal: Terminal) -> None:
    try:
        exposed = bool(parse_database_url(url, kind).password)
    except AddressError:
        return  # the sandbox refuses it, and says why
    if exposed:
        terminal.warn(
            f"every user of this machine can read the password in {option}: use {option} env, "
            f"{option} @FILE or {option} - instead"
        )
