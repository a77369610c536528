"""Install locked wheels with pip, and explain a failure in one line.

Nothing is built from source and no version is chosen here: every requirements file locks versions
and their hashes.
"""

import re
import subprocess  # nosec B404
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from deployer.errors import InstallError

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
INSTALL = ("install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:")
# Without a network pip retries before it reports "no matching distribution": look for that first.
NO_NETWORK = re.compile(r"Retrying \(|NewConnectionError|Max retries exceeded|ProxyError|timed out")
NO_WHEEL = re.compile(r"No matching distribution found for (\S+)")
WRONG_HASH = "DO NOT MATCH THE HASHES"


def install(requirements: Path, *options: str, python: Path | str = sys.executable) -> None:
    """Install the wheels of a locked requirements file for the interpreter `python`.

    Raises:
        InstallError: pip failed; the message has the next step.
    """
    command = [
        *PIP,
        "--python",
        str(python),
        *INSTALL,
        *options,
        "--requirement",
        str(requirements),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # nosec B603
    if done.returncode:
        raise InstallError(_explain(requirements, done.stderr, options))


def make_once(place: Path, make: Callable[[Path], None]) -> Path:
    """Return the folder `place`, which `make` creates under another name unless it exists.

    It gets its name when it is complete: an interrupted one is never used, and of two that are
    created at once the first counts.
    """
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            draft = Path(scratch) / place.name
            make(draft)
            try:
                draft.rename(place)
            except OSError:
                if not place.exists():
                    raise
    return place


def _explain(requirements: Path, said: str, options: Sequence[str]) -> str:
    where = f"Cannot install {requirements.parent.name}/{requirements.name}"
    if NO_NETWORK.search(said):
        return (
            f"{where}: PyPI cannot be reached. Check the network or pip's settings, then run again."
        )
    if missing := NO_WHEEL.search(said):
        first = options.index("--platform") if "--platform" in options else len(options)
        target = " ".join(options[first:]) or "this machine's Python"
        return (
            f"{where}: {missing[1]} has no wheel for {target}. "
            "Choose a version or a platform that has one, then run `make lock`."
        )
    if WRONG_HASH in said:
        return (
            f"{where}: a download does not match its locked hash. If you trust it, run `make lock`."
        )
    last = [line for line in said.splitlines() if line.strip()][-1:] or ["pip gave no reason."]
    return f"{where}: {last[0].removeprefix('ERROR: ')}"
