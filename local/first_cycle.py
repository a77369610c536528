"""The first cycle of a sandbox: files are dropped, business goes on, and all of it is loaded."""

from datetime import datetime
from random import Random

from deployer.aws.account import Account
from deployer.operations.pipeline import Pipeline, Run
from deployer.resources.names import Names
from deployer.terminal import Terminal
from local.cycle import delete_something, trade_a_minute
from local.emulator import ACCOUNT
from local.events import Answers, post_sample
from local.files import drop, put_stand_in, stand_in
from local.sandbox import Sandbox


def first_cycle(
    sandbox: Sandbox, pipeline: Pipeline, terminal: Terminal
) -> tuple[list[Run], datetime | None, list[Answers]]:
    """Load the warehouse, and then what a minute of business changes in a database.

    Returns the runs; when the business was committed, None with a source of the user's own; and how
    the events that were posted before were answered.
    """
    answers: list[Answers] = []
    if sandbox.settings.posted:
        with terminal.step("post the sample's events"):
            account, token = pipeline.account, sandbox.aws.token
            answers = post_sample(account, pipeline.names, sandbox.settings, token)
    if sandbox.settings.takes_files:
        with terminal.step("drop the sample's files"):
            deliver(sandbox, pipeline.account, pipeline.names)
    runs = [run_once(pipeline, terminal)]
    if not sandbox.brings_source:
        return runs, None, answers
    if sandbox.settings.warehouse_managed:
        with terminal.step("delete something in the source"):
            delete_something(sandbox.sample, sandbox.postgres.superuser_url(sandbox.pipeline))
    with terminal.step("let business go on"):
        committed = trade_a_minute(sandbox.sample, sandbox.writer, chance())
    return [*runs, run_once(pipeline, terminal)], committed, answers


def bad_drop(sandbox: Sandbox, pipeline: Pipeline, terminal: Terminal) -> Run | None:
    """Drop files with rows that are refused, and load them now; None without any in the sample."""
    sources = sandbox.settings.declared.files
    if not any(sandbox.files(source, bad=True) for source in sources):
        return None
    with terminal.step("drop files with bad rows"):
        deliver(sandbox, pipeline.account, pipeline.names, bad=True)
    return run_once(pipeline, terminal, now=True)


def deliver(sandbox: Sandbox, account: Account, names: Names, *, bad: bool = False) -> None:
    """Put the files of the sample, or its bad ones, where the pipeline looks for them."""
    for source in sandbox.settings.declared.files:
        files = sandbox.files(source, bad=bad)
        if source.remote and files:
            put_stand_in(sandbox.environment, ACCOUNT, stand_in(source), files)
        else:
            drop(account, names.bucket("drop"), files)


def run_once(pipeline: Pipeline, terminal: Terminal, *, now: bool = False) -> Run:
    """Run the pipeline and say what had to be left out."""
    run = pipeline.run(now=now)
    for why in run.stopped.values():
        terminal.warn(f"left out: {why}")
    return run


def chance() -> Random:
    """Return what business is left to."""
    return Random()  # noqa: S311  # nosec B311  for the shop's business, not for secrets
