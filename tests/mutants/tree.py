"""Copies of the working tree in which tests run: the tree itself is never changed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData

ROOT = Path(__file__).resolve().parents[2]
_PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
_ALONE = ("-p", "no:xdist", "-p", "no:pytest_cov")
_SECONDS_TO_STOP = 20  # for fixtures to stop their servers

Covering = Mapping[tuple[str, int], frozenset[str]]
"""The tests that execute a line, by (module, line)."""


class TestsFailed(Exception):
    """Tests fail without any mutation."""

    __test__ = False


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

    def covering(self, tests: Iterable[str], modules: Collection[str], jobs: int) -> Covering:
        """Run test files, all of which have to pass, and return what they cover of modules.

        A file is returned for a line that its fixtures execute, which any of its tests may depend
        on, and nothing for one that is executed as its module is imported. Raises TestsFailed.
        """
        side_by_side = ("-n", str(jobs), "--dist", "loadfile", "--no-loadscope-reorder")
        measured = ("--cov", "--cov-context=test", "--cov-report=")
        done = subprocess.run(
            [*_PYTEST, *side_by_side, *measured, *tests], cwd=self.path, check=False
        )
        if done.returncode:
            raise TestsFailed("tests fail without any mutation: correct them first")
        data = CoverageData(str(self.path / ".coverage"))
        data.read()
        covering = defaultdict[tuple[str, int], set[str]](set)
        for module in modules:
            lines = data.contexts_by_lineno(str(self.path / module))
            for line, contexts in lines.items():
                for test, _, phase in (each.rpartition("|") for each in contexts):
                    covering[module, line].add(test if phase == "run" else test.split("::")[0])
        return {place: frozenset(tests - {""}) for place, tests in covering.items()}

    def passes_with(self, module: str, source: str, tests: Sequence[str], limit: float) -> bool:
        """Return whether tests pass with another source of a module.

        Raises TimeoutExpired after so many seconds.
        """
        original = (self.path / module).read_bytes()
        written = (self.path / module).stat()
        try:
            (self.path / module).write_text(source)
            return self._passes(tests, limit)
        finally:
            (self.path / module).write_bytes(original)
            # The compiled original is valid again.
            os.utime(self.path / module, ns=(written.st_atime_ns, written.st_mtime_ns))

    def _passes(self, tests: Sequence[str], limit: float) -> bool:
        # Compiled code is found by second and size, which two mutants may share: none is written.
        arguments = [*_PYTEST, "-x", "-p", "tests.mutants.memory", *_ALONE, *tests]
        process = subprocess.Popen(
            arguments,
            cwd=self.path,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            time.sleep(_SECONDS_TO_STOP if process.poll() is None else 0)
            raise
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
