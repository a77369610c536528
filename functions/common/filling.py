"""How far a table that is read whole has been read: part of its entry in a manifest."""

from msgspec import Struct

from functions.common.objects import Count, TransactionId


class Filling(Struct, frozen=True):
    """How far a table that is read whole in several batches has been read, in order of its key.

    All rows up to the key `to` (its columns as text; empty for none) have been read: `rows` of some
    `of`. Their changes are captured from `horizon` and `seen` on, None while none is read. The
    order of keys is that of the types and collations in `order`. `is_first` says that no batch has
    had the rows after `to`, or after `again`: up to there they had been read before all was to be
    read again.
    """

    to: list[str] = []
    order: str = ""
    rows: Count = 0
    of: Count = 0
    horizon: TransactionId | None = None
    seen: list[tuple[TransactionId, TransactionId]] = []
    is_first: bool = True
    again: list[str] = []

    @property
    def progress(self) -> str:
        """How far the table is, for people."""
        if not self.of:
            return "its rows are read after those of other tables"
        return f"{self.rows:,} of about {max(self.of, self.rows):,} rows are read"
