"""The command `deploy.py why`: what it needs of the settings."""

import argparse
from collections.abc import Mapping

from deployer.aws.account import Account
from deployer.configuration.declaration import present_sources, read_pipeline
from deployer.query.cache import Cache
from deployer.resources.names import Names
from deployer.terminal import Terminal
from deployer.why import view
from deployer.why.asking import asked
from deployer.why.life import life_of
from deployer.why.objects import STAGES, Objects


def run_why(
    options: argparse.Namespace,
    environment: Mapping[str, str],
    account: Account,
    names: Names,
    terminal: Terminal,
) -> None:
    """Show the life of the row that the command line names."""
    _, declared = read_pipeline(environment)
    sources = [each.name for each in present_sources(declared, environment)]
    row = asked(declared, sources, options.table, options.key)
    buckets = {stage: names.bucket(stage) for stage in STAGES}
    with terminal.step("read its life"):
        steps = life_of(row, Objects(account.clients.s3, buckets, Cache()), terminal.doing)
    life = [step.document() for step in steps]
    document = {
        "table": row.target,
        "key": dict(zip(row.columns, row.key.parts, strict=True)),
        "source": row.source.name,
        "made_of": row.table,
        "way": row.mapping.target.way,
        "life": life,
    }
    terminal.result(document, *view.shown(row, life))
