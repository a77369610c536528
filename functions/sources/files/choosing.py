"""Choose the files to read now: all new ones, unless they wait for others, or for a day."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from etl import Feed, Files
from etl.settings import period
from functions.common.accounts import FileVersion
from functions.common.errors import SettingsError
from functions.sources.files.finding import Found


@dataclass(frozen=True)
class Choice:
    """The files of a batch, each with its feed, in order of arrival, or why there are none.

    `skipped` files count as read from this batch on.
    """

    files: list[tuple[Feed, FileVersion]] = field(default_factory=list)
    skipped: list[FileVersion] = field(default_factory=list)
    more: bool = False
    waiting: str | None = None
    postponed: str | None = None


def choose(
    source: Files, found: Found, *, now: datetime, not_before: str | None, lifted: bool
) -> Choice:
    """Choose the files of a batch.

    `not_before` says until when no batch is due, None if one is. If `lifted`, neither this nor the
    time that files which belong together may take to arrive applies.
    """
    if not found.new and not (lifted and source.at_most):
        return Choice()
    if not_before and not lifted:
        return Choice(waiting=not_before)
    if not source.together:
        return _of(source, found, found.new or _newest(found))
    if not lifted and (settling := _settling(source, found, now)):
        return Choice(postponed=settling)
    if missing := _missing(source, found.newest):
        return Choice(waiting=f"waits for {missing}")
    return _of(source, found, _newest(found) | found.new)


def _of(source: Files, found: Found, chosen: Mapping[str, list[FileVersion]]) -> Choice:
    feeds = {feed.table.id: feed for feed in source.feeds}
    files = [(feeds[table], file) for table, files in chosen.items() for file in files]
    files.sort(
        key=lambda each: (each[1].modified, each[1].key.encode())
    )  # versions keep their order
    return Choice(files, found.skipped, found.more)


def _newest(found: Found) -> dict[str, list[FileVersion]]:
    return {table: [file] for table, file in found.newest.items()}


def _missing(source: Files, there: Collection[str]) -> str:
    """Return the patterns of required feeds without files."""
    return ", ".join(
        feed.pattern for feed in source.feeds if not feed.optional and feed.table.id not in there
    )


def _settling(source: Files, found: Found, now: datetime) -> str | None:
    """Return the files that are waited for, unless nothing has arrived for some time."""
    missing = _missing(source, found.new)
    if not missing or found.last_at is None or now - found.last_at >= source.settle:
        return None
    return (
        f"a file came at {found.last_at:%H:%M:%S} and {missing} may follow within "
        f"{source.settle.total_seconds():.0f} seconds"
    )


def not_before(source: Files, last: datetime | None, now: datetime) -> str | None:
    """Return when the next batch is due, if not now; `last` is when the newest was written.

    A period of days ends at midnight (UTC). Raises SettingsError for an invalid setting.
    """
    if source.at_most is None:
        return None
    text = source.at_most.value(os.environ)
    time = period(text)
    if time is None:
        raise SettingsError(
            f"environment variable {source.at_most.name} of this function is no time: run "
            "deploy.py again"
        )
    if last is None:
        return None
    if "day" in text:
        last = last.replace(hour=0, minute=0, second=0, microsecond=0)
    if last + time <= now:
        return None
    return (
        f"is read at most once in {text} ({source.at_most.name}): next at "
        f"{last + time:%Y-%m-%d %H:%M} UTC, or now with --now"
    )
