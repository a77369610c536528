"""An API on loopback that answers by a script, with whatever can go wrong on the way."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Reply:
    """An answer; `cut` leaves it after so many bytes, `drip` pauses after each byte."""

    body: bytes = b""
    status: int = 200
    type: str | None = "text/csv"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    drip: float = 0.0
    silent: float = 0.0
    says_length: bool = True


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


Script = Callable[[Asked], Reply]


class RestServer:
    """A server at `url`, which answers as its `script` says; `asked` are the requests so far."""

    def __init__(self, server: ThreadingHTTPServer, scheme: str) -> None:
        self.asked: list[Asked] = []
        self.script: Script = lambda _: Reply()
        self.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/v1"

    def answers(self, *replies: Reply) -> None:
        """Answer with these, one after the other, and with the last of them from then on."""
        left = list(replies)
        self.script = lambda _: left.pop(0) if len(left) > 1 else left[0]

    @property
    def queries(self) -> Sequence[Mapping[str, str]]:
        return [each.query for each in self.asked]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    serves: RestServer

    def handle_error(self, *_: Any) -> None:
        """Let clients leave when they want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), headers)
        self.server.serves.asked.append(asked)
        self._send(self.server.serves.script(asked))

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.silent)
        length = {"Content-Length": str(len(reply.body))} if reply.says_length else {}
        kind = {"Content-Type": reply.type} if reply.type else {}
        self.send_response(reply.status)
        for name, value in {**kind, **reply.headers, **length, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        if not reply.drip:
            self.wfile.write(reply.body[: reply.cut])
            return
        for byte in reply.body:
            self.wfile.write(bytes([byte]))
            time.sleep(reply.drip)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[RestServer]:
    """Serve while the block lasts."""
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.serves = RestServer(server, "https" if tls else "http")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.serves
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
