"""The events of a pipeline's sample, posted to its endpoint as their provider would."""

import base64
import secrets
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

from rich.table import Table

from deployer.aws.account import Account
from deployer.configuration.settings import Settings
from deployer.endpoints import event_urls
from deployer.operations.webhooks import post
from deployer.resources.names import Names
from deployer.terminal import table
from etl import Events
from local.sample import Post, posts_of

CONNECTIONS = 4
SECRET_BYTES = 24


@dataclass(frozen=True)
class Answers:
    """How many posts to a source were answered with a status, and with which they should be."""

    source: str
    status: int
    expected: int
    posts: int


def secret_settings(sources: Iterable[Events]) -> dict[str, str]:
    """Return settings with random secrets, of a form that every scheme can sign with."""

    def secret() -> str:
        return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"

    return {source.setting: secret() for source in sources}


def post_sample(account: Account, names: Names, settings: Settings, token: str) -> list[Answers]:
    """Post what the sample has for each source, some at a time; return how it was answered.

    `token` lets its holder in to the local AWS.
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


def show(answers: Iterable[Answers]) -> Table:
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
