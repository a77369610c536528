"""A provider's list of its events on loopback, as Stripe's `GET /v1/events` answers."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "rk_test_of the list".replace(" ", "_")


@dataclass
class EventsApi:
    """An API that lists events, newest first; it answers its first requests with `faults`."""

    events: Sequence[dict[str, Any]]
    url: str = ""
    faults: list[tuple[int, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, key: str | None) -> tuple[int, str]:
        """Return status and text."""
        self.asked.append(path)
        if self.faults:
            return self.faults.pop(0)
        if key != f"Bearer {KEY}":
            return 401, '{"error": {"type": "invalid_request_error"}}'
        query = parse_qs(urlsplit(path).query)
        ids = [event["id"] for event in self.events]
        start = ids.index(query["starting_after"][0]) + 1 if "starting_after" in query else 0
        end = start + int(query["limit"][0])
        page = {"object": "list", "url": "/v1/events", "data": list(self.events[start:end])}
        return 200, json.dumps({**page, "has_more": end < len(ids)})


@contextmanager
def served(api: EventsApi) -> Iterator[EventsApi]:
    """Serve a list at `api.url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = api.answer(self.path, self.headers.get("Authorization"))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", text)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_port}/v1/events"
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
