"""Reproducible zip files: the same bytes wherever and whenever they are written.

They depend on the names and contents of the members only: order, dates and modes are fixed.
"""

import base64
import hashlib
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date in a zip
READABLE = (stat.S_IFREG | 0o644) << 16  # Lambda runs as a user who does not own the files
UNIX = 3


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order, without hidden ones and bytecode.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(folder)
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(p.startswith(".") or p == "__pycache__" for p in parts):
            yield path


def write_zip(target: BinaryIO, members: Mapping[str, Path], compression: int) -> None:
    """Write the members, name to file, as a zip with `zipfile.ZIP_STORED` or `ZIP_DEFLATED`."""
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, EPOCH)
            member.compress_type = compression
            member.create_system = UNIX
            member.external_attr = READABLE
            archive.writestr(member, members[name].read_bytes())


def contents_sha256(archive: zipfile.ZipFile, recipe: int) -> str:
    """Return a digest of what a zip contains: the names and contents of its members, and a recipe.

    Bytecode is left out: it follows from the sources, and only an interpreter of the same version
    can write it.
    """
    digest = hashlib.sha256(f"recipe {recipe}\n".encode())
    for name in sorted(archive.namelist()):
        if not name.endswith(".pyc"):
            digest.update(f"{hashlib.sha256(archive.read(name)).hexdigest()} {name}\n".encode())
    return base64.b64encode(digest.digest()).decode()


def code_sha256(data: bytes) -> str:
    """Return the digest of a zip in the form of Lambda's `CodeSha256`: SHA-256 in base64."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
