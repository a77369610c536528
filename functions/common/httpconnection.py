"""One request over one connection, which is cut at its deadline.

The timeouts of urllib3 apply to each read: a server that sends a byte now and then never exceeds
them.
"""

import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from threading import Timer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, Timeout

from functions.common.database import encryption_of

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0  # between two bytes


def probe(url: str) -> str:
    """Connect to the host of a URL, and return the version of TLS; raise OSError if it fails."""
    parts = urlsplit(url)
    is_https = parts.scheme == "https"
    place = parts.hostname or "", parts.port or (443 if is_https else 80)
    with socket.create_connection(place, CONNECT_SECONDS) as peer:
        if not is_https:
            return encryption_of(peer)
        with ssl.create_default_context().wrap_socket(peer, server_hostname=place[0]) as tls:
            return encryption_of(tls)


class Connection:
    """A connection to the host of a URL until a moment of `time.monotonic`."""

    def __init__(self, url: str, end: float) -> None:
        parts = urlsplit(url)
        self._path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        options: dict[str, Any] = {"maxsize": 1, "block": True, "retries": False}
        self._pool: HTTPConnectionPool = (
            HTTPSConnectionPool(
                # Verifies chain and name by the machine's root certificates.
                parts.hostname or "",
                parts.port,
                ssl_context=ssl.create_default_context(),
                **options,
            )
            if parts.scheme == "https"
            else HTTPConnectionPool(parts.hostname or "", parts.port, **options)
        )
        self._seconds = max(0.001, end - time.monotonic())
        self._sockets: list[socket.socket] = []
        self._is_cut = False
        self._timer = Timer(self._seconds, self._cut)

    def __enter__(self) -> "Connection":
        sockets: list[socket.socket] = self._sockets
        kind: Any = self._pool.ConnectionCls

        class Noted(kind):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                # The connection may drop its socket while the body is still being read.
                sockets.append(self.sock)

        self._pool.ConnectionCls = Noted
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._pool.close()
        for each in self._sockets:
            each.close()

    def get(self, headers: Mapping[str, str]) -> HTTPResponse:
        """Send the request; the body is not read yet. Raises the errors of urllib3."""
        response: HTTPResponse = self._pool.urlopen(  # type: ignore[assignment]
            "GET",
            self._path,
            headers=dict(headers),
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=Timeout(
                connect=min(CONNECT_SECONDS, self._seconds), read=min(READ_SECONDS, self._seconds)
            ),
            enforce_content_length=True,
        )
        return response

    def require_uncut(self) -> None:
        """Raise TimeoutError if the connection was cut, where some bodies seem complete."""
        if self._is_cut:
            raise TimeoutError

    def _cut(self) -> None:
        self._is_cut = True
        for each in self._sockets:
            with suppress(OSError):  # it may be closed by now
                # Not the TLS socket's: what follows would be read as plain text.
                socket.socket.shutdown(each, socket.SHUT_RDWR)
