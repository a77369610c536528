"""The system account under which servers and functions run here, and where it can reach its files.

Database servers refuse to run as root, and code in a function must not, so root hands both to
`nobody`, who usually cannot read root's home or a root-only clone. The permissions of folders that
are not ours are never widened: what cannot be reached goes into the temporary folder instead.
"""

import os
import pwd
import shutil
import subprocess  # nosec B404
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from deployer.errors import DeployError
from local.private_files import make_private_folder, write_private


class AccountError(DeployError):
    """No account can run the servers here: the message says what to change."""


class Identity(TypedDict):
    """The arguments of `subprocess.Popen` that decide whose process it is."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True)
class SystemAccount:
    """A system user; `uid` and `gid` are None for the current user."""

    uid: int | None
    gid: int | None

    @property
    def identity(self) -> Identity:
        """The arguments that make a new process this user's."""
        groups: list[int] | None = None if self.uid is None else []
        return {"user": self.uid, "group": self.gid, "extra_groups": groups}

    @property
    def passage(self) -> int:
        """The mode of our folders that this user passes through, without listing them."""
        return 0o700 if self.uid is None else 0o711

    def can_reach(self, path: Path) -> bool:
        """Return whether this user may enter the folder, or run the program, at `path`."""
        # Only the kernel knows: parents, access control lists and mount options all have a say.
        # The shell line is fixed; the path is an argument to it.
        command: list[str | Path] = ["/bin/sh", "-c", 'test -x "$1"', "sh", path]
        found = subprocess.run(command, cwd="/", check=False, **self.identity)  # nosec B603
        return found.returncode == 0

    def own(self, path: Path) -> None:
        """Give `path` to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def make_folder(self, path: Path) -> None:
        """Create a folder at `path`, or keep an existing one, open to this user alone."""
        make_private_folder(path)
        self.own(path)


def server_account() -> SystemAccount:
    """Return the account to run servers under: the current user, or `nobody` for root.

    Raises AccountError when we are root and the system has no `nobody`.
    """
    if os.geteuid() != 0:
        return SystemAccount(uid=None, gid=None)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise AccountError(
            "Databases and functions do not run as root, and this system has no user 'nobody' "
            "to run them: start as an ordinary user."
        ) from error
    return SystemAccount(uid=nobody.pw_uid, gid=nobody.pw_gid)


def reachable_home(directory: Path, account: SystemAccount) -> Path:
    """Return the folder for the server's files: `directory` if `account` can reach it.

    Else a new folder in the temporary folder, which `directory/home` names from then on.
    Idempotent. Raises AccountError when not even the temporary folder can be reached.
    """
    if account.can_reach(directory):
        return directory
    pointer = directory / "home"
    if pointer.exists():
        home = Path(pointer.read_text())
        # The temporary folder is open to all: a folder there may belong to another user.
        if home.is_dir() and not home.is_symlink() and home.stat().st_uid == os.geteuid():
            return home
    home = Path(tempfile.mkdtemp(prefix="local-etl-"))
    home.chmod(account.passage)
    if not account.can_reach(home):
        raise AccountError(
            f"Databases and functions do not run as root, and the user 'nobody' can reach "
            f"neither {directory} nor {home}: start as an ordinary user, or set TMPDIR to a "
            "folder open to all."
        )
    write_private(pointer, str(home))
    return home


def copy_readable(source: Path, copy: Path, without: tuple[str, ...]) -> None:
    """Copy the folder `source`, readable by all users, but for names that match `without`.

    For programs, which hold no secret. The folder above `copy` becomes readable likewise.
    """
    shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns(*without))
    for path in (copy.parent, copy, *copy.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
