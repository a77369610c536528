"""A connection of pg8000 that logs in safely, ends at any time, and knows its transaction.

The driver does what a server asks for: it sends the password itself, or its MD5 digest, which is as
good. SCRAM alone reveals nothing, and has the server prove that it knows the password; with TLS it
is bound to the certificate wherever the server offers that, which rules out a man in the middle.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP

pg8000 has no public access to its socket, its read buffer and the state of the transaction, so this
module, and no other, uses its private attributes:

    _usock               the socket: a limit for silence, and a shutdown that ends a pending read
    _sock                its buffered reader: rows of a COPY that have arrived already
    _transaction_status  the state of the transaction, as the server reported it last
"""

import socket
import ssl
from contextlib import suppress
from enum import IntEnum
from io import BufferedReader
from typing import Any, Literal, cast

import pg8000.native
from scramp import ScramException  # type: ignore[import-untyped]  # the login part of pg8000

from functions.common.database import encryption_of
from functions.common.errors import DatabaseAccessError

# As libpq: others may be offered by a server that is not PostgreSQL.
MECHANISMS = (b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256")


class Request(IntEnum):
    """Authentication requests of a server: the codes of the message `Authentication…`."""

    CLEARTEXT = 3
    MD5 = 5
    SASL = 10
    SASL_CONTINUE = 11
    SASL_FINAL = 12


class PostgresConnection(pg8000.native.Connection):  # type: ignore[misc]  # it has no types
    """A connection that logs in only where that is safe.

    `where` names the database in errors. A server that `is_verified`, by certificate and name, may
    ask for the password by any method. Any other must use SCRAM, by which it proves that it knows
    the password, unless there is no password.
    """

    def __init__(
        self,
        where: str,
        peer: socket.socket,
        tls: ssl.SSLContext | Literal[False],
        *,
        is_verified: bool,
        password: str,
        **options: Any,
    ) -> None:
        # First, because the driver logs in while it is constructed.
        self.where = where
        self._is_verified = is_verified
        self._is_proven = is_verified or not password
        super().__init__(password=password, sock=peer, ssl_context=tls, **options)
        if not self._is_proven:
            self.close()
            raise DatabaseAccessError(
                f"{where}: the server lets us in without asking for the password, so it may be "
                "anybody's: have it ask by SCRAM (scram-sha-256 in its pg_hba.conf), leave the "
                "password out of the URL if it trusts its callers, or use ?sslmode=verify-full"
            )

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: Any) -> None:  # noqa: N802
        """Answer an authentication request, or refuse to."""
        code = int.from_bytes(data[:4], "big")
        if code in (Request.CLEARTEXT, Request.MD5) and not self._is_verified:
            raise DatabaseAccessError(
                f"{self.where}: the server asks for the password by {Request(code).name.lower()}, "
                "and it is not verified whose it is: have it ask by SCRAM (scram-sha-256 in its "
                "pg_hba.conf, and the password set again), or use ?sslmode=verify-full"
            )
        if code == Request.SASL:
            data = data[:4] + self._known_mechanisms(data[4:])
        elif code and code not in list(Request):
            raise DatabaseAccessError(
                f"{self.where}: the server asks for another login than by password (method "
                f"{code}): have it ask by SCRAM (scram-sha-256 in its pg_hba.conf)"
            )
        try:
            super().handle_AUTHENTICATION_REQUEST(data, context)
        except ScramException as error:
            if code == Request.SASL:
                raise  # about the form of the password itself
            raise DatabaseAccessError(
                f"{self.where}: the server does not prove that it knows the password ({error}): "
                "is it the right server?"
            ) from error
        if code == Request.SASL_FINAL:
            self._is_proven = True

    def _known_mechanisms(self, offered: bytes) -> bytes:
        known = [name for name in offered.split(b"\0") if name in MECHANISMS]
        if not known:
            raise DatabaseAccessError(
                f"{self.where}: the server offers no SCRAM-SHA-256: is it PostgreSQL?"
            )
        return b"".join(name + b"\0" for name in known) + b"\0"

    @property
    def encryption(self) -> str:
        """The version of TLS, such as TLSv1.3, or that there is none."""
        return encryption_of(self._usock)

    @property
    def has_transaction(self) -> bool:
        """Whether a transaction is open, failed or not."""
        return bool(self._transaction_status != b"I")

    @property
    def has_working_transaction(self) -> bool:
        """Whether a transaction is open in which statements can be run."""
        return bool(self._transaction_status == b"T")

    @property
    def received(self) -> BufferedReader:
        """What has arrived from the server and has not been read yet."""
        return cast("BufferedReader", self._sock)

    def limit_silence(self, seconds: float) -> None:
        """Raise TimeoutError from then on when the server says nothing for some seconds."""
        self._usock.settimeout(seconds)

    def close(self) -> None:
        """Close the connection; if it is broken, why is in an error that is being raised."""
        with suppress(pg8000.native.InterfaceError, OSError, ValueError):
            super().close()

    def hang_up(self) -> None:
        """Close the connection, also where the trace of an error still holds what reads from it."""
        peer = self._usock
        try:
            self.close()
        finally:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
