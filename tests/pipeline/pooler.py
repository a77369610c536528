"""A pooler in transaction mode: each transaction may get another session of the server.

It logs in to the server itself, as poolers do, and passes messages on as they are.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import unquote, urlsplit

import pg8000.native

SSL_REQUEST = struct.pack("!i", 80877103)
IDLE = b"I"  # the state outside a transaction, in which the session goes back to the pool


@contextmanager
def pooler_before(url: str, parameters: dict[str, str], *, keeps: int) -> Iterator[int]:
    """Listen before a server; yield the port.

    A client's first `keeps` transactions are run by one session, and the others by a second one.
    """
    with ExitStack() as undo:
        sessions = [undo.enter_context(closing(_session(url, parameters))) for _ in range(2)]
        listening = undo.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        serve = threading.Thread(target=_serve, args=(listening, sessions, keeps), daemon=True)
        serve.start()
        yield listening.getsockname()[1]


def _session(url: str, parameters: dict[str, str]) -> pg8000.native.Connection:
    parts = urlsplit(url)
    return pg8000.native.Connection(
        unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        host=parts.hostname or "",
        port=parts.port or 0,
        database=unquote(parts.path.removeprefix("/")),
        startup_params=parameters,
    )


def _serve(listening: socket.socket, sessions: list[pg8000.native.Connection], keeps: int) -> None:
    try:
        client, _ = listening.accept()
    except OSError:
        return
    with client, client.makefile("rb") as asked:
        if _body(asked) == SSL_REQUEST:
            client.sendall(b"N")
            _body(asked)
        client.sendall(_message(b"R", struct.pack("!i", 0)))  # welcome, without a password
        client.sendall(_message(b"K", bytes(8)) + _message(b"Z", IDLE))
        done = 0
        while kind := asked.read(1):
            body = _body(asked)
            if kind == b"X":
                return
            server = sessions[done >= keeps]._sock
            server.write(_message(kind, body))
            server.flush()
            if kind in b"QSc":  # query, sync, end of COPY: the server answers
                done += _answer(sessions[done >= keeps], client) == IDLE


def _answer(session: pg8000.native.Connection, client: socket.socket) -> bytes:
    """Pass an answer on; return the state after it, empty when the server waits for rows."""
    while True:
        kind = session._sock.read(1)
        body = _body(session._sock)
        client.sendall(_message(kind, body))
        if kind == b"Z":
            return bytes(body)
        if kind == b"G":
            return b""


def _body(source: object) -> bytes:
    [length] = struct.unpack("!i", source.read(4))  # type: ignore[attr-defined]
    body: bytes = source.read(length - 4)  # type: ignore[attr-defined]
    return body


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body
