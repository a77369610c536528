"""The manifests and markers of a source, as far as a query needs them.

A log may have a hundred thousand documents. What matters of them is kept in the cache, a thousand
to a file, each with the tag of the object that it was read from: a log that was emptied and begun
again has other tags.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from deployer.errors import OperationError
from deployer.operations.batchlog import PAGE, BatchLog
from deployer.query.cache import FETCHERS, Cache
from deployer.query.tables import Document
from etl.product import LOG_FORM

_VERSION = 1  # of what is kept

_OF_ENTRY = ("files", "tombstones", "filled", "snapshot")
_OF_MARKER = ("batch", "written_at", "tried_at", "has", "refused")


def manifests(log: BatchLog, last: int, cache: Cache) -> dict[int, Document]:
    """Return, by batch up to `last`, the entries of the tables that a manifest changes."""
    return _documents(log, last, cache, _of_manifest)


def markers(log: BatchLog, cache: Cache) -> dict[int, Document]:
    """Return the markers of a source by number, without the identity of the warehouse."""
    return _documents(log, log.newest(), cache, _of_marker)


def _of_manifest(document: Document) -> Document:
    if (form := document.get("form", 1)) > LOG_FORM:
        raise OperationError(
            f"batch {document['batch']} was written in form {form}, and this version reads form "
            f"{LOG_FORM}: use the version that deployed the pipeline."
        )
    entries = {
        table: {name: entry[name] for name in _OF_ENTRY if entry.get(name)}
        for table, entry in document["tables"].items()
    }
    return {table: entry for table, entry in entries.items() if entry}


def _of_marker(document: Document) -> Document:
    return {name: document[name] for name in _OF_MARKER if document.get(name)}


def _documents(
    log: BatchLog, last: int, cache: Cache, reduced: Callable[[Document], Document]
) -> dict[int, Document]:
    with ThreadPoolExecutor(FETCHERS) as threads:
        pages = list(threads.map(lambda after: _Page(log, after, cache), range(0, last, PAGE)))
        missing = [(page, number) for page in pages for number in page.missing]

        def read(each: tuple["_Page", int]) -> None:
            page, number = each
            page.add(number, reduced(log.read(number)))

        for _ in threads.map(read, missing):
            pass
    return dict(_kept(pages, last))


def _kept(pages: Iterable["_Page"], last: int) -> Iterable[tuple[int, Document]]:
    for page in pages:
        page.keep()
        yield from ((number, each) for number, each in page.documents() if number <= last)


class _Page:
    """Up to a thousand documents of a log, after a number."""

    def __init__(self, log: BatchLog, after: int, cache: Cache) -> None:
        self._tags = log.tags(after)
        name = f"{log.place} {after} {_VERSION} {LOG_FORM}"
        self._name = f"{hashlib.sha256(name.encode()).hexdigest()}.json"
        self._cache = cache
        self._found: dict[str, tuple[str, Document]] = {}
        if path := cache.find(self._name):
            with suppress(ValueError):  # a machine that stopped leaves part of a file
                self._found = json.loads(path.read_bytes())
        self.missing = [
            number
            for number, tag in self._tags.items()
            if self._found.get(str(number), ("", {}))[0] != tag
        ]

    def add(self, number: int, document: Document) -> None:
        self._found[str(number)] = (self._tags[number], document)

    def keep(self) -> None:
        if self.missing:
            self._cache.keep(self._name, json.dumps(self._found).encode())

    def documents(self) -> Iterable[tuple[int, Document]]:
        return ((number, self._found[str(number)][1]) for number in self._tags)
