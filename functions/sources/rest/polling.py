"""Poll an API for each resource, and compare its answers with those read last."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from etl import Resource, Rest
from functions.common.accounts import FileVersion
from functions.common.httpclient import Api
from functions.sources.files.known import Known
from functions.sources.rest.pages import Page, Pages, read_pages


@dataclass(frozen=True)
class Polled:
    """An answer for a resource; it `is_new` if it differs from the one read last."""

    resource: Resource
    pages: Pages
    is_new: bool


def poll(api: Api, source: Rest, known: Known, now: datetime) -> Iterator[Polled]:
    """Ask for each resource, and compare; raises as `read_pages` does."""
    for resource in source.feeds:
        read = [each for key, each in known.files.items() if _is_of(resource, key)]
        last = max((each.modified for each in read), default=now).date()
        start = resource.window.start(last).isoformat() if resource.window else None
        pages = read_pages(api, resource, start, source.max_bytes)
        is_new = any(
            (before := known.files.get(key_of(resource, number))) is None
            or before.etag != page.digest
            for number, page in enumerate(pages.found, start=1)
        )
        yield Polled(resource, pages, is_new)


def version_of(page: Page, number: int, api: Api, batch: int, at: datetime) -> FileVersion:
    """Return the version of a page in a batch, by its place in the answer and its content."""
    return FileVersion(
        bucket=api.host,
        key=key_of(page.resource, number),
        version=f"{batch:010d}",
        etag=page.digest,
        size=len(page.answer.content),
        modified=at,
    )


def key_of(resource: Resource, number: int) -> str:
    """Return the key of a page; the first has number 1."""
    return f"{resource.table.id}/{number}"


def _is_of(resource: Resource, key: str) -> bool:
    return key.rpartition("/")[0] == resource.table.id
