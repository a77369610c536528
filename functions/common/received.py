"""An event as a message of the queue: receive sends it, and collect reads it."""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from functions.common.errors import InvalidMessageError

MAX_BYTES = 750_000  # of a body; etl.Events allows no more

_MALFORMED = (
    ArithmeticError,  # a time that has no equal in UTC
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    zlib.error,
)


@dataclass(frozen=True)
class Received:
    """An event as it was received: its source's name, the time, the headers with fields, the body.

    Header names are in lower case; the time has a zone. It is `signed` if receive has checked its
    signature, None where an earlier version did not say so.
    """

    source: str
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    signed: bool | None = None

    def message(self) -> str:
        """Return the message for the queue, in ASCII, because SQS rejects some characters.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
        """
        return json.dumps(
            {
                "source": self.source,
                "received_at": self.received_at.astimezone(UTC).isoformat(),
                "headers": dict(self.headers),
                "signed": self.signed,
                "body": b64encode(zlib.compress(self.body)).decode(),
            }
        )

    @classmethod
    def of(cls, message: str) -> "Received":
        """Return the event of a message; raise InvalidMessageError if receive did not write it."""
        try:
            said = json.loads(message)
            headers = {str(name): str(value) for name, value in said["headers"].items()}
            moment = datetime.fromisoformat(said["received_at"])
            body = _inflated(b64decode(said["body"], validate=True))
            signed = said.get("signed")
            signed = signed if isinstance(signed, bool) else None
            return cls(str(said["source"]), moment.astimezone(UTC), headers, body, signed)
        except _MALFORMED:
            raise InvalidMessageError("it is no message of the function receive") from None


def _inflated(packed: bytes) -> bytes:
    """Decompress bytes; raise ValueError for more than receive accepts."""
    stream = zlib.decompressobj()
    body = stream.decompress(packed, MAX_BYTES + 1)
    if not stream.eof or stream.unused_data or len(body) > MAX_BYTES:
        raise ValueError("not one stream, or too long")
    return body
