"""The first cycle of a sandbox: post and drop the sample, change rows, and load all of it."""

from datetime import UTC, datetime
from random import Random

from deployer.aws.account import Account
from deployer.configuration.databases import DatabaseAddress
from deployer.operations.pipeline import Pipeline, Run
from deployer.resources.names import Names
from deployer.terminal import Terminal
from local.connection import connect, session, transaction
from local.emulator import ACCOUNT
from local.endpoints import Answers, post_sample
from local.sample import Sample
from local.sandbox import Sandbox
from local.stand_ins import drop, put_stand_in, stand_in


def first_cycle(
    sandbox: Sandbox, pipeline: Pipeline, terminal: Terminal
) -> tuple[list[Run], datetime | None, list[Answers]]:
    """Load the warehouse, then change rows in the sandbox's own source and load the changes.

    Returns the runs; when the changes were committed, None without a source of the sandbox's own;
    and how the events that were posted before were answered.
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
    if not sandbox.has_own_source:
        return runs, None, answers
    if sandbox.settings.warehouse_managed:
        with terminal.step("delete a row in the source"):
            delete_rows(sandbox.sample, sandbox.postgres.superuser_url(sandbox.pipeline))
    with terminal.step("change rows in the source"):
        committed = change_rows(sandbox.sample, sandbox.writer, randomness())
    return [*runs, run_once(pipeline, terminal)], committed, answers


def bad_drop(sandbox: Sandbox, pipeline: Pipeline, terminal: Terminal) -> Run | None:
    """Drop files with bad rows, and load them now; None if the sample has none."""
    sources = sandbox.settings.declared.files
    if not any(sandbox.files(source, bad=True) for source in sources):
        return None
    with terminal.step("drop files with bad rows"):
        deliver(sandbox, pipeline.account, pipeline.names, bad=True)
    return run_once(pipeline, terminal, now=True)


def deliver(sandbox: Sandbox, account: Account, names: Names, *, bad: bool = False) -> None:
    """Put the sample's files, or its bad ones, where the pipeline reads them."""
    for source in sandbox.settings.declared.files:
        files = sandbox.files(source, bad=bad)
        if source.remote and files:
            put_stand_in(sandbox.environment, ACCOUNT, stand_in(source), files)
        else:
            drop(account, names.bucket("drop"), files)


def run_once(pipeline: Pipeline, terminal: Terminal, *, now: bool = False) -> Run:
    """Run the pipeline, and warn of what was left out."""
    run = pipeline.run(now=now)
    for why in run.stopped.values():
        terminal.warn(f"left out: {why}")
    return run


def change_rows(sample: Sample, writer: DatabaseAddress, rng: Random) -> datetime:
    """Change rows as a minute of business does; return when the last change was committed."""
    with session(writer) as connection:
        sample.trade(connection, rng, datetime.now(UTC).replace(tzinfo=None))
    return datetime.now(UTC)


def delete_rows(sample: Sample, database_url: str) -> None:
    """Delete rows that the sample chooses; the URL is that of the superuser."""
    with connect(database_url) as connection, transaction(connection):
        sample.delete(connection)


def randomness() -> Random:
    """Return a source of random changes."""
    return Random()  # noqa: S311  # nosec B311  for sample data, not for secrets
