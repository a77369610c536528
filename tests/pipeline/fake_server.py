"""A server that speaks just enough of PostgreSQL's protocol to try what a client lets it do."""

import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Literal

from scramp import ScramException, ScramMechanism  # type: ignore[import-untyped]

SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
CHANNEL_BINDING = "tls-server-end-point"


class Link:
    """One connection of a client: messages to and from it."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._stream = peer.makefile("rb")
        self.received: list[bytes] = []

    def send(self, code: bytes, body: bytes = b"") -> None:
        self._peer.sendall(code + (len(body) + 4).to_bytes(4, "big") + body)

    def ask(self, code: int, body: bytes = b"") -> None:
        """Send a message `Authentication…`."""
        self.send(b"R", code.to_bytes(4, "big") + body)

    def receive(self, *, is_first: bool = False) -> bytes:
        """Return the body of a client's message; the first one has no code."""
        code = b"" if is_first else self._stream.read(1)
        length = int.from_bytes(self._stream.read(4), "big")
        body = self._stream.read(max(0, length - 4))
        if not is_first:
            self.received.append(code + body)
        return body

    def serve(self) -> None:
        """Welcome the client, and answer whatever it asks with nothing."""
        self.ask(0)
        self.ready()
        while self.receive():
            self.send(b"C", b"SELECT 0\0")
            self.ready()

    def ready(self) -> None:
        self.send(b"Z", b"I")


Script = Callable[[Link], None]


class FakeServer:
    """Listen on a loopback port, with TLS if there is a `context`, and play `script` to each."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with closing(client), suppress(OSError):
                self._play(client)

    def _play(self, client: socket.socket) -> None:
        if self._context is not None:
            assert client.recv(8) == SSL_REQUEST
            client.sendall(b"S")
            client = self._context.wrap_socket(client, server_side=True)
        link = Link(client)
        link.received = self.received
        with closing(client):
            link.receive(is_first=True)
            self._script(link)
            while client.recv(4096):  # until the client has enough
                pass


@contextmanager
def playing(script: Script, context: ssl.SSLContext | None = None) -> Iterator[FakeServer]:
    server = FakeServer(script, context)
    try:
        yield server
    finally:
        server.close()


def scram(
    password: str,
    certificate: str | None = None,
    proof: Literal["given", "forged", "missing"] = "given",
) -> Script:
    """Return the script of a server that checks a password by SCRAM.

    With the PEM text of its `certificate` it offers channel binding. One that forges the proof that
    it knows the password, or leaves it out, welcomes everybody.
    """

    def script(link: Link) -> None:
        offered = [b"SCRAM-SHA-256-PLUS"] * bool(certificate) + [b"SCRAM-SHA-256"]
        link.ask(10, b"".join(name + b"\0" for name in offered) + b"\0")
        name, _, rest = link.receive().partition(b"\0")
        mechanism = ScramMechanism(name.decode())
        account = mechanism.make_auth_info(password)
        binding = (CHANNEL_BINDING, certificate) if certificate else None
        server = mechanism.make_server(lambda _: account, channel_binding=binding)
        # PostgreSQL takes the name from the first message of all; that of SCRAM may be any.
        server.set_client_first(rest[4:].decode())
        link.ask(11, server.get_server_first().encode())
        final = link.receive().decode()
        if proof == "forged":
            link.ask(12, b"v=" + b64encode(bytes(32)))
        elif proof == "given":
            try:
                server.set_client_final(final)
            except ScramException:
                link.send(b"E", b"SFATAL\0C28P01\0Mno\0\0")
                return
            link.ask(12, server.get_server_final().encode())
        link.serve()

    return script
