"""What a manifest says of the write-ahead log of its source."""

from msgspec import Struct

from functions.common.objects import Moment, Position, TransactionId


class LogIndex(Struct, frozen=True):
    """What the next batch may look up in the write-ahead log of a source; positions are in bytes.

    Every transaction with a commit below `covered` is shown by the batch's snapshot; None if no
    such position is known. All with a commit below `reached` have an id below `end`. The changes of
    `tables` since the batch are in the log from `covered` on; each has a digest of how it is
    published. Tables that are `unsettled` are published as well, but transactions below an id may
    have written them before that, and some have not ended. At `scanned_at` all had been scanned.
    """

    covered: Position | None
    reached: Position
    end: TransactionId
    scanned_at: Moment
    tables: dict[str, str] = {}
    unsettled: dict[str, tuple[str, TransactionId]] = {}
