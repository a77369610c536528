"""The HTTP endpoints of a pipeline that is deployed here, called as their users would.

The sample's events are posted as their provider does, and the reports are requested.
"""

import base64
import json
import secrets
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from rich.table import Table

from deployer.aws.account import Account
from deployer.configuration.apis import TOKEN
from deployer.configuration.settings import Settings
from deployer.endpoints import event_urls, report_urls
from deployer.operations.webhooks import post
from deployer.resources.names import Names
from deployer.terminal import table
from etl import Events, Report
from local.sample import Post, posts_of

TIMEOUT_SECONDS = 60.0
CONNECTIONS = 4
SECRET_BYTES = 24


@dataclass(frozen=True)
class Answers:
    """How many posts to a source got a status, and the status that was expected."""

    source: str
    status: int
    expected: int
    posts: int


def secret_settings(sources: Iterable[Events]) -> dict[str, str]:
    """Return settings with random secrets, in a form that every scheme can sign with."""

    def secret() -> str:
        return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"

    return {source.setting: secret() for source in sources}


def post_sample(account: Account, names: Names, settings: Settings, token: str) -> list[Answers]:
    """Post the sample's events to each source, a few at a time; return how they were answered.

    `token` is that of the local AWS.
    """
    endpoints = event_urls(account, names, settings.posted)
    agent = f"sample app/{token}"
    answered: Counter[tuple[str, int, int]] = Counter()

    def send(source: str, each: Post) -> tuple[str, int, int]:
        headers, body, expected = each
        return source, post(endpoints[source], headers, body, agent).status, expected

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        for source, signed_with in settings.webhooks.items():
            posts = posts_of(settings.pipeline, source, signed_with)
            answered.update(threads.map(lambda each, to=source: send(to, each), posts))
    return [Answers(*key, posts) for key, posts in sorted(answered.items())]


def show_answers(answers: Iterable[Answers]) -> Table:
    """Return the answers as a table for a terminal."""
    shown = table("source", "answer", "", "expected", "posts", numbers=frozenset({"posts"}))
    for each in answers:
        answer, expected = str(each.status), str(each.expected)
        shown.add_row(each.source, answer, _phrase(each.status), expected, f"{each.posts:,}")
    return shown


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


@dataclass(frozen=True)
class Asked:
    """The answer to a report: its status, the batch that it is as of, and its number of rows."""

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
    """Return the `User-Agent` with the token of the local AWS."""
    return f"curl app/{token}"


def ask_reports(account: Account, names: Names, settings: Settings, token: str) -> list[Asked]:
    """Request each report that needs no parameter; `token` is that of the local AWS."""
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
