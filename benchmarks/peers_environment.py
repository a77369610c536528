"""The Python environment of the other tools and of the plots: made on first use below `.build/`."""

import hashlib
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.measuring import ROOT, say
from deployer.packaging.installer import install


def peers_python(root: Path = ROOT) -> Path:
    """Return its Python; it has the locked versions of `requirements/bench.txt`.

    It takes its name only when complete. Raises InstallError when pip cannot install the wheels.
    """
    requirements = root / "requirements" / "bench.txt"
    facts = f"{sys.version} {sys.base_prefix} {requirements.read_text()}"
    home = root / ".build" / f"bench-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
    if not home.exists():
        say("setting up the other tools (a minute, once)")
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
            draft = Path(scratch) / home.name
            venv.create(draft, symlinks=True)
            install(requirements, python=draft / "bin" / "python")
            draft.rename(home)
    return home / "bin" / "python"
