"""The file `.env`, whose settings other users must not be able to read."""

import shlex
import stat
from collections.abc import Callable, MutableMapping
from pathlib import Path

from dotenv import dotenv_values

from deployer.errors import SettingsError


def load_dotenv(
    path: Path, environment: MutableMapping[str, str], warn: Callable[[str], None]
) -> None:
    """Add the variables of a `.env` file to `environment`; those already there win.

    Values are not interpolated: a password may contain `${`. Warns if other users can read it.

    Raises:
        SettingsError: the file cannot be read, or is not text.
    """
    warn_if_exposed(path, warn)
    try:
        values = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError):
        values = None
    # Raised here: an error raised above would carry a part of the file as its context.
    if values is None or any("=" in name or "\0" in f"{name}{values[name]}" for name in values):
        raise SettingsError([f"{path} cannot be read: make it a UTF-8 text file that you own"])
    for name, value in values.items():
        if value is not None:
            environment.setdefault(name, value)


def warn_if_exposed(path: Path, warn: Callable[[str], None]) -> None:
    """Warn, in one line, if other users of this machine can read a file with passwords."""
    if path.exists() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        warn(
            f"other users of this machine can read {path}: run `chmod 600 {shlex.quote(str(path))}`"
        )
