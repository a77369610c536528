"""The reports of a pipeline that is deployed here, asked for as those who read them would."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from deployer.aws.account import Account
from deployer.configuration.apis import TOKEN
from deployer.configuration.settings import Settings
from deployer.endpoints import report_urls
from deployer.resources.names import Names
from deployer.terminal import table
from etl import Report

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Asked:
    """How a report was answered: as of which batch, and how many rows it has."""

    report: str
    url: str
    status: int
    batch: int | None
    rows: int


def token_settings(reports: Iterable[Report]) -> dict[str, str]:
    """Return settings with a random token, if there are reports."""
    if not list(reports):
        return {}
    return {"REPORTS_AUTH": TOKEN, "REPORTS_TOKEN": secrets.token_urlsafe(32)}


def agent_of(token: str) -> str:
    """Return the `User-Agent` that lets the holder of a token in to the local AWS."""
    return f"curl app/{token}"


def curl_options(settings: Settings, token: str) -> str:
    """Return a file of curl's options: what lets its owner in, which no command line shows."""
    [bearer, *_] = settings.reports.tokens
    return (
        f'user-agent = "{agent_of(token)}"\n'
        f'header = "Authorization: Bearer {bearer}"\n'
        "silent\nshow-error\n"
    )


def ask_reports(account: Account, names: Names, settings: Settings, token: str) -> list[Asked]:
    """Ask for each report that needs no parameter; `token` is that of the local AWS."""
    if not settings.reports.is_on:
        return []
    urls = report_urls(account, names, settings.declared.reports)
    plain = [
        report.path.removeprefix("/")
        for report in settings.declared.reports
        if all(each.default is not None for each in report.parameters.values())
    ]
    return [_ask(path, urls[path], settings.reports.tokens[0], token) for path in plain]


def show_reports(asked: Iterable[Asked]) -> Table:
    """Return the answers as a table for a terminal."""
    shown = table("report", "answer", "batch", "rows", numbers=frozenset({"batch", "rows"}))
    for each in asked:
        batch = "" if each.batch is None else f"{each.batch:,}"
        shown.add_row(each.report, str(each.status), batch, f"{each.rows:,}")
    return shown


def _ask(path: str, url: str, bearer: str, token: str) -> Asked:
    headers = {"Authorization": f"Bearer {bearer}", "User-Agent": agent_of(token)}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # nosec B310
            status, document = answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            status, document = error.code, {}
    rows: list[Any] = document.get("rows", [])
    return Asked(path, url, status, document.get("as_of", {}).get("batch"), len(rows))
