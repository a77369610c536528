"""MariaDB from the packages of Debian or Ubuntu, unpacked below `.build/` and not installed."""

import hashlib
import os
import platform
import shutil
import subprocess  # nosec B404
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deployer.errors import DeployError
from deployer.packaging.installer import make_once
from deployer.packaging.packages import ROOT

# Newer releases call them without a version.
PACKAGES = (
    ("mariadb-server-core", "mariadb-client-core"),
    ("mariadb-server-core-10.6", "mariadb-client-core-10.6"),
)
TOOLS = ("apt-get", "dpkg-deb")
RELEASE = Path("/etc/os-release")


class FetchError(DeployError):
    """The system's package cannot be fetched: the message has apt's reason, and the next step."""


def fetch_mariadb(root: Path = ROOT) -> Path | None:
    """Return the folder with MariaDB from the system's packages, fetched once; None without apt.

    It has what the server needs beyond what is installed. It gets its name only when complete, so
    one that was interrupted is never used. Raises FetchError.
    """
    if not all(shutil.which(tool) for tool in TOOLS):
        return None
    facts = f"{RELEASE.read_text() if RELEASE.exists() else ''} {platform.machine()}"
    name = f"mariadb-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
    return make_once(root / ".build" / name, _fetch)


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        _unpack(_download(Path(scratch)), folder)


def _download(scratch: Path) -> list[Path]:
    """Fetch the packages that the system lacks, by its own package lists or else by new ones.

    The lists of a container are often missing, and those of a machine out of date.
    """
    lists = scratch / "lists"
    own = (f"-oDir::State::lists={lists}", f"-oDir::Cache={scratch / 'cache'}")
    said = ""
    for options in ((), own):
        if options:
            (lists / "partial").mkdir(parents=True)
            (scratch / "cache" / "archives" / "partial").mkdir(parents=True)
            said = _apt(scratch, *options, "update").stderr
        for names in PACKAGES:
            # A simulation needs no rights, and names exactly what is not installed yet.
            order = ("--simulate", "--no-install-recommends", "install", *names)
            plan = _apt(scratch, *options, *order)
            needed = [line.split()[1] for line in plan.stdout.splitlines() if _is_new(line)]
            if (
                plan.returncode == 0
                and _apt(scratch, *options, "download", *needed).returncode == 0
            ):
                return sorted(scratch.glob("*.deb"))
            said = plan.stderr or said
    raise FetchError(
        f"MariaDB cannot be fetched by apt-get ({_last_line(said)}): install mariadb-server, or "
        "name a MySQL of your own with --warehouse-url."
    )


def _is_new(line: str) -> bool:
    return line.startswith("Inst ")


def _apt(scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    proxies = {name: value for name, value in os.environ.items() if name.endswith("_proxy")}
    return subprocess.run(  # nosec B603 B607
        ["apt-get", "--quiet", *arguments],
        cwd=scratch,
        env=environment | proxies,
        capture_output=True,
        text=True,
        check=False,
    )


def _unpack(packages: Sequence[Path], folder: Path) -> None:
    for package in packages:
        command: list[str | Path] = ["dpkg-deb", "--extract", package, folder]
        subprocess.run(command, check=True, capture_output=True)  # nosec B603
    folder.chmod(0o755)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
