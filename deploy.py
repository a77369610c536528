"""The command line: deploy the pipeline, plan, run it now, or run all of it on this machine.

Each command is a few lines here; the work is done in the packages `deployer` and `local`.
Exit status: 0 done, 1 failed, 2 wrong usage or settings, 3 (plan) changes are pending.
"""

import argparse
import errno
import gc
import json
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path

from rich.text import Text

from deployer.arguments import chosen_source, parser
from deployer.aws import account, sns
from deployer.aws.account import Account
from deployer.configuration.declaration import (
    address_setting,
    create_statements,
    present_sources,
    read_pipeline,
)
from deployer.configuration.dotenv_file import load_dotenv
from deployer.configuration.organisation import read_organisation
from deployer.configuration.settings import Settings, read_names, read_schema
from deployer.deployer import Deployer
from deployer.endpoints import event_urls, report_urls
from deployer.errors import DeployError
from deployer.operations import github as github_role
from deployer.operations import output, webhooks
from deployer.operations.doctor import examine
from deployer.operations.findings import Finding, unknown
from deployer.operations.page import find_page
from deployer.operations.pipeline import Pipeline
from deployer.operations.roles import roles_of
from deployer.operations.selfcheck import require_working
from deployer.operations.status import read_status
from deployer.operations.status_view import status_view
from deployer.operations.verified_view import verified_view
from deployer.operations.verify import Ledger, verify_ledger
from deployer.packaging import packages
from deployer.resources.costs import monthly_cost
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.names import Names
from deployer.rollback import Rollback
from deployer.terminal import Terminal

INTERRUPTED = 130
PIPELINES = Path(__file__).parent / "pipelines"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    terminal = Terminal(json_only="--json" in given)
    command: Callable[[argparse.Namespace, Terminal], int] = deploy
    try:
        options = parser(str(__doc__).splitlines()[0], deploy, COMMANDS).parse_args(given)
        command = options.command
        load_dotenv(Path(".env"), os.environ, terminal.warn)
        return command(options, terminal)
    except DeployError as error:
        terminal.error(str(error))
        return error.exit_status
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # Else what is still to be written of the answer would fail again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:  # else who reads it has enough, as `head` has
            terminal.error(f"{error.filename or 'the answer'}: no space is left on the device")
        return 1
    except KeyboardInterrupt:
        terminal.error(output.interrupted(goes_on=command in (run, replay, reconcile)))
        return INTERRUPTED


def deploy(options: argparse.Namespace, terminal: Terminal) -> int:
    """Deploy everything."""
    settings = Settings.read(os.environ)
    for source in settings.left_out:
        terminal.note(f"source {source.name} is left out: {address_setting(source)} is not set")
    if settings.reports.why_off:
        terminal.note(f"reports are left out: {settings.reports.why_off}")
    aws = _connect(terminal)
    with terminal.step("deploy the pipeline"):
        deployer = Deployer(aws, settings, packages, terminal.event)
        changes = deployer.deploy()
    with terminal.step("check each function in Lambda"):
        deployer.check_functions()
    around, alone = deployer.network.surroundings, deployer.one_run_at_a_time
    costs = monthly_cost(settings, one_at_a_time=alone, network=around)
    drop_bucket = _names(aws).bucket("drop") if settings.takes_files else None
    endpoints = event_urls(aws, _names(aws), settings.posted)
    served = settings.declared.reports if settings.reports.is_on else ()
    report_endpoints = report_urls(aws, _names(aws), served)
    document = {
        **output.changes_document(changes),
        "monthly_cost_usd": costs.total,
        "drop_bucket": drop_bucket,
        "endpoints": {**endpoints, **report_endpoints},
    }
    terminal.result(document, output.counts(changes), costs.text())
    emails = sns.unconfirmed(aws, _names(aws).topic_arn)
    for line in output.what_is_next(drop_bucket, endpoints, report_endpoints, emails):
        terminal.note(line)
    return 0


def plan(options: argparse.Namespace, terminal: Terminal) -> int:
    """Show what `deploy` would change, and change nothing."""
    settings = Settings.read(os.environ)
    aws = _connect(terminal, planning=True)
    with terminal.step("compare the account"):
        changes = Deployer(aws, settings, packages, terminal.working).deploy()
    pending = [change for change in changes if change.action != "left"]
    terminal.result(output.changes_document(changes), output.pending_lines(pending))
    return 3 if pending else 0


def rollback(options: argparse.Namespace, terminal: Terminal) -> int:
    """Put the functions back to what was deployed before; a second time, forward again."""
    aws = _connect(terminal)
    with terminal.step("roll back"):
        done = Rollback(aws, _names(aws), terminal.event).roll_back()
    document = {**asdict(done), **output.changes_document(done.changes)}
    terminal.result(document, output.counts(done.changes))
    terminal.note(done.text())
    with terminal.step("check each function in Lambda"):
        require_working(aws, _names(aws), done.functions)
    return 0


def status(options: argparse.Namespace, terminal: Terminal) -> int:
    """Show what is deployed, and its state."""
    _, declared = read_pipeline(os.environ)
    aws = _connect(terminal)
    sources = [source.name for source in present_sources(declared, os.environ)]
    dropped = [source for source in declared.files if not source.remote]
    posted = [source for source in declared.events if source.name in sources]
    now = datetime.now(UTC)
    found = read_status(
        aws, _names(aws), sources, now, dropped=dropped, posted=posted, reports=declared.reports
    )
    terminal.result(asdict(found), *status_view(found))
    return 0 if found.is_deployed else 1


def page(options: argparse.Namespace, terminal: Terminal) -> int:
    """Open the pipeline's page in a browser; with --json, print its URL."""
    aws = _connect(terminal)
    found = find_page(aws, _names(aws))
    lasts = "" if found.seconds is None else f" (for {found.seconds // 3600} hour)"
    made = f"The page of {found.made_at:%Y-%m-%d %H:%M:%S} UTC{lasts}:"
    terminal.result(asdict(found), made, Text(found.url, overflow="fold"))
    if not terminal.json_only and not webbrowser.open(found.url):
        terminal.note("There is no browser on this machine: open that URL in one")
    return 0


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Load the latest changes of the sources into the warehouse now."""
    done = _pipeline(terminal).run(now=options.now)
    for why in done.stopped.values():
        terminal.warn(f"left out: {why}")
    terminal.result(asdict(done), *output.ran(done))
    return 1 if done.stopped or any(each.reason for each in done.refused.values()) else 0


def send(options: argparse.Namespace, terminal: Terminal) -> int:
    """Sign the event in a file, post it to the endpoint, and show the answer."""
    settings = Settings.read(os.environ)
    aws, given = _connect(terminal), {"to": options.source, "more": options.header}
    sent = webhooks.send(aws, _names(aws), settings, options.file, time.time(), **given)
    terminal.result(asdict(sent), sent.text())
    return 0 if sent.status == HTTPStatus.OK else 1


def replay(options: argparse.Namespace, terminal: Terminal) -> int:
    """Process a batch again, for example after a fix in the pipeline."""
    pipeline = _pipeline(terminal)
    done = pipeline.replay(chosen_source(options.source, pipeline.sources), options.batch)
    terminal.result(asdict(done), *output.ran(done))
    return 0


def reconcile(options: argparse.Namespace, terminal: Terminal) -> int:
    """Compare sources and warehouse row by row, as of the newest loaded batch."""
    _, declared = read_pipeline(os.environ)
    found = _pipeline(terminal).reconcile(repair=options.repair)
    shown = output.compared(found["tables"])
    terminal.result(found, shown, *output.remarks(found, declared))
    return 0 if found["agrees"] else 1


def verify(options: argparse.Namespace, terminal: Terminal) -> int:
    """Verify that nothing in the logs, and no object that they name, is missing or changed."""
    aws = _connect(terminal)
    ledger = Ledger.of(aws, _names(aws), read_organisation(os.environ).proof_key)
    with terminal.step("verify the ledger"):
        found = verify_ledger(ledger, options.first, datetime.now(UTC), terminal.doing)
    terminal.result(found.document(), *verified_view(found))
    return 1 if found.faults else 0


def query(options: argparse.Namespace, terminal: Terminal) -> int:
    """Ask the lake in SQL, as the warehouse is or was after a batch or at a time."""
    from deployer.query.command import run_query  # noqa: PLC0415  nothing else needs Arrow

    aws = _connect(terminal)
    run_query(options, os.environ, aws, _names(aws), terminal)
    return 0


def why(options: argparse.Namespace, terminal: Terminal) -> int:
    """Show where a row of a target table comes from: all of its versions, and what made them."""
    from deployer.why.command import run_why  # noqa: PLC0415  nothing else needs Arrow

    aws = _connect(terminal)
    run_why(options, os.environ, aws, _names(aws), terminal)
    return 0


def doctor(options: argparse.Namespace, terminal: Terminal) -> int:
    """Check account, rights, databases and functions, and say what is to be done."""
    aws = partial(account.connect, os.environ)
    with terminal.step("examine everything"):
        found = list(examine(os.environ, aws, _from_here, datetime.now(UTC)))
    terminal.result(output.findings_document(found), *output.findings_lines(found))
    return 1 if any(each.state == "to do" for each in found) else 0


def ddl(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the SQL that creates the tables of the pipeline's targets."""
    pipeline, declared = read_pipeline(os.environ)
    tables = create_statements(pipeline, read_schema(os.environ, declared))
    statements = (each for of_target in tables.values() for each in of_target.values())
    terminal.result(tables, *(Text(f"{each.rstrip(';')};\n") for each in statements))
    return 0


def policy(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the IAM policy needed to deploy, operate and remove the pipeline."""
    rules = read_organisation(os.environ)
    needed = dict(deployer_policy(_names(_connect(terminal)), rules))
    terminal.result(needed, Text(json.dumps(needed, indent=2), overflow="ignore", no_wrap=True))
    return 0


def roles(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the role that each function needs, and what existing roles lack."""
    settings, aws = Settings.read(os.environ), _connect(terminal)
    found = {each.function: asdict(each) for each in roles_of(aws, _names(aws), settings)}
    terminal.result(found, Text(json.dumps(found, indent=2), overflow="ignore", no_wrap=True))
    return 1 if any(each["lacks"] for each in found.values()) else 0


def github(options: argparse.Namespace, terminal: Terminal) -> int:
    """Create the role by which a repository's GitHub Actions deploy without access keys."""
    aws = _connect(terminal)
    if options.remove:
        removed = github_role.revoke_access(aws, _names(aws))
        terminal.result({"removed": removed}, "removed" if removed else "there was no such role")
        return 0
    jobs = github_role.Jobs(options.repository, options.environment)
    with terminal.step("create the role of GitHub Actions"):
        rules = read_organisation(os.environ)
        access = github_role.grant_access(aws, _names(aws), jobs, rules)
    document = {**output.changes_document(access.changes), "role_arn": access.role_arn}
    terminal.result(document, output.counts(access.changes))
    terminal.note(f"Variable AWS_ROLE_ARN of environment {jobs.environment}: {access.role_arn}")
    return 0


def new(options: argparse.Namespace, terminal: Terminal) -> int:
    """Generate a pipeline for a live database: its tables, keys, types and references."""
    from local.addresses import read_address  # noqa: PLC0415  a deployment needs no database
    from local.new_pipeline.command import shown, write_pipeline  # noqa: PLC0415
    from local.preflight import read_url  # noqa: PLC0415

    url = read_address(
        "--source-url", options.source_url, "SOURCE_DATABASE_URL", os.environ, terminal
    )
    source = read_url("--source-url", url or "")
    written = write_pipeline(options.name, source, PIPELINES)
    terminal.result(asdict(written), *shown(written, options.source_url))
    return 0


def local(options: argparse.Namespace, terminal: Terminal) -> int:
    """Run everything on this machine: AWS, the databases and the pipeline."""
    from local.command import run_local  # noqa: PLC0415  a deployment needs no PostgreSQL
    from local.options import chosen  # noqa: PLC0415

    wanted = chosen(options, os.environ, terminal)
    return run_local(wanted, os.environ, terminal, once=options.once)


def _pipeline(terminal: Terminal) -> Pipeline:
    _, declared = read_pipeline(os.environ)
    aws = _connect(terminal)
    sources = [each.name for each in present_sources(declared, os.environ)]
    events = [each.name for each in declared.events if each.name in sources]
    return Pipeline(aws, _names(aws), sources, terminal.step, events=events, doing=terminal.doing)


def _from_here(settings: Settings) -> Iterator[Finding]:
    try:
        from local.from_here import look_from_here  # noqa: PLC0415  a deployment needs no driver
    except ImportError as error:
        why = f"not looked at: {error.name} is not installed here"
        yield unknown("databases", why, "`make setup` installs it, or deploy")
    else:
        yield from look_from_here(settings)


def _connect(terminal: Terminal, *, planning: bool = False) -> Account:
    """Connect to the account, and show which it is before anything is changed."""
    _, stage = read_names(os.environ)
    aws = account.connect(os.environ, planning=planning, report=terminal.event)
    where = f" at {aws.endpoint}" if aws.endpoint else ""
    terminal.note(f"account {aws.id}, region {aws.region}, stage {stage}{where}")
    return aws


def _names(aws: Account) -> Names:
    return Names.read(os.environ, aws.id, aws.region)


COMMANDS = (
    plan, doctor, rollback, status, page, run, send, replay, reconcile, verify, query, why, ddl,
    policy, roles, github, new, local,
)  # fmt: skip


if __name__ == "__main__":
    # A command keeps nearly all that it makes. With Python's 700, a third of the time of making the
    # clients goes into searching AWS's service models for garbage.
    gc.set_threshold(10_000)
    sys.exit(main())
