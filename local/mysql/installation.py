"""Which MySQL or MariaDB runs here: one that is installed, or else the system's own packages of it.

No Python package contains a server. On Debian and Ubuntu `apt-get download` needs no root, and
verifies the packages by the signatures of the distribution.
"""

import re
import shutil
import subprocess  # nosec B404
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from deployer.errors import DeployError
from deployer.packaging.installer import make_once
from local.mysql.packages import fetch_mariadb
from local.system_account import SystemAccount, copy_readable

PROGRAMS = ("mariadbd", "mysqld")
# Where systems install servers outside of the users' PATH.
FOLDERS = (
    *("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin"),
    *(
        f"{prefix}/opt/{formula}/bin"
        for prefix in ("/opt/homebrew", "/usr/local")
        for formula in ("mariadb", "mysql", "mysql@8.4", "mariadb@11.4")
    ),
)
OLDEST = {True: (10, 6), False: (8, 0)}  # of MariaDB, and of MySQL
APPARMOR = Path("/etc/apparmor.d")

_VERSION = re.compile(r"Ver (\d+)\.(\d+)\.\d+(-MariaDB)?")
_UNUSED = ("doc", "man", "locale", "bash-completion")


class MysqlError(DeployError):
    """MySQL does not run here: the message says why, and the next step."""


@dataclass(frozen=True)
class Installation:
    """A server: its `program`, and the folder `base` above it, which has `share` and `lib`."""

    program: Path
    base: Path
    version: tuple[int, int]
    is_mariadb: bool

    @property
    def product(self) -> str:
        """The name of the product."""
        return "MariaDB" if self.is_mariadb else "MySQL"

    @property
    def share(self) -> Path | None:
        """The folder of its messages and SQL files; None where the server finds it by itself."""
        folders = (self.base / "share" / name for name in ("mariadb", "mysql", ""))
        return next((each for each in folders if (each / "english" / "errmsg.sys").exists()), None)

    @property
    def libraries(self) -> list[Path]:
        """The folders of its libraries, where the packages were unpacked into a folder."""
        if self.base == Path("/usr"):
            return []
        private = self.base / "lib" / "mysql" / "private"
        return [each for each in ((self.base / "lib").glob("*-linux-gnu*")) if each.is_dir()] + (
            [private] if private.is_dir() else []
        )

    @property
    def client(self) -> Path | None:
        """Its command-line client, or None."""
        for name in ("mariadb", "mysql"):
            program = self.base / "bin" / name
            if program.exists():
                return program
        return None


def find_installation() -> Installation:
    """Return an installed server that is new enough, or else one that is fetched, once.

    Raises MysqlError when there is neither.
    """
    return _first_fit(_candidates()) or packaged_mariadb()


def packaged_mariadb() -> Installation:
    """Return MariaDB from the system's packages, fetched once; raise MysqlError as above."""
    fetched = fetch_mariadb()
    if fetched is None:
        raise MysqlError(
            "No MySQL 8.0 or MariaDB 10.6, or later, was found: install one (macOS: brew install "
            "mariadb; Fedora: dnf install mariadb-server), or name your own with --warehouse-url."
        )
    return describe(fetched / "usr" / "sbin" / "mariadbd")


def describe(program: Path) -> Installation:
    """Return what the server at `program` is; raise MysqlError if it is none, or too old."""
    place = program.resolve()
    found = Installation(place, place.parent.parent, (0, 0), is_mariadb=False)
    try:
        said = subprocess.run(  # nosec B603
            [place, "--no-defaults", "--version"],
            env=library_path(found),
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    except OSError as error:
        raise MysqlError(f"{program} cannot be run ({error.strerror})") from error
    version = _VERSION.search(said)
    if version is None:
        raise MysqlError(f"{program} does not say that it is MySQL or MariaDB")
    found = replace(
        found, version=(int(version[1]), int(version[2])), is_mariadb=version[3] is not None
    )
    if found.version < OLDEST[found.is_mariadb]:
        raise MysqlError(f"{program} is {found.product} {found.version[0]}.{found.version[1]}")
    return found


def library_path(installation: Installation) -> dict[str, str]:
    """Return the environment in which the programs of an installation find its libraries."""
    folders = ":".join(str(each) for each in installation.libraries)
    return {"LD_LIBRARY_PATH": folders} if folders else {}


def reachable_installation(found: Installation, home: Path, account: SystemAccount) -> Installation:
    """Return `found`, or a copy under `home` where `account` cannot run it, or not with our data.

    Idempotent: a copy is made once, and a half-made one is never used.
    """
    if not account.can_reach(found.program):
        base = home / f"programs-{found.base.name}"
        make_once(base, lambda draft: copy_readable(found.base, draft, _UNUSED))
        return replace(found, base=base, program=base / found.program.relative_to(found.base))
    if _is_confined(found.program):
        folder = home / "programs-sbin"
        make_once(folder, lambda draft: _copy_program(found.program, draft))
        return replace(found, program=folder / found.program.name)
    return found


def _copy_program(program: Path, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    shutil.copy(program, folder)


def _is_confined(program: Path) -> bool:
    """Return whether AppArmor confines a server to the system's data folder.

    Its profile goes by the program's path, and Ubuntu has one for MySQL.
    https://manpages.ubuntu.com/manpages/noble/man7/apparmor.7.html
    """
    profile = str(program).strip("/").replace("/", ".")
    return any((APPARMOR / name).exists() for name in (profile, program.name))


def _candidates() -> Iterable[Path]:
    on_path = (found for name in PROGRAMS if (found := shutil.which(name)))
    elsewhere = (f"{folder}/{name}" for folder in FOLDERS for name in PROGRAMS)
    return (path for place in (*on_path, *elsewhere) if (path := Path(place)).is_file())


def _first_fit(programs: Iterable[Path]) -> Installation | None:
    for program in programs:
        try:
            return describe(program)
        except MysqlError:
            continue  # another may be new enough
    return None
