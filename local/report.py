"""What a first cycle showed: as one JSON document, and for a person in 80 columns."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from deployer.aws.account import Account
from deployer.configuration.databases import DatabaseAddress
from deployer.operations.output import objects, ran
from deployer.operations.pipeline import Run
from deployer.terminal import printable
from local.cycle import MEANING, TargetRow, ViewRow, show, show_views
from local.events import Answers
from local.events import show as show_answers
from local.files import first_lines
from local.mail import Mail
from local.models import ModelRows, show_models
from local.questions import Answer, show_questions
from local.reports import Asked, show_reports
from local.sandbox import Sandbox

ERRORS_SHOWN = 10  # lines of an object of errors
WIDTH = 76  # of a line of a mail


@dataclass(frozen=True)
class Seen:
    """What there was in the warehouse after the `runs` of a first cycle, and what was mailed.

    `answers` are those to the events that were posted, to `endpoints` by source, `questions` those
    of the sample that were asked, and `reports` say how those were answered.
    """

    runs: list[Run]
    tables: list[TargetRow]
    views: list[ViewRow]
    models: list[ModelRows]
    mails: list[Mail]
    answers: list[Answers]
    endpoints: Mapping[str, str]
    questions: list[Answer]
    reports: list[Asked]

    def document(self, sandbox: Sandbox) -> dict[str, Any]:
        """Return all of it, and where it happened."""
        databases = sandbox.settings.databases
        source = sandbox.source
        return {
            "endpoint": sandbox.aws.endpoint,
            "environment": str(sandbox.directory / "env"),
            "source": _public(databases[source.name]) if source else None,
            "warehouse": _public(databases[sandbox.target.name]),
            **asdict(self),
        }

    def shown(self) -> Iterator[RenderableType]:
        """Yield it for a person."""
        if self.answers:
            yield from ("", show_answers(self.answers))
        yield from ("", show(self.tables), MEANING, "")
        if self.views:
            yield from (show_views(self.views), "")
        yield from show_models(self.models)
        yield from show_questions(self.questions)
        if self.reports:
            yield from (show_reports(self.reports), "")
        for run in self.runs:
            for source, why in run.waiting.items():
                yield Text(printable(f"{source} waits: {why}"))
            yield from objects("exports", run.exports)
        yield from _letters(self.mails)


@dataclass(frozen=True)
class Refusal:
    """What became of a drop with bad rows: its `run`, the `errors` by URL, and the mails."""

    run: Run
    errors: Mapping[str, list[str]]
    mails: list[Mail]

    @classmethod
    def of(cls, run: Run, account: Account, mails: list[Mail]) -> "Refusal":
        """Read the first lines of the objects with errors."""
        urls = [each.errors for each in run.refused.values() if each.errors]
        return cls(run, {url: list(first_lines(account, url, ERRORS_SHOWN)) for url in urls}, mails)

    def shown(self) -> Iterator[RenderableType]:
        """Yield it for a person."""
        yield Text("After a drop with bad rows:", "bold")
        yield from ran(self.run)
        for url, lines in self.errors.items():
            yield ""
            yield Text(printable(url.rpartition("/")[2]), "bold")
            yield from (Text(printable(line)) for line in lines)
        yield ""
        yield from _letters(self.mails)


def _letters(mails: list[Mail]) -> Iterator[RenderableType]:
    for mail in mails:
        yield Text(printable(f"mail: {mail.subject}"), "bold")
        for line in mail.text.splitlines():
            folded = wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
            yield from (Text(printable(f"  {part}".rstrip())) for part in folded)
        yield ""


def _public(address: DatabaseAddress) -> dict[str, str | int]:
    """Return what anybody may know of an address."""
    return {
        "host": address.host,
        "port": address.port,
        "username": address.username,
        "dbname": address.dbname,
    }
