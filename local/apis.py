"""The APIs of a pipeline's sample, on loopback: they answer while the sandbox is up."""

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from etl.loading import load
from local.sample import answer_of, has_sample

HOST = "127.0.0.1"
NOT_YET = 1  # a port, until the server has its own


class SampleApis:
    """A server for APIs of a pipeline, each at its own path; it is up in the context.

    Where they may `stand_in`, and the sample has answers, it serves those without a URL in the
    environment.
    """

    def __init__(self, pipeline: str, environment: Mapping[str, str], *, stand_in: bool) -> None:
        self._pipeline = pipeline
        self._environment = environment
        self._declared = load(pipeline).apis
        self._served = [
            source
            for source in self._declared
            if stand_in and not environment.get(source.setting) and has_sample(pipeline, "answer")
        ]
        self._port = NOT_YET
        self._undo = ExitStack()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of all APIs: of those that are served a URL, and a key that is not read."""
        names = [name for each in self._declared for name in (each.setting, each.key_setting)]
        given = {name: self._environment.get(name, "") for name in names}
        urls = {each.setting: f"http://{HOST}:{self._port}/{each.name}" for each in self._served}
        return given | urls | {each.key_setting: "a-key" for each in self._served if each.key}

    def __enter__(self) -> "SampleApis":
        if self._served:
            names = frozenset(source.name for source in self._served)
            server = self._undo.enter_context(_Server(self._pipeline, names))
            self._port = server.server_port
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
            self._undo.callback(server.shutdown)
        return self

    def __exit__(self, *exception: object) -> None:
        self._undo.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, pipeline: str, names: frozenset[str]) -> None:
        self.pipeline = pipeline
        self.names = names
        super().__init__((HOST, 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    """Answers a path that is the name of a source; a page of a browser has no business here."""

    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name, own = parts.path.strip("/"), f"{HOST}:{self.server.server_port}"
        if name not in self.server.names or self.headers.get("Host") != own:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        query = dict(parse_qsl(parts.query))
        try:
            kind, body = answer_of(self.server.pipeline, name, query)
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write nothing: stderr is for the sandbox."""
