"""The result of a first cycle: as one JSON document, and as text of 80 columns."""

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
from local.endpoints import Answers, Asked, show_answers, show_reports
from local.sandbox import Sandbox
from local.stand_ins import Mail, first_lines
from local.target_tables import MEANING, TargetRow, ViewRow, show_tables, show_views
from local.warehouse import Answer, ModelRows, show_models, show_questions

ERRORS_SHOWN = 10  # lines of an object of errors
WIDTH = 76  # of a line of a mail


@dataclass(frozen=True)
class Seen:
    """The contents of the warehouse after the `runs` of a first cycle, and the mails.

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
        """Return all of it as a document, with the addresses."""
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
        """Yield what a terminal shows."""
        if self.answers:
            yield from ("", show_answers(self.answers))
        yield from ("", show_tables(self.tables), MEANING, "")
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
    """The result of a drop with bad rows: its `run`, the `errors` by URL, and the mails."""

    run: Run
    errors: Mapping[str, list[str]]
    mails: list[Mail]

    @classmethod
    def of(cls, run: Run, account: Account, mails: list[Mail]) -> "Refusal":
        """Read the first lines of the objects with errors."""
        urls = [each.errors for each in run.refused.values() if each.errors]
        return cls(run, {url: list(first_lines(account, url, ERRORS_SHOWN)) for url in urls}, mails)

    def shown(self) -> Iterator[RenderableType]:
        """Yield what a terminal shows."""
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
    """Return an address without its password."""
    return {
        "host": address.host,
        "port": address.port,
        "username": address.username,
        "dbname": address.dbname,
    }
