"""Copies of the working tree in which tests run: the tree itself is never changed."""

import os
import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.mutants import process
from tests.mutants.measuring import Covering, recorded
from tests.mutants.operators import Mutant

ROOT = Path(__file__).resolve().parents[2]
_REWRITTEN = "ignore::pytest.PytestAssertRewriteWarning"  # of the libraries that are shared
_PLUGINS = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:pytest_cov")
_PYTEST = ("-q", *_PLUGINS, "-W", _REWRITTEN)


@dataclass(frozen=True)
class Tree:
    """A copy of the tracked files, with the packages that were built for the original."""

    path: Path

    @classmethod
    def copied_to(cls, path: Path) -> "Tree":
        """Copy the working tree, with changes that are not committed."""
        listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, path / name)
        (path / ".build").symlink_to(ROOT / ".build")
        return cls(path)

    @contextmanager
    def measured(
        self, modules: Collection[str], files: Sequence[str]
    ) -> Iterator[ForkServerProcess]:
        """Start test files, shown, and record which lines of modules they execute."""
        with process.measured(self.path, [*_PYTEST, *files], modules) as started:
            yield started

    def covering(self, modules: Collection[str]) -> Covering:
        """Return what the tests executed of `measured`."""
        return recorded(self.path, modules)

    @contextmanager
    def tested(
        self, mutant: Mutant, tests: Sequence[str], cpu_seconds: int, idle_seconds: int
    ) -> Iterator[ForkServerProcess]:
        """Start tests, up to the first that fails, with a mutant for its module."""
        arguments = [*_PYTEST, "-x", *tests]
        path = self.path / mutant.module
        original, written = path.read_bytes(), path.stat()
        path.write_text(mutant.source)
        try:
            with process.bounded(self.path, arguments, cpu_seconds, idle_seconds) as started:
                yield started
        finally:
            path.write_bytes(original)
            # The compiled original is valid again.
            os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
