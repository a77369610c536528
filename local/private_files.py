"""Files and folders that only their owner may read, whatever the umask says.

The mode is given when a file is created: a file that is created first and restricted afterwards
can be opened by others in between.
"""

import os
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
    """Create the folder at `path` with exactly `mode`; one that is there gets that mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(mode)
