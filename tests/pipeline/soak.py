"""Play rounds for as long as wanted: `make soak`, or `python -m tests.pipeline.soak --minutes 30`.

Each round is a random shop, the functions side by side, kills and faults, and databases that are
restored, forked, crashed and moved; then silence and the comparison with the source. Every second
round finds changes in the source's log, every third reads tables in portions of 300 rows, every
third in portions of 1,000. A round that goes wrong is named by its seed, which `--seed` plays.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from etl.sources import CAPTURES
from local.emulator import Emulator
from tests.pipeline.arena import TOTESYS, Servers
from tests.pipeline.ground import own_server
from tests.pipeline.rounds import Figures, Size, play

ROUND_SECONDS = 75.0
PAUSE = 0.02  # a writer's, on average, between two transactions
PLAIN_LINE_SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, print the report, and return 0 only if nothing was wrong."""
    options = _options(arguments)
    total, log = Figures(), _Log(sys.stdout.isatty())
    with tempfile.TemporaryDirectory(prefix="soak ") as folder:
        directory = Path(folder)
        directory.chmod(0o711)  # as root, PostgreSQL runs as nobody, who has to get in
        try:
            _play_rounds(options, directory, total, log)
        except KeyboardInterrupt:
            log.line("stopped; the round that was on is not counted")
    print(report(total))
    for what in total.wrong[:50]:
        print(what)
    return 1 if total.wrong or not total.seeds else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, help="of the first round; the next ones follow it")
    parser.add_argument("--writers", type=int, default=12)
    return parser.parse_args(arguments)


def _play_rounds(options: argparse.Namespace, directory: Path, total: Figures, log: "_Log") -> None:
    end = time.monotonic() + 60 * options.minutes
    seed = random.randrange(10**6) if options.seed is None else options.seed
    judge_lake = import_module("tests.lake.compared").judge  # with packages that are large
    with Emulator(directory / "aws") as aws:
        while (left := end - time.monotonic()) > 0:
            size = Size(
                min(left, ROUND_SECONDS), options.writers, PAUSE, workers=4, disruptions=None
            )
            log.line(f"seed {seed}")
            # A round may leave a server in another epoch, so each seed has servers to itself.
            with own_server() as source, own_server() as warehouse:
                figures = play(
                    Servers(source, warehouse),
                    aws,
                    seed,
                    size,
                    log=directory / "functions.log",
                    tick=log.tick(total),
                    pipeline={**TOTESYS, "SOURCE_CAPTURE": CAPTURES[seed % len(CAPTURES)]},
                    judge_lake=judge_lake,
                )
            total.add(figures)
            (directory / "functions.log").unlink(missing_ok=True)
            if total.wrong:
                return
            seed += 1


def report(total: Figures) -> str:
    """Return the figures as a table that fits into a page."""
    rows: list[tuple[str, str]] = [
        ("minutes", f"{total.seconds / 60:,.1f}"),
        ("seeds", _ranges(total.seeds)),
        ("source transactions committed", f"{total.transactions:,}"),
        ("batches", f"{total.batches:,}"),
        ("invocations, up to 4 at once", f"{total.invocations:,}"),
        *_by_kind(total, "ended with"),
        ("killed", f"{total.kills:,}"),
        *_by_kind(total, "killed"),
        ("faults of S3, Glue and database links", f"{total.faults:,}"),
        *_by_kind(total, "S3", "Glue", "database"),
        ("disruptions of databases and buckets", f"{sum(total.disruptions.values()):,}"),
        *_rows_of(total.disruptions),
        ("rows and records compared", f"{total.compared:,}"),
        ("commits to Iceberg tables compared", f"{total.commits:,}"),
        ("rows lost", f"{total.lost:,}"),
        ("rows twice", f"{total.twice:,}"),
        ("rows different", f"{total.different:,}"),
        ("stuck", f"{total.stuck:,}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(
        [f"| {'':{width}} | {'':>16} |", f"|{'-' * (width + 2)}|{'-' * 17}:|"]
        + [f"| {name:{width}} | {value:>16} |" for name, value in rows]
    )


def _by_kind(total: Figures, *kinds: str) -> list[tuple[str, str]]:
    events = total.events.items()
    return _rows_of({what: times for what, times in events if what.startswith(kinds)})


def _rows_of(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(f"  {what}", f"{times:,}") for what, times in sorted(counts.items())]


def _ranges(seeds: list[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if seeds else "none"


class _Log:
    """Progress: one line that is written over in a terminal, a line a minute elsewhere."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._next = time.monotonic() + PLAIN_LINE_SECONDS

    def line(self, text: str) -> None:
        """Print a line that stays."""
        print(("\r\x1b[K" if self._terminal else "") + text, flush=True)

    def tick(self, before: Figures) -> Callable[[Figures], bool]:
        """Return a function that shows the figures of a round on top of those before it."""

        def show(now: Figures) -> bool:
            figures = (
                f"{(before.seconds + now.seconds) / 60:.1f} min"
                f"  {before.transactions + now.transactions:,} transactions"
                f"  {before.batches + now.batches:,} batches"
                f"  {before.kills + now.kills:,} kills  {before.faults + now.faults:,} faults"
            )
            if self._terminal:
                columns = shutil.get_terminal_size().columns
                print("\r\x1b[K" + figures[: columns - 1], end="", flush=True)
            elif time.monotonic() >= self._next:
                self._next += PLAIN_LINE_SECONDS
                print(figures, flush=True)
            return bool(now.wrong)

        return show


if __name__ == "__main__":
    sys.exit(main())
