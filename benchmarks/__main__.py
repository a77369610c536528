"""Measure the pipeline beside raw COPY and other tools, and write a report with plots.

Without a subject all are measured, which takes about 40 minutes on an idle machine, and docs/ gets
a new report. Single subjects are added to the report that is there if it comes from this machine,
this commit and these versions, and refused otherwise. A trial, which is anything with --quick,
--rows, --repeat, --only or --no-peers, goes to .build/benchmarks/ and replaces what is there.

  make bench                            everything, into docs/
  make bench BENCH="files mysql"        two subjects, into the same report
  make bench BENCH=--quick              whether everything works, with small sizes
  make bench BENCH="load --rows 50000"  one subject, at one size
  make bench BENCH=report               the page and the plots again, from the results
"""

import argparse
import hashlib
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import (
    changes,
    files,
    growth,
    minute,
    mysql,
    packages,
    postgres,
    query,
    report,
    side_by_side,
)
from benchmarks.measuring import ROOT, BenchmarkError, Plan, Record, run_peer, say
from benchmarks.results import Results, describe_run, plot_files, results_file
from benchmarks.testbed import Testbed, testbed
from deployer.errors import DeployError
from deployer.packaging.installer import install

Subject = Callable[[Testbed], Iterator[Record]]

# In this order the largest sources are made late.
SUBJECTS: dict[str, Subject] = {
    "minute": minute.measure,
    "load": postgres.load,
    "end-to-end": postgres.end_to_end,
    "files": files.measure,
    "mysql": mysql.measure,
    "log": growth.measure_log,
    "side-by-side": side_by_side.measure,
    "extract": postgres.extract,
    "growth": growth.measure,
    "packages": packages.measure,
    "query": query.measure,
    "changes": changes.measure,
}
REPORT = "report"
PUBLISHED, TRIALS = ROOT / "docs", ROOT / ".build" / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the report; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    subjects = options.subject or list(SUBJECTS)
    # Not the parser's `choices`: Python 3.11 compares the empty list with them, too.
    if unknown := set(subjects) - {*SUBJECTS, REPORT}:
        parser.error(f"no such subject: {', '.join(sorted(unknown))}; see --help")
    if REPORT in subjects and len(subjects) > 1:
        parser.error("`report` stands alone: every measurement ends with a report")
    if options.rows and len(subjects) > 1:
        parser.error("--rows means something else for each subject: name one")
    is_trial = subjects != [REPORT] and bool(
        options.quick or options.rows or options.repeat or options.only or options.no_peers
    )
    folder = (options.into or (TRIALS if is_trial else PUBLISHED)).resolve()
    if is_trial and folder == PUBLISHED:
        parser.error(f"a trial is not published: name another folder than {PUBLISHED}")
    try:
        peers = None if options.no_peers else peers_python()
        if subjects != [REPORT]:
            plan = Plan(
                tuple(options.rows), options.repeat, tuple(options.only), peers, options.quick
            )
            _measure(subjects, plan, folder, is_trial=is_trial)
        write_report(folder, peers)
    except (BenchmarkError, DeployError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _measure(subjects: Sequence[str], plan: Plan, folder: Path, *, is_trial: bool) -> None:
    """Measure subjects, writing the results after each, so that nothing is lost on the way."""
    is_new = is_trial or set(subjects) == set(SUBJECTS)
    results = Results() if is_new else Results.read(folder)
    with testbed(plan) as bed:
        run = describe_run(bed.databases.settings(), plan.peers, is_trial=is_trial)
        results.check(run, folder)
        if run["load_average"] > run["cores"] / 2:
            say(f"this machine is busy (load {run['load_average']}): figures will be too high")
        for plot in plot_files(folder) if is_new else []:
            plot.unlink()  # it is of another run
        for subject in subjects:
            results.add(subject, list(SUBJECTS[subject](bed)), run)
            results.write(folder)


def write_report(folder: Path, peers: Path | None) -> None:
    """Write the page of a folder's results, and draw their plots, for which peers are needed."""
    results = Results.read(folder)
    if peers:
        with tempfile.TemporaryDirectory() as scratch:
            path = {"path": str(results_file(folder))}
            drawn = run_peer(peers, "plots.draw", path, Path(scratch))
        say(f"{drawn.rows} plots in {folder}")
    page = results_file(folder).with_suffix(".md")
    page.write_text(report.render(results, plot_files(folder)))
    say(f"report in {page}")


def peers_python(root: Path = ROOT) -> Path:
    """Return the Python of the other tools and the plots; it is made on first use, in `.build/`.

    It has the locked versions of `requirements/bench.txt`, and takes its name only when complete.
    Raises InstallError when pip cannot install the wheels.
    """
    requirements = root / "requirements" / "bench.txt"
    facts = f"{sys.version} {sys.base_prefix} {requirements.read_text()}"
    home = root / ".build" / f"bench-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
    if not home.exists():
        say("setting up the other tools (a minute, once)")
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
            draft = Path(scratch) / home.name
            venv.create(draft, symlinks=True)
            install(requirements, python=draft / "bin" / "python")
            draft.rename(home)
    return home / "bin" / "python"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("subject", nargs="*", help=f"any of {', '.join(SUBJECTS)}; or {REPORT}")
    parser.add_argument("--quick", action="store_true", help="small sizes, once each")
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[],
        help="sizes of one subject (of minute: changed rows; of log: batches)",
    )
    parser.add_argument("--repeat", type=int, help="how often each contender runs")
    parser.add_argument("--only", nargs="+", default=[], help="parts of the contenders' names")
    parser.add_argument("--no-peers", action="store_true", help="ours and raw COPY alone, no plots")
    parser.add_argument("--into", type=Path, help="the folder of results, report and plots")
    return parser


if __name__ == "__main__":
    sys.exit(main())
