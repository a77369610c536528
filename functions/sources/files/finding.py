"""Find the new files of a bucket: it is compared with the known ones while it is listed."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nsmallest

from etl import Feed, Files
from functions.common.accounts import FileVersion
from functions.sources.files.listing import Place

FILES_AT_MOST = 1_000  # of a batch
BYTES_AT_MOST = 512 << 20  # of a batch, as they are listed; one larger file is a batch


@dataclass
class Found:
    """The files of each feed, by the id of its table.

    `new` are those to read, in order of arrival, `skipped` new ones that a newer one replaces.
    `newest` is the newest file, known or not. There are `more` if not all new ones fit into a
    batch. `known` are the keys of known files that are still there, `last_at` is when the last new
    file arrived.
    """

    new: dict[str, list[FileVersion]] = field(default_factory=dict)
    newest: dict[str, FileVersion] = field(default_factory=dict)
    skipped: list[FileVersion] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    more: bool = False
    last_at: datetime | None = None


def find(
    place: Place,
    source: Files,
    known: Mapping[str, FileVersion],
    *,
    replaced: Collection[str],
    again: Collection[str],
) -> Found:
    """Compare a bucket with what is `known`.

    For a table whose id is in `replaced`, only the newest file counts. For one to read `again`, the
    known version of each file is new, however many there are, and no other one: rows that come for
    the first time are not loaded as those that come again. Raises SettingsError.
    """
    found = Found()
    in_order = nsmallest(
        FILES_AT_MOST + 1 if not again else sys.maxsize,
        _one_after_another(place, source, known, found, replaced=replaced, again=again),
        key=lambda each: (*_order(each[1]), each[2]),
    )
    limit = (
        len(in_order)
        if again
        else _limit([file for _, file, _ in in_order], bounded=not source.together)
    )
    found.more = limit < len(in_order)
    for table, file, _ in in_order[:limit]:
        found.new.setdefault(table, []).append(file)
    return found


def _one_after_another(
    place: Place,
    source: Files,
    known: Mapping[str, FileVersion],
    found: Found,
    *,
    replaced: Collection[str],
    again: Collection[str],
) -> Iterator[tuple[str, FileVersion, int]]:
    """Record the files of a bucket; yield new ones of tables that are not replaced, with places.

    A place is that among the versions of a key, which may have arrived in the same second.
    """
    for versions in place.versions():
        newest = versions[0]
        feed = _feed_of(source, newest.key.removeprefix(place.prefix))
        if feed is None:
            continue
        table, last = feed.table.id, known.get(newest.key)
        if last is not None:
            found.known.add(newest.key)
        found.newest[table] = max(found.newest.get(table, newest), newest, key=_order)
        if table not in again:
            unread = _unread(versions, last)
        elif table in replaced:
            unread = [newest]
        else:
            unread = [each for each in versions if last is not None and is_version(each, last)][:1]
        if unread:
            found.last_at = max(found.last_at or newest.modified, newest.modified)
        if table in replaced and unread:
            _replace(found, table, newest)
        elif unread:
            yield from ((table, file, at) for at, file in enumerate(unread))


def _replace(found: Found, table: str, file: FileVersion) -> None:
    """Record a new file of a table that is replaced by its newest file."""
    older, newest = sorted([*found.new.get(table, [file]), file], key=_order)
    found.new[table] = [newest]
    if older is not newest:
        found.skipped.append(older)


def _unread(versions: Sequence[FileVersion], last: FileVersion | None) -> list[FileVersion]:
    """Return the versions of a key after the `last` known one, oldest first, without repetitions.

    A version with the same content as the one before it counts as read with it.
    """
    since = []
    for version in versions:
        if last is not None and is_version(version, last):
            break
        since.append(version)
    else:  # the bucket no longer has that version, nor any before it
        since = [each for each in since if last is None or each.modified >= last.modified]
    unread, before = [], last
    for version in reversed(since):
        if before is None or not _is_like(version, before):
            unread.append(version)
        before = version
    return unread


def is_version(version: FileVersion, last: FileVersion) -> bool:
    """Return whether a version that was listed is the `last` one of its key that was read."""
    if version.version and last.version:
        return version.version == last.version
    return _is_like(version, last)


def _is_like(version: FileVersion, last: FileVersion) -> bool:
    return (version.etag, version.size) == (last.etag, last.size)


def _order(file: FileVersion) -> tuple[datetime, bytes]:
    return file.modified, file.key.encode()


def _feed_of(source: Files, key: str) -> Feed | None:
    return next((feed for feed in source.feeds if feed.fits(key)), None)


def _limit(files: Sequence[FileVersion], *, bounded: bool) -> int:
    """Return how many files are a batch, at least one; only if `bounded`, by bytes as well."""
    size = 0
    for number, file in enumerate(files[:FILES_AT_MOST]):
        size += file.size
        if bounded and number and size > BYTES_AT_MOST:
            return number
    return min(len(files), FILES_AT_MOST)
