"""Read the pages of an answer, one after the other, until there are no more.

A page is checked before its rows are read: if it is not of the declared format, neither it nor the
other pages are used.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from etl import Csv, Cursor, NextLink, PageNumber, Resource
from functions.common.errors import ProviderUnavailableError, UnusableFileError
from functions.common.fields import value_at
from functions.common.httpclient import Answer, Api
from functions.common.jsontext import Decoder, Number, as_bytes

PAGES_AT_MOST = 1_000

_PLAIN = frozenset({"", "text/plain", "application/octet-stream", "binary/octet-stream"})
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<")
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:"[^"]*"|[^\s;,"]+))*)')
_NEXT = re.compile(r';\s*rel\s*=\s*"?(?:[^"]*\s)?next(?:\s[^"]*)?"?\s*(?:;|$)', re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """A page of the answer about a resource; reading its properties may raise UnusableFileError.

    `url` is what was asked, as a manifest may have it.
    """

    resource: Resource
    answer: Answer
    url: str

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of its content, which does not depend on compression."""
        return hashlib.sha256(self.answer.content).hexdigest()

    @property
    def is_empty(self) -> bool:
        """Whether it has no content, by which an API may say that it has no rows."""
        return not self.answer.content.strip()

    @property
    def has_rows(self) -> bool:
        """Whether it has any rows beside a header."""
        if isinstance(self.resource.format, Csv):
            lines = self.answer.content.split(b"\n")
            return sum(bool(line.strip()) for line in lines) > self.resource.format.header
        return bool(self._documents) if self.resource.rows else not self._is_empty_array

    def content(self) -> Iterator[bytes]:
        """Yield the text with the rows, in the resource's format."""
        if not self.resource.rows:
            yield self.answer.content
        else:
            for document in self._documents:
                yield as_bytes(document) + b"\n"

    def check(self) -> None:
        """Raise UnusableFileError for a page that is not of the declared format."""
        wanted = "csv" if isinstance(self.resource.format, Csv) else "json"
        kind = self.answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        # APIs have their own content types, such as "application/vnd.sdmx.data+csv".
        if _MARKUP.match(self.answer.content) or not (wanted in kind or kind in _PLAIN):
            is_markup = "html" in kind or _MARKUP.match(self.answer.content)
            shown = "is HTML or XML" if is_markup else f"has the content type {kind:.100}"
            raise UnusableFileError(f"the answer {shown}, and not {wanted.upper()}")
        if self.resource.rows:
            self._documents  # noqa: B018  raises for a document without it

    def at(self, path: str) -> Any:
        """Return the value at a path of the document; None if there is none."""
        value = value_at(self._document, self.answer.headers, path)
        return value.literal if isinstance(value, Number) else value

    @property
    def _is_empty_array(self) -> bool:
        return re.fullmatch(rb"\s*\[\s*\]\s*", self.answer.content) is not None

    @cached_property
    def _documents(self) -> list[Any]:
        found = value_at(self._document, self.answer.headers, self.resource.rows)
        if not isinstance(found, list):
            raise UnusableFileError(f"its document has no list {self.resource.rows}")
        return found

    @cached_property
    def _document(self) -> Any:
        decoder = Decoder()
        try:
            text = self.answer.content.decode("utf-8-sig").strip()
            document, end = decoder.decoded(text, 0)
        except (UnicodeDecodeError, json.JSONDecodeError):
            raise UnusableFileError("it is not JSON") from None
        except RecursionError:
            raise UnusableFileError("it is not JSON: its values are nested too deeply") from None
        if end < len(text) or decoder.faults:
            raise UnusableFileError("it is not one JSON document, or has a field twice or a NaN")
        return document


@dataclass
class Pages:
    """The answer for a resource: all pages, or why the last of them is unusable."""

    found: list[Page] = field(default_factory=list)
    error: str | None = None


def read_pages(api: Api, resource: Resource, start: str | None, at_most: int) -> Pages:
    """Ask for a resource from a day on, page by page, up to a number of bytes.

    There are no pages if the API has no rows. Raises as `Api.ask` does, and
    ProviderUnavailableError for pages without end.
    """
    pages = Pages()
    accept = f"{'text/csv' if isinstance(resource.format, Csv) else 'application/json'}, */*;q=0.5"
    url: str | None = first_url(api.url, resource, start)
    left = at_most
    try:
        while url is not None:
            page = Page(resource, api.ask(url, accept, left), _shown(url, resource))
            if page.is_empty or (pages.found and _is_end(page)):
                break
            pages.found.append(page)
            page.check()
            left -= len(page.answer.content)
            if len(pages.found) > PAGES_AT_MOST or _repeats(pages.found):
                raise ProviderUnavailableError(
                    f"{api.host} answers with pages without end: look at how its pages are declared"
                )
            url = _after(page, url, len(pages.found))
    except UnusableFileError as unusable:
        pages.error = str(unusable)
    return pages


def first_url(url: str, resource: Resource, start: str | None) -> str:
    """Return the URL of the first page; parameters that the URL already has are kept."""
    parts = urlsplit(url)
    whole = parts._replace(path=parts.path.rstrip("/") + resource.path) if resource.path else parts
    query = dict(resource.query)
    if resource.window and start is not None:
        query[resource.window.parameter] = start
    if isinstance(resource.paging, PageNumber):
        query[resource.paging.parameter] = str(resource.paging.first)
    return _with(urlunsplit(whole._replace(fragment="")), query, is_default=True)


def _with(url: str, query: Mapping[str, str], *, is_default: bool = False) -> str:
    """Return a URL with parameters, which replace those it has, unless they are defaults."""
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in given}
    if is_default:
        more = {name: value for name, value in query.items() if name not in names}
    else:
        given = [(name, value) for name, value in given if name not in query]
        more = dict(query)
    return urlunsplit(parts._replace(query=urlencode([*given, *more.items()], safe=":,*")))


def _shown(url: str, resource: Resource) -> str:
    """Return a URL with the values of declared parameters alone: of others, one may be a key."""
    declared = {
        *resource.query,
        *([resource.window.parameter] if resource.window else []),
        *([resource.paging.parameter] if isinstance(resource.paging, PageNumber) else []),
    }
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    query = urlencode(
        [(name, value if name in declared else "...") for name, value in given], safe=":,*"
    )
    return urlunsplit(parts._replace(query=query, fragment=""))


def _is_end(page: Page) -> bool:
    """Return whether a page comes after the last one, as with numbered pages only."""
    if not isinstance(page.resource.paging, PageNumber):
        return False
    page.check()
    return not page.has_rows


def _repeats(found: list[Page]) -> bool:
    return len(found) > 1 and found[-1].digest == found[-2].digest


def _after(page: Page, url: str, number: int) -> str | None:
    """Return the URL of the page after one, the `number`-th, at a URL; None if it is the last."""
    match page.resource.paging:
        case PageNumber(parameter, first):
            return _with(url, {parameter: str(first + number)})
        case Cursor(parameter, path):
            cursor = page.at(path)
            return _with(url, {parameter: cursor}) if isinstance(cursor, str) and cursor else None
        case NextLink(path):
            link = page.at(path) if not path.startswith("header:") else _linked(page)
            return urljoin(url, link) if isinstance(link, str) and link else None
    return None


def _linked(page: Page) -> str | None:
    """Return the URL of the next page by the Link header (RFC 8288)."""
    for link, parameters in _LINK.findall(page.answer.headers.get("link", "")):
        if _NEXT.search(parameters):
            return str(link)
    return None
