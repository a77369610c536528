"""A copy of the code, to which a pipeline may be added, for commands in separate processes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployer.packaging.packages import ROOT
from tests.pipeline.local_process import somebodys_folder

PARTS = ("deploy.py", "deployer", "etl", "functions", "local", "pipelines", "requirements")


@dataclass(frozen=True)
class Checkout:
    """A copy of the code."""

    folder: Path

    def deploy(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `deploy.py`, as JSON, with more variables in its environment."""
        return subprocess.run(
            [sys.executable, "deploy.py", *map(str, arguments), "--json"],
            cwd=self.folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def checked_out() -> Iterator[Checkout]:
    """Copy the code; the layers that are built come along."""
    (ROOT / ".build").mkdir(exist_ok=True)
    with somebodys_folder() as folder:
        for part in PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / part)
        (folder / ".build").symlink_to(ROOT / ".build")
        yield Checkout(folder)
