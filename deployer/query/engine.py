"""DuckDB, which nothing but queries needs: installed below `.build/` when one is first asked."""

import hashlib
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from deployer.packaging.installer import install, make_once
from deployer.packaging.packages import ROOT


def load_duckdb(root: Path = ROOT) -> Any:
    """Return the module `duckdb` of the locked version; raise InstallError.

    It is in a separate folder, by this Python and the lock: a process that has another version
    installed gets this one.
    """
    requirements = root / "requirements" / "query.txt"
    facts = f"{sys.version} {sys.base_prefix} {requirements.read_text()}"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"query-py{version}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
    place = root / ".build" / name
    make_once(place, lambda draft: install(requirements, "--target", str(draft)))
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
    return import_module("duckdb")
