"""The command line: `python -m benchmarks [subject ...] [--rows ...] [--quick]`.

Without a subject all are measured. Every call adds to the same file of results and makes the report
and the plots from it.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import (
    end_to_end,
    extract,
    files,
    growth,
    growth_of_log,
    load,
    machine,
    mysql,
    package_sizes,
    report,
    usual_minute,
)
from benchmarks.measuring import BenchmarkError, run_peer, say
from benchmarks.peers_environment import peers_python
from benchmarks.plan import Plan
from benchmarks.results import RESULTS, Record, Results
from benchmarks.workshop import Workshop, workshop
from deployer.errors import DeployError

Subject = Callable[[Workshop, Plan], Iterator[Record]]

# In this order the largest source is made late; what needs no server comes last.
SUBJECTS: dict[str, Subject] = {
    "usual-minute": usual_minute.measure,
    "load": load.measure,
    "end-to-end": end_to_end.measure,
    "files": files.measure,
    "mysql": mysql.measure,
    "growth-of-log": growth_of_log.measure,
    "extract": extract.measure,
    "growth": growth.measure,
    "packages": lambda _, plan: package_sizes.measure(plan),
}
ROWS_HELP = "sizes of one subject (changed rows for usual-minute, batches for growth-of-log)"
REPORT, ALL = "report", "all"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the report; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    subjects = list(SUBJECTS) if ALL in options.subject else options.subject
    if options.rows and len(subjects) > 1:
        parser.error("--rows means something else for each subject: name one")
    try:
        peers = None if options.no_peers else peers_python()
        if subjects != [REPORT]:
            plan = Plan(
                tuple(options.rows), options.repeat, tuple(options.only), peers, options.quick
            )
            _measure([one for one in subjects if one != REPORT], plan, options.results)
        _report(options.results, peers)
    except (BenchmarkError, DeployError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _measure(subjects: Sequence[str], plan: Plan, path: Path) -> None:
    """Measure subjects, writing the results after each, so that nothing is lost on the way."""
    with workshop() as place:
        run = machine.describe(place.databases.settings(), plan.peers)
        for subject in subjects:
            records = list(SUBJECTS[subject](place, plan))
            results = Results.read(path)
            results.merge(subject, records, run)
            results.write(path)


def _report(path: Path, peers: Path | None) -> None:
    results = Results.read(path)
    page = path.with_suffix(".md")
    if peers:
        with tempfile.TemporaryDirectory() as scratch:
            drawn = run_peer(peers, "plots.draw", {"path": str(path)}, Path(scratch))
        say(f"{drawn.rows} plots in {path.parent}")
    page.write_text(report.render(results, sorted(path.parent.glob(f"{path.stem}-*.png"))))
    say(f"report in {page}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subject", nargs="*", choices=[*SUBJECTS, REPORT, ALL], default=ALL)
    parser.add_argument("--rows", type=int, nargs="+", default=[], help=ROWS_HELP)
    parser.add_argument("--repeat", type=int, help="how often each contender runs")
    parser.add_argument(
        "--only", nargs="+", default=[], help="contenders whose names have one of these in them"
    )
    parser.add_argument("--no-peers", action="store_true", help="ours and raw COPY alone")
    parser.add_argument(
        "--quick", action="store_true", help="try whether it works, with small sizes"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="the JSON file; report and plots go beside it"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
