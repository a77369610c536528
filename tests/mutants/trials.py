"""The tests of a mutant, and what they make of it."""

import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from queue import SimpleQueue
from threading import Event

import pytest

from tests.mutants.measuring import Covering
from tests.mutants.modules import TESTS
from tests.mutants.operators import Mutant
from tests.mutants.process import Exit
from tests.mutants.report import Result
from tests.mutants.tree import Tree

# Of tests that take 40 at most: a busy machine changes nothing.
_CPU_SECONDS = 240
_IDLE_SECONDS = 120  # for those that wait for another process
_WAIT_SECONDS = 900  # for tests that wait for something
_POLL_SECONDS = 0.5


class TestsFailed(Exception):
    """Tests fail without any mutation."""

    __test__ = False


def covering(modules: Collection[str], trees: Sequence[Tree]) -> Covering:
    """Run the tests of modules, all of which have to pass, and return what they execute.

    Raises TestsFailed.
    """
    files = [*dict.fromkeys(test for module in modules for test in TESTS[module])]
    parts = {tree: part for place, tree in enumerate(trees) if (part := files[place :: len(trees)])}
    with ExitStack() as stack:
        started = [
            stack.enter_context(tree.measured(modules, part)) for tree, part in parts.items()
        ]
        for each in started:
            each.join()
        if any(each.exitcode for each in started):
            raise TestsFailed("tests fail without any mutation: correct them first")
    found: dict[tuple[str, int], frozenset[str]] = {}
    for tree in parts:
        for place, tests in tree.covering(modules).items():
            found[place] = found.get(place, frozenset()) | tests
    return found


def trials(
    mutants: Sequence[Mutant], trees: Sequence[Tree], covered: Covering
) -> Iterator[tuple[Mutant, Result]]:
    """Run the tests of each mutant, as many at a time as there are trees; yield in their order."""
    stopping = Event()
    free = SimpleQueue[Tree]()
    for tree in trees:
        free.put(tree)

    def result(mutant: Mutant) -> Result:
        tree = free.get()
        try:
            return _result(mutant, tree, executing(mutant, covered), stopping)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        try:
            yield from zip(mutants, pool.map(result, mutants), strict=True)
        finally:
            stopping.set()
            pool.shutdown(cancel_futures=True)


def executing(mutant: Mutant, covered: Covering) -> list[str]:
    """Return the tests that execute a mutant, the cheapest first; none if no test does."""
    files = TESTS[mutant.module]
    places = [(mutant.module, line) for line in mutant.lines]
    names = {name for place in places for name in covered.get(place, ())}
    if "" in names:  # executed as the module is imported
        return [*files]
    return [name for file in files for name in sorted(names) if name.split("::")[0] == file]


def _result(mutant: Mutant, tree: Tree, tests: list[str], stopping: Event) -> Result:
    if not tests:
        return Result.LIVED
    with tree.tested(mutant, tests, _CPU_SECONDS, _IDLE_SECONDS) as process:
        _wait(process, stopping)
        code = process.exitcode
    files = [*dict.fromkeys(test.split("::")[0] for test in tests)]
    if code == pytest.ExitCode.USAGE_ERROR and files != tests:  # other parameters with the mutant
        return _result(mutant, tree, files, stopping)
    return _meaning(code)


def _wait(process: ForkServerProcess, stopping: Event) -> None:
    """Wait until a process ends, or has to."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not stopping.is_set() and time.monotonic() < deadline:
        if wait([process.sentinel], _POLL_SECONDS):
            process.join()
            return


def _meaning(code: int | None) -> Result:
    """Return what the end of tests says, given None for those that had to be stopped."""
    if code is None or code == Exit.OUT_OF_TIME:
        return Result.TIMED_OUT
    return Result.LIVED if code == pytest.ExitCode.OK else Result.KILLED
