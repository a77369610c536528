"""`deploy.py local`: the whole pipeline on this machine, step by step."""

import shlex
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from deployer.aws import account
from deployer.aws.account import Account
from deployer.deployer import Deployer
from deployer.endpoints import event_urls
from deployer.operations.page import save_page
from deployer.operations.pipeline import Pipeline, Run
from deployer.packaging import packages
from deployer.resources.names import Names
from deployer.terminal import Terminal
from functions.common.logs import MarkerLog
from functions.common.storage import Bucket
from local.endpoints import Answers, ask_reports
from local.first_cycle import bad_drop, change_rows, first_cycle, randomness
from local.logs import LogTail
from local.report import Refusal, Seen
from local.sandbox import Options, Sandbox
from local.stand_ins import Mailbox
from local.target_tables import target_rows, view_rows
from local.warehouse import ask, model_rows

POLL_SECONDS = 1.0
CHANGE_SECONDS = 20.0
QUIET = ("failures", "daily")  # settings of NOTIFY with no mail about a first cycle
STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_local(
    options: Options, environment: Mapping[str, str], terminal: Terminal, *, once: bool
) -> int:
    """Start the sandbox, deploy into it, show a first cycle; stay up until Ctrl-C unless `once`.

    Returns the exit status: 1 when a source table or a file was left out of the first cycle.
    Nothing stays running. Raises DeployError.
    """
    with _stopped_by_signals(), Sandbox(options, environment, terminal) as sandbox:
        aws = account.connect(sandbox.environment)
        deploy(sandbox, aws, terminal)
        pipeline = _pipeline(sandbox, aws, terminal)
        is_quiet = sandbox.settings.notify in QUIET
        mailbox = Mailbox(aws, pipeline.names.topic_arn, is_open=not is_quiet)
        runs, committed, answers = first_cycle(sandbox, pipeline, terminal)
        seen = look(sandbox, pipeline, runs, committed, mailbox, answers=answers)
        refusal = None
        if once and (run := bad_drop(sandbox, pipeline, terminal)):
            refusal = Refusal.of(run, aws, mailbox.read())
        pipeline.make_page()
        page = save_page(aws, pipeline.names, sandbox.directory / "page.html")
        show(sandbox, seen, refusal, page, terminal)
        for line in (*_unexpected(answers), *put_aside(runs, options.directory, once=once)):
            terminal.warn(line)
        if not once:
            stay(sandbox, seen, LogTail(aws, pipeline.names), terminal)
    terminal.note(f"The page is {page.as_uri()}")
    terminal.note(f"The data is kept in {options.directory}. {_how_to_go_on(once)}")
    return 1 if any(_unexpected(answers)) or any(map(_left_something_out, runs)) else 0


def _pipeline(sandbox: Sandbox, aws: Account, terminal: Terminal) -> Pipeline:
    names = Names.of(sandbox.settings, aws.id, aws.region)
    sources = [source.name for source in sandbox.sources]
    events = [source.name for source in sandbox.settings.posted]
    return Pipeline(aws, names, sources, terminal.step, events=events, doing=terminal.doing)


def deploy(sandbox: Sandbox, aws: Account, terminal: Terminal) -> None:
    """Deploy the pipeline into the sandbox and check it, with the code that deploys it to AWS."""
    with terminal.step("deploy the pipeline"):
        deployer = Deployer(aws, sandbox.settings, packages, terminal.working)
        deployer.deploy()
    with terminal.step("check each function"):
        deployer.check_functions()


def look(
    sandbox: Sandbox,
    pipeline: Pipeline,
    runs: list[Run],
    committed: datetime | None,
    mailbox: Mailbox,
    *,
    answers: list[Answers],
) -> Seen:
    """Read what is in the warehouse after some runs; `committed` is as in `first_cycle`."""
    settings, target = sandbox.settings, sandbox.target
    warehouse, schema = settings.databases[target.name], settings.warehouse_schema
    processed = Bucket(pipeline.account.clients.s3, pipeline.names.bucket("processed"))
    logs = {
        MarkerLog(processed, source.name): committed if source is sandbox.source else None
        for source in sandbox.sources
    }
    return Seen(
        runs,
        target_rows(warehouse, target, schema, logs),
        # A prepared warehouse has no views.
        view_rows(warehouse, target, schema) if settings.warehouse_managed else [],
        list(model_rows(warehouse, target, schema)),
        mailbox.read(),
        answers,
        event_urls(pipeline.account, pipeline.names, settings.posted),
        list(ask(warehouse, target, schema, sandbox.questions)),
        ask_reports(pipeline.account, pipeline.names, settings, sandbox.aws.token),
    )


def show(
    sandbox: Sandbox, seen: Seen, refusal: Refusal | None, page: Path, terminal: Terminal
) -> None:
    """Print the result of a first cycle: as one document, or for a person."""
    after = {"refusal": asdict(refusal)} if refusal else {}
    document = {**seen.document(sandbox), **after, "page": str(page)}
    terminal.result(document, *seen.shown(), *(refusal.shown() if refusal else ()))


def _unexpected(answers: list[Answers]) -> Iterator[str]:
    for each in answers:
        if each.status != each.expected:
            yield f"{each.source} answered {each.status} instead of {each.expected}"


def _left_something_out(run: Run) -> bool:
    return bool(run.stopped) or any(each.reason for each in run.refused.values())


def put_aside(runs: list[Run], directory: Path, *, once: bool) -> Iterator[str]:
    """Yield a line for each table with rows that were not loaded, and how to see why."""
    rows: Counter[str] = Counter()
    for run in runs:
        rows.update(run.quarantined)
    status = f"`. {shlex.quote(str(directory / 'env'))}; python deploy.py status`"
    why = f"start again without --once, then {status}" if once else f"{status} says why"
    for table, number in rows.items():
        yield f"{table}: {number:,} {'row' if number == 1 else 'rows'} put aside, not loaded: {why}"


def stay(sandbox: Sandbox, seen: Seen, logs: LogTail, terminal: Terminal) -> None:
    """Let the schedules run, change rows in a sample, and show the logs, until Ctrl-C."""
    for line in _how_to_look_inside(sandbox, seen):
        terminal.note(line)
    rng, changed = randomness(), time.monotonic()
    try:
        while True:
            if sandbox.has_own_source and time.monotonic() - changed > CHANGE_SECONDS:
                change_rows(sandbox.sample, sandbox.writer, rng)
                changed = time.monotonic()
            for entry in logs.poll():
                (terminal.warn if entry.failed else terminal.log)(entry.text)
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return


def _how_to_look_inside(sandbox: Sandbox, seen: Seen) -> Iterator[str]:
    folder = sandbox.options.directory
    psql, env = shlex.quote(str(folder / "psql")), shlex.quote(str(folder / "env"))
    mysql = shlex.quote(str(folder / "mysql"))
    if sandbox.has_own_source:
        yield f"source     {psql} {sandbox.pipeline}"
    if sandbox.has_own_warehouse:
        yield f"warehouse  {mysql if sandbox.target.kind == 'mysql' else psql} warehouse"
    yield f"AWS        {sandbox.aws.endpoint}"
    if sandbox.settings.takes_files:
        yield f"drop       {shlex.quote(str(folder / 'drop'))} [FOLDER/] FILE..."
    for name, url in seen.endpoints.items():
        yield f"endpoint   {url}"
        yield f"send       . {env}; python deploy.py send FILE --source {name}"
    yield f"page       . {env}; python deploy.py page"
    for each in seen.reports:
        yield f"report     curl -K {shlex.quote(str(folder / 'curl'))} {shlex.quote(each.url)}"
    yield f"commands   . {env}; python deploy.py run"
    yield ""
    yield "The schedules are running; the functions' logs follow. Ctrl-C stops everything."


def _how_to_go_on(once: bool) -> str:
    if once:
        return "To look inside, start again without --once."
    return "The next start continues from there."


def _under_nohup() -> bool:
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM and a closed terminal stop everything in order, as Ctrl-C does.

    Only the first signal counts: a second one must not leave half of it running. Under nohup SIGHUP
    stays ignored; SIGINT counts also where a shell has its background jobs ignore it.
    """
    before = {number: signal.getsignal(number) for number in STOPPING_SIGNALS}
    handled = [number for number in before if not (number == signal.SIGHUP and _under_nohup())]

    def interrupt(*_: object) -> None:
        for number in handled:
            signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    for number in handled:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
