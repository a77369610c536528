"""The Python environment of ministack, created on first use where its account can run it."""

import hashlib
import shutil
import sys
import sysconfig
import venv
from pathlib import Path

from deployer.packaging.installer import install, make_once
from deployer.packaging.packages import ROOT
from local.system_account import SystemAccount, copy_readable

# Packages that are not ministack's, and what nothing needs at run time.
_UNUSED = ("site-packages", "dist-packages", "test", "idlelib", "ensurepip", "*.a")


def install_ministack(root: Path = ROOT) -> Path:
    """Return the Python of ministack's own environment, created on first use below `.build/`.

    It has this Python's version, for which the packages are built. It gets its name only when it is
    complete, so one that was interrupted is never used. Raises InstallError.
    """
    requirements = root / "requirements" / "local-aws.txt"
    facts = f"{sys.version} {sys.base_prefix} {requirements.read_text()}"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"local-aws-py{version}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"

    def make(draft: Path) -> None:
        venv.create(draft, symlinks=True)
        install(requirements, python=draft / "bin" / "python")

    return make_once(root / ".build" / name, make) / "bin" / "python"


def reachable_python(python: Path, home: Path, account: SystemAccount) -> Path:
    """Return `python`, or one with the same packages that `account` can run.

    Root's own Python may be below root's home, closed to other users. It is copied once, beside the
    environment or else into `home`; an interrupted copy is never used.
    """
    if account.can_reach(python):
        return python
    environment = python.parent.parent
    place = environment.parent if account.can_reach(environment.parent) else home
    name = f"{environment.name}-copy"
    return make_once(place / name, lambda draft: _copy_python(python, draft)) / "bin" / "python"


def _copy_python(python: Path, copy: Path) -> None:
    """Copy the interpreter behind `python`, its library and the environment's packages.

    A Python finds its library by where its program is, so a copy works anywhere.
    """
    library = Path(sysconfig.get_path("stdlib"))
    packages = Path("lib", library.name, "site-packages")
    (copy / "bin").mkdir(parents=True)
    shutil.copy2(python.resolve(), copy / "bin" / "python")
    copy_readable(library, copy / "lib" / library.name, _UNUSED)
    copy_readable(python.parent.parent / packages, copy / packages, ())
    for shared in Path(sys.base_prefix, "lib").glob("libpython*.[sd]*"):
        shutil.copy2(shared, copy / "lib" / shared.name, follow_symlinks=False)
    for folder in (copy, copy / "bin"):
        folder.chmod(0o755)
