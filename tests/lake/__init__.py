"""Tests of the function `lake`, which make pyiceberg importable, and readers of Iceberg tables.

They are installed below `.build/` on first use, as DuckDB is for queries: the environment of the
tests has none of them.
"""

import hashlib
import sys
from pathlib import Path

from deployer.packaging.installer import install, make_once
from deployer.packaging.packages import ROOT


def installed(lock: str) -> Path:
    """Return the folder with the packages of a lock, for this Python."""
    requirements = ROOT / "requirements" / lock
    digest = hashlib.sha256(f"{sys.version}{requirements.read_text()}".encode()).hexdigest()
    place = ROOT / ".build" / f"{requirements.stem}-{digest[:12]}"
    make_once(place, lambda draft: install(requirements, "--target", str(draft)))
    return place


sys.path.append(str(installed("layer-lake.txt")))
