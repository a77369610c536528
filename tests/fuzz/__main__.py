"""Fuzz the parsers for as long as there is time: `python -m tests.fuzz --seconds 60 [TARGET...]`.

So many seconds go to each target. Exit status 1 if a property does not hold: hypothesis shows the
smallest input, and how to try it again.
"""

import argparse

from tests.fuzz.target import EXAMPLES_AT_A_TIME
from tests.fuzz.targets import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (60)")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    options = parser.parse_args()
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))} (known: {', '.join(TARGETS)})")
    for name in options.targets or TARGETS:
        rounds = TARGETS[name].run(options.seconds)
        print(f"{name:<20}{rounds * EXAMPLES_AT_A_TIME:>12,} inputs", flush=True)


if __name__ == "__main__":
    main()
