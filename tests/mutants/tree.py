"""Copies of the working tree in which tests run: the tree itself is never changed."""

import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from coverage import CoverageData

from tests.mutants import process
from tests.mutants.operators import Mutant

ROOT = Path(__file__).resolve().parents[2]
_REWRITTEN = "ignore::pytest.PytestAssertRewriteWarning"  # of the libraries that are shared
_PYTEST = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", _REWRITTEN)
_UNTIL_ONE_FAILS = ("-x", "-p", "no:pytest_cov")
_WITH_COVERAGE = ("--cov", "--cov-context=test", "--cov-report=")

Covering = Mapping[tuple[str, int], frozenset[str]]
"""The tests that execute a line, by (module, line)."""


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
    def measured(self, files: Sequence[str]) -> Iterator[ForkServerProcess]:
        """Start test files, shown, and record which lines they execute."""
        arguments = [*_PYTEST, *_WITH_COVERAGE, *files]
        with process.started(self.path, arguments) as started:
            yield started

    def covering(self, modules: Collection[str]) -> Covering:
        """Return what the tests executed of `measured`.

        A file is returned for a line that its fixtures execute, which any of its tests may depend
        on, and nothing for one that is executed as its module is imported.
        """
        data = CoverageData(str(self.path / ".coverage"))
        data.read()
        covering = defaultdict[tuple[str, int], set[str]](set)
        for module in modules:
            lines = data.contexts_by_lineno(str(self.path / module))
            for line, contexts in lines.items():
                for test, _, phase in (each.rpartition("|") for each in contexts):
                    covering[module, line].add(test if phase == "run" else test.split("::")[0])
        return {place: frozenset(tests - {""}) for place, tests in covering.items()}

    @contextmanager
    def tested(
        self, mutant: Mutant, tests: Sequence[str], cpu_seconds: int
    ) -> Iterator[ForkServerProcess]:
        """Start tests, up to the first that fails, with a mutant for its module."""
        arguments = [*_PYTEST, *_UNTIL_ONE_FAILS, *tests]
        path = self.path / mutant.module
        original, written = path.read_bytes(), path.stat()
        path.write_text(mutant.source)
        try:
            with process.started(self.path, arguments, cpu_seconds) as started:
                yield started
        finally:
            path.write_bytes(original)
            # The compiled original is valid again.
            os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
