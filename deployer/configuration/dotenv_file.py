"""The file `.env`: settings that others may not read."""

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

    Values are taken as they are written: a `${` in a password stays. Warns if others may read it.

    Raises:
        SettingsError: the file cannot be read, or is not text.
    """
    warn_if_exposed(path, warn)
    try:
        values = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError):
        values = None
    # Raised here: an error that is raised above would keep a piece of the file.
    if values is None or any("=" in name or "\0" in f"{name}{values[name]}" for name in values):
        raise SettingsError([f"{path} cannot be read: make it a text file in UTF-8 that is yours"])
    for name, value in values.items():
        if value is not None:
            environment.setdefault(name, value)


def warn_if_exposed(path: Path, warn: Callable[[str], None]) -> None:
    """Warn, in one line, if other users of this machine may read a file with passwords."""
    if path.exists() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        warn(
            f"other users of this machine may read {path}: run `chmod 600 {shlex.quote(str(path))}`"
        )
