"""An HTTP client that asks an API for a document until it is complete or the time is over.

No log and no error contains an answer, a query or a key: an API is named by its host.
"""

import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError, SSLError

from etl import product
from functions.common.errors import (
    OversizedAnswerError,
    ProviderBusyError,
    ProviderUnavailableError,
    SettingsError,
    UnusableFileError,
)
from functions.common.gunzip import expanded
from functions.common.httpconnection import Connection

ATTEMPTS = 5
PIECE_BYTES = 64 << 10
PAUSE_SECONDS = 0.5  # before the second attempt, doubled before each further one
SECONDS = 40.0  # for a document, with all attempts: a run has other sources to read
REDIRECTS = 3

_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_KEY_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_REDIRECTS = (301, 302, 303, 307, 308)


class _Failed(Exception):
    """An attempt failed that may be repeated, `after` some seconds if the API says so."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


@dataclass(frozen=True)
class Answer:
    """A document: its `body` as received, its decompressed `content`, its headers in lower case."""

    body: bytes
    content: bytes
    headers: Mapping[str, str]


class Api:
    """An API at a URL, and the headers of its requests, which are sent to no other host or scheme.

    `setting` and `key_setting` are named in errors. `headers` may have a key, and is called
    for the first request.
    """

    def __init__(
        self,
        url: str,
        headers: Callable[[], Mapping[str, str]],
        *,
        setting: str,
        key_setting: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self.host = urlsplit(url).netloc.lower()
        self._more_headers = headers
        self._setting = setting
        self._key_setting = key_setting
        self._sleep = sleep

    @cached_property
    def _headers(self) -> dict[str, str]:
        own = {"Accept-Encoding": "gzip", "User-Agent": product.NAME}
        return {**own, **self._more_headers()}

    def ask(self, url: str, accept: str, at_most: int) -> Answer:
        """Return the document at a URL, of at most `at_most` bytes decompressed.

        Retries after failures of the connection or of the server. Raises ProviderBusyError,
        ProviderUnavailableError, and SettingsError for a URL or a key that is refused.
        """
        end = time.monotonic() + SECONDS
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._follow(url, accept, at_most, end)
            except _Failed as failed:
                self._pause(failed, attempt, end)

    def _pause(self, failed: _Failed, attempt: int, end: float) -> None:
        """Wait before the next attempt, as long as the API says or a random time; or give up."""
        left = end - time.monotonic()
        if failed.after is not None and failed.after > left:
            raise ProviderBusyError(
                self._says(f"{failed}, and asks to wait for {failed.after:.0f} seconds"),
                failed.after,
            ) from failed
        # Random, so that clients that failed together do not retry together.
        pause = random.uniform(0.5, 1) * PAUSE_SECONDS * 2 ** (attempt - 1)  # noqa: S311  # nosec B311
        pause = pause if failed.after is None else failed.after
        if attempt == ATTEMPTS or pause >= left:
            raise self.unavailable(str(failed)) from failed
        self._sleep(pause)

    def _follow(self, url: str, accept: str, at_most: int, end: float) -> Answer:
        """Return the document at a URL, following redirects."""
        for _ in range(REDIRECTS):
            self.require_own(url)
            with Connection(url, end) as connection:
                try:
                    response = connection.get({**self._headers, "Accept": accept})
                    if response.status not in _REDIRECTS:
                        answer = self._answer(response, at_most)
                        connection.require_uncut()
                        return answer
                    url = urljoin(url, response.headers.get("Location", ""))
                except (HTTPError, OSError) as error:
                    raise self._failure(error) from None
        raise ProviderUnavailableError(
            self._says("redirects without end: look at its documentation")
        )

    def require_own(self, url: str) -> None:
        """Raise ProviderUnavailableError for another host or scheme: it would get the key."""
        asked, own = urlsplit(url), urlsplit(self.url)
        if (asked.scheme, asked.netloc.lower()) != (own.scheme, self.host):
            raise ProviderUnavailableError(
                self._says(
                    "leads to another host or scheme, which is not followed: set "
                    f"{self._setting} to where it has moved, and run deploy.py again"
                )
            )

    def _answer(self, response: HTTPResponse, at_most: int) -> Answer:
        self._require_good(response)
        try:
            body, content = _received(response, at_most)
        except OversizedAnswerError:
            raise ProviderUnavailableError(
                self._says(
                    f"answers with more than {at_most:,} bytes: ask for less (a shorter window, "
                    "pages), or declare max_bytes"
                )
            ) from None
        except UnusableFileError:
            raise _Failed("answered with damaged gzip") from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(body, content, headers)

    def _require_good(self, response: HTTPResponse) -> None:
        """Raise an error unless the status is that of a document."""
        status, said = response.status, f"answered {response.status}"
        if status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
            return
        if status in _AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _Failed(said, _seconds(response.headers.get("Retry-After")))
        if status in _KEY_REFUSED:
            raise SettingsError(
                self._says(
                    f"{said}: set {self._key_setting} to a key that may read, and run deploy.py "
                    "again"
                )
            )
        raise SettingsError(self._says(f"{said}: correct {self._setting}, and run deploy.py again"))

    def _failure(self, error: HTTPError | OSError) -> Exception:
        """Return the error for one of the connection, whose message may quote an answer."""
        cause = error.args[0] if isinstance(error, SSLError) and error.args else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ProviderUnavailableError(
                self._says(
                    f"has a certificate that is not valid ({cause.verify_message}): nothing was "
                    "sent to it"
                )
            )
        return _Failed(f"does not answer, or not to the end ({type(error).__name__})")

    def unavailable(self, why: str) -> ProviderUnavailableError:
        """Return the error for an API that may answer in the next run."""
        return ProviderUnavailableError(self._says(f"{why}: the next run asks again"))

    def _says(self, what: str) -> str:
        return f"{self._setting}: {self.host} {what}"


def _seconds(retry_after: str | None) -> float | None:
    """Return how many seconds a Retry-After header asks to wait, None if it is not valid.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    with suppress(ValueError, TypeError):
        moment = parsedate_to_datetime(retry_after)
        return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    return None


def _received(response: HTTPResponse, at_most: int) -> tuple[bytes, bytes]:
    """Return a body as it came, and expanded, of so many bytes at most.

    Raises OversizedAnswerError, UnusableFileError for damaged gzip, and what urllib3 raises for a
    body that is cut.
    """
    body, content = bytearray(), bytearray()

    def pieces() -> Iterator[bytes]:
        for piece in response.stream(PIECE_BYTES, decode_content=False):
            body.extend(piece)
            _require_room(body, at_most)
            yield piece

    for piece in expanded(pieces()):
        content.extend(piece)
        _require_room(content, at_most)
    return bytes(body), bytes(content)


def _require_room(taken: bytearray, at_most: int) -> None:
    if len(taken) > at_most:
        raise OversizedAnswerError
