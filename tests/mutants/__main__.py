"""Run tests against a sample of mutants: `python -m tests.mutants`."""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.mutants.explained import explanations
from tests.mutants.modules import MODULES
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.report import Result, problems, summary
from tests.mutants.tree import ROOT, Tree
from tests.mutants.trials import TestsFailed, covering, trials


def main(arguments: Sequence[str]) -> int:
    """Print the mutants that live; return 1 for those that are not explained."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # cleans up, as Ctrl-C
    os.environ["PYTHONHASHSEED"] = "0"  # of the tests: the same order of sets in each run
    options = _options(arguments)
    explained = explanations()
    mutants = sample(options.modules, options.sample, options.seed)
    started = time.monotonic()
    results = {}
    with tempfile.TemporaryDirectory(prefix="mutants ") as folder:
        trees = [Tree.copied_to(Path(folder, str(number))) for number in range(options.jobs)]
        modules = sorted({mutant.module for mutant in mutants})
        print(f"{len(mutants)} mutants in {len(modules)} modules. The tests without them:")
        try:
            covered = covering(modules, trees)
        except TestsFailed as error:
            print(error)
            return 1
        for mutant, result in trials(mutants, trees, covered):
            results[mutant] = result
            if result is not Result.KILLED:
                known = " (explained)" if mutant.identity in explained else ""
                print(f"{result}{known}: {mutant}", flush=True)
    found = problems(results, explained)
    print(*summary(results), *found, sep="\n")
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    return 1 if found else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", help="those of the sample in these folders or modules"
    )
    parser.add_argument("--sample", default="300", help="how many mutants, or `all`")
    parser.add_argument("--seed", default="", help="any text: another sample")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    return parser.parse_args(arguments)


def sample(chosen: Sequence[str], size: str, seed: str) -> list[Mutant]:
    """Return the mutants with the smallest digests: the same until their functions change.

    They are picked of all modules, and returned of those that are chosen, or of all.
    """
    picked = sorted(_every(), key=lambda mutant: mutant.digest(seed))
    kept = {mutant.identity for mutant in (picked if size == "all" else picked[: int(size)])}
    return [
        mutant
        for mutant in _every()
        if mutant.identity in kept and (not chosen or mutant.module.startswith(tuple(chosen)))
    ]


@cache
def _every() -> Sequence[Mutant]:
    return [mutant for name in MODULES for mutant in mutants_of(name, (ROOT / name).read_text())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
