"""A peer that answers PostgreSQL's request for TLS, in front of a server that was built without."""

import socket
import ssl
import threading
from contextlib import closing, suppress

SSL_REQUEST = bytes.fromhex("00000008 04d2162f")


class TlsPeer:
    """Listen on a loopback port: TLS on the outside, the server at `port` behind.

    Without a `context` every request for TLS is answered with "no".
    """

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self._server_port = port
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and wait until the last connection has ended."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            # A client that does not trust the certificate hangs up in the middle of the handshake.
            with closing(client), suppress(OSError):
                self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        assert client.recv(8) == SSL_REQUEST
        if self._context is None:
            client.sendall(b"N")
            return
        client.sendall(b"S")
        with (
            self._context.wrap_socket(client, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", self._server_port)) as inside,
        ):
            answers = threading.Thread(target=_pump, args=(inside, outside))
            answers.start()
            _pump(outside, inside)
            answers.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until one side ends, and close the other."""
    with suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
