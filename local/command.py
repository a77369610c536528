"""`deploy.py local`: the whole pipeline on this machine, as a story."""

import shlex
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from rich.table import Table

from deployer import account, packages
from deployer.account import Account
from deployer.databases import DatabaseAddress
from deployer.deployer import Deployer
from deployer.names import Names
from deployer.pipeline import Pipeline, Run
from deployer.terminal import Terminal
from functions.common.markers import MarkerLog
from functions.common.storage import Bucket
from local.cycle import (
    MEANING,
    TargetRow,
    ViewRow,
    delete_something,
    show,
    show_views,
    target_rows,
    trade_a_minute,
    view_rows,
)
from local.logs import LogTail
from local.sandbox import Options, Sandbox

POLL_SECONDS = 1.0
TRADE_SECONDS = 20.0
STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_local(
    options: Options, environment: Mapping[str, str], terminal: Terminal, *, once: bool
) -> int:
    """Bring everything up, deploy into it, and show a first cycle; stay until Ctrl-C or `once`.

    Returns the exit status: 1 when a source table was left out of the first cycle. Nothing stays
    running. Raises DeployError.
    """
    with _stopped_by_signals(), Sandbox(options, environment, terminal) as sandbox:
        aws = account.connect(sandbox.environment)
        deploy(sandbox, aws, terminal)
        names = Names(sandbox.settings.project, sandbox.settings.stage, aws.id, aws.region)
        runs, committed = first_cycle(
            sandbox, Pipeline(aws, names, [sandbox.source.name], terminal.step), terminal
        )
        settings = sandbox.settings
        warehouse = settings.databases[sandbox.target.name]
        schema = settings.warehouse_schema
        log = MarkerLog(Bucket(aws.clients.s3, names.bucket("processed")), sandbox.source.name)
        tables = target_rows(warehouse, sandbox.target, schema, log, committed)
        # A prepared warehouse has no views.
        views = view_rows(warehouse, sandbox.target, schema) if settings.warehouse_managed else []
        document = _document(sandbox, runs, tables, views)
        terminal.result(document, "", show(tables), MEANING, "", *_shown(views))
        for line in put_aside(runs, options.directory, once=once):
            terminal.warn(line)
        if not once:
            stay(sandbox, LogTail(aws, names), terminal)
    terminal.note(f"The data is kept in {options.directory}. {_how_to_go_on(once)}")
    return 1 if any(run.stopped for run in runs) else 0


def deploy(sandbox: Sandbox, aws: Account, terminal: Terminal) -> None:
    """Deploy the pipeline into the sandbox, with the code that deploys it to AWS."""
    with terminal.step("deploy the pipeline"):
        Deployer(aws, sandbox.settings, packages, terminal.working).deploy()


def first_cycle(
    sandbox: Sandbox, pipeline: Pipeline, terminal: Terminal
) -> tuple[list[Run], datetime | None]:
    """Load the warehouse, and then what a minute of business changes.

    Returns the runs, and when the business was committed; None with a source of the user's own.
    """
    runs = [run_once(pipeline, terminal)]
    if not sandbox.brings_source:
        return runs, None
    if sandbox.settings.warehouse_managed:
        with terminal.step("delete something in the source"):
            delete_something(sandbox.sample, sandbox.postgres.superuser_url(sandbox.pipeline))
    with terminal.step("let business go on"):
        committed = trade_a_minute(sandbox.sample, sandbox.writer, _chance())
    return [*runs, run_once(pipeline, terminal)], committed


def run_once(pipeline: Pipeline, terminal: Terminal) -> Run:
    """Run the pipeline and say what had to be left out."""
    run = pipeline.run()
    for why in run.stopped.values():
        terminal.warn(f"left out: {why}")
    return run


def put_aside(runs: list[Run], directory: Path, *, once: bool) -> Iterator[str]:
    """Say which tables had rows that were not loaded, and how to see why."""
    rows: Counter[str] = Counter()
    for run in runs:
        rows.update(run.quarantined)
    status = f"`. {shlex.quote(str(directory / 'env'))}; python deploy.py status`"
    why = f"start again without --once, then {status}" if once else f"{status} says why"
    for table, number in rows.items():
        yield f"{table}: {number:,} {'row' if number == 1 else 'rows'} put aside, not loaded: {why}"


def stay(sandbox: Sandbox, logs: LogTail, terminal: Terminal) -> None:
    """Let the schedules run, and business in a sample, showing the logs, until Ctrl-C."""
    for line in _how_to_look_inside(sandbox):
        terminal.note(line)
    rng, traded = _chance(), time.monotonic()
    try:
        while True:
            if sandbox.brings_source and time.monotonic() - traded > TRADE_SECONDS:
                trade_a_minute(sandbox.sample, sandbox.writer, rng)
                traded = time.monotonic()
            for entry in logs.poll():
                (terminal.warn if entry.failed else terminal.log)(entry.text)
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return


def _chance() -> Random:
    # For the shop's business, not for secrets.
    return Random()  # noqa: S311  # nosec B311


def _how_to_look_inside(sandbox: Sandbox) -> Iterator[str]:
    folder = sandbox.options.directory
    psql = shlex.quote(str(folder / "psql"))
    if sandbox.brings_source:
        yield f"source     {psql} {sandbox.pipeline}"
    if sandbox.brings_warehouse:
        yield f"warehouse  {psql} warehouse"
    yield f"AWS        {sandbox.aws.endpoint}"
    yield f"commands   . {shlex.quote(str(folder / 'env'))}; python deploy.py run"
    yield ""
    yield "The schedules are running; the functions' logs follow. Ctrl-C stops everything."


def _how_to_go_on(once: bool) -> str:
    if once:
        return "To look inside, start again without --once."
    return "The next start goes on from there."


def _shown(views: list[ViewRow]) -> list[Table | str]:
    return [show_views(views), ""] if views else []


def _document(
    sandbox: Sandbox, runs: list[Run], tables: list[TargetRow], views: list[ViewRow]
) -> dict[str, Any]:
    return {
        "endpoint": sandbox.aws.endpoint,
        "environment": str(sandbox.directory / "env"),
        "source": _public(sandbox.settings.databases[sandbox.source.name]),
        "warehouse": _public(sandbox.settings.databases[sandbox.target.name]),
        "runs": [asdict(run) for run in runs],
        "tables": [asdict(row) for row in tables],
        "views": [asdict(row) for row in views],
    }


def _public(address: DatabaseAddress) -> dict[str, str | int]:
    """Return what anybody may know of an address."""
    return {
        "host": address.host,
        "port": address.port,
        "username": address.username,
        "dbname": address.dbname,
    }


def _under_nohup() -> bool:
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let a polite kill and a closed terminal end things in order, as Ctrl-C does.

    Only the first one counts: an impatient second must not leave half of it running. Under nohup
    the end of the terminal stays ignored; SIGINT is heeded also where a shell has its background
    jobs ignore it.
    """
    before = {number: signal.getsignal(number) for number in STOPPING_SIGNALS}
    heeded = [number for number in before if not (number == signal.SIGHUP and _under_nohup())]

    def interrupt(*_: object) -> None:
        for number in heeded:
            signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    for number in heeded:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
