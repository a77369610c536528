"""The command `deploy.py query`: its options, and what it needs of the settings."""

import argparse
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

from rich.text import Text

from deployer.aws.account import Account
from deployer.configuration.declaration import present_sources, read_pipeline
from deployer.configuration.settings import read_schema
from deployer.errors import SettingsError
from deployer.query.answers import Format
from deployer.query.cache import Cache
from deployer.query.catalog import Catalog
from deployer.query.lake import Lake
from deployer.query.moments import parse_as_of
from deployer.query.query import Question, ask
from deployer.resources.names import Names
from deployer.terminal import PLAIN_WIDTH, Terminal
from etl.loading import folder


def run_query(
    options: argparse.Namespace,
    environment: Mapping[str, str],
    account: Account,
    names: Names,
    terminal: Terminal,
) -> None:
    """Answer the question of the command line, or show the tables if it has none."""
    name, declared = read_pipeline(environment)
    catalog = Catalog.of(declared, folder(name), read_schema(environment, declared))
    if options.tables or not options.sql:
        terminal.result(_document(catalog), *_lines(catalog))
        return
    question = _question(options, terminal)
    sources = [each.name for each in present_sources(declared, environment)]
    lake = Lake(account.clients.s3, names.bucket("processed"), declared, sources, Cache())
    ask(lake, catalog, question, terminal)


def _question(options: argparse.Namespace, terminal: Terminal) -> Question:
    given: Format = options.format or ("json" if terminal.json_only else "table")
    if terminal.json_only and given in ("table", "csv") and options.output is None:
        raise SettingsError([f"--json prints JSON, and --format {given} something else: take one"])
    terminal.json_only = terminal.json_only or (given == "json" and options.output is None)
    as_of = None if options.as_of is None else parse_as_of(options.as_of)
    return Question(options.sql, as_of, options.source, given, options.output)


def _document(catalog: Catalog) -> dict[str, Any]:
    return {
        "tables": {
            name: {"way": way, "columns": dict(columns)} for name, way, columns in catalog.listed()
        }
    }


def _lines(catalog: Catalog) -> Iterator[Text]:
    for name, way, columns in catalog.listed():
        yield Text.assemble((name, "bold"), f" ({way})")
        shown = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        for line in wrap(shown, PLAIN_WIDTH - 4):
            yield Text(f"    {line}")
