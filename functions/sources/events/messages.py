"""The messages with which the queue invokes `collect`.

Together the expanded messages may not fit into memory, so each is expanded when it is needed, and
once before as a check.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.common.received import Received


@dataclass(frozen=True)
class Message:
    """A message with an event; `id` is that of the message, and not of the event."""

    id: str
    source: str
    received_at: datetime
    text: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Message":
        """Return the message of a record of an SQS event; raise InvalidMessageError."""
        received = Received.of(record["body"])
        return cls(record["messageId"], received.source, received.received_at, record["body"])

    def received(self) -> Received:
        """Return the event as it came."""
        return Received.of(self.text)
