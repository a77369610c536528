"""Files and folders that only their owner may read, whatever the umask says; passwords in one.

The mode is given when a file is created: a file that is created first and restricted afterwards
can be opened by others in between.
"""

import json
import os
import secrets
from pathlib import Path
from typing import TextIO


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write `text` to a new file with `mode` at `path`, instead of any that is there."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)


def open_private(path: Path) -> TextIO:
    """Open the file at `path` for reading and appending; a new one has mode 0600.

    Raises OSError when `path` is a symbolic link.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o600), "a+")


def make_private_folder(path: Path, mode: int = 0o700) -> None:
    """Create the folder at `path` with exactly `mode`; an existing one gets that mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(mode)


def password_of(role: str, path: Path) -> str:
    """Return the password of `role` in the JSON file at `path`, a random one that is kept there."""
    passwords: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if role not in passwords:
        passwords[role] = secrets.token_urlsafe(24)
        renewed = path.with_suffix(".new")
        write_private(renewed, json.dumps(passwords, indent=2))
        renewed.replace(path)
    return passwords[role]
