"""Run tests against a sample of mutants: `python -m tests.mutants`."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from subprocess import TimeoutExpired

from tests.mutants.explained import Identity, explanations
from tests.mutants.modules import MODULES, TESTS
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.report import Result, problems, summary
from tests.mutants.tree import ROOT, Covering, TestsFailed, Tree

LIMIT_SECONDS = 300  # for the tests of one mutant


def main(arguments: Sequence[str]) -> int:
    """Print the mutants that live; return 1 for those that are not explained."""
    options = _options(arguments)
    explained = explanations()
    mutants = _sample(options.modules, options.sample)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants ") as folder:
        trees = [Tree.copied_to(Path(folder, str(number))) for number in range(options.jobs)]
        modules = sorted({mutant.module for mutant in mutants})
        print(f"{len(mutants)} mutants in {len(modules)} modules. The tests without them:")
        try:
            tests = dict.fromkeys(test for module in modules for test in TESTS[module])
            covering = trees[0].covering(list(tests), modules, options.jobs)
        except TestsFailed as error:
            print(error)
            return 1
        results = _results(mutants, trees, covering, explained)
    found = problems(results, explained)
    print(*summary(results), *found, sep="\n")
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    return 1 if found else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="folders or modules; all by default")
    parser.add_argument("--sample", default="300", help="how many mutants, or `all`")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    return parser.parse_args(arguments)


def _sample(chosen: Sequence[str], size: str) -> list[Mutant]:
    """Return the mutants with the smallest digests: the same until their functions change."""
    modules = [name for name in MODULES if not chosen or name.startswith(tuple(chosen))]
    every = [mutant for name in modules for mutant in mutants_of(name, (ROOT / name).read_text())]
    picked = sorted(every, key=lambda mutant: mutant.digest)
    kept = {mutant.digest for mutant in (picked if size == "all" else picked[: int(size)])}
    return [mutant for mutant in every if mutant.digest in kept]


def _results(
    mutants: Sequence[Mutant],
    trees: Sequence[Tree],
    covering: Covering,
    explained: dict[Identity, str],
) -> dict[Mutant, Result]:
    """Run the tests of each mutant, in as many trees as there are at a time."""
    free = SimpleQueue[Tree]()
    for tree in trees:
        free.put(tree)

    def result(mutant: Mutant) -> Result:
        tree = free.get()
        try:
            return _result(mutant, tree, covering)
        finally:
            free.put(tree)

    results = {}
    with ThreadPoolExecutor(len(trees)) as pool:
        for mutant, found in zip(mutants, pool.map(result, mutants), strict=True):
            results[mutant] = found
            if found is not Result.KILLED:
                known = " (explained)" if mutant.identity in explained else ""
                print(f"{found}{known}: {mutant}", flush=True)
    return results


def _result(mutant: Mutant, tree: Tree, covering: Covering) -> Result:
    tests = _tests_of(mutant, covering)
    if not tests:
        return Result.LIVED
    try:
        lived = tree.passes_with(mutant.module, mutant.source, tests, LIMIT_SECONDS)
    except TimeoutExpired:
        return Result.TIMED_OUT
    return Result.LIVED if lived else Result.KILLED


def _tests_of(mutant: Mutant, covering: Covering) -> list[str]:
    """Return the tests that execute a mutant, the cheapest first; none if no test does."""
    files = TESTS[mutant.module]
    places = [(mutant.module, line) for line in mutant.lines]
    found = [covering[place] for place in places if place in covering]
    if found and not any(found):  # executed as the module is imported
        return list(files)
    tests = {(test.split("::")[0], test) for each in found for test in each}
    return [test for file in files for of, test in sorted(tests) if of == file]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
