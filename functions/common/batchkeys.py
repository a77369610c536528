"""The keys of a batch in the documents of the processed log; see `etl.keymarks`."""

from msgspec import Struct

from functions.common.objects import BatchNumber, Key


class KeySet(Struct, frozen=True):
    """The keys of a source table whose rows, or deletions, a batch has for its target tables.

    They are as the target has them, those of rows in quarantine included. `least` and `greatest`
    are None where a key is too long for a manifest, `marks` where there are too many.
    """

    least: Key | None = None
    greatest: Key | None = None
    marks: str | None = None


class LargeSet(Struct, frozen=True):
    """The keys of a source table in a batch that has too many for marks."""

    batch: BatchNumber
    table: str
    least: Key | None = None
    greatest: Key | None = None


class KeyIndex(Struct, frozen=True):
    """Where the keys of a thousand batches are.

    `marks` are those of all batches, `large` the tables without marks. Of the `unknown` batches,
    which an earlier version wrote, only their rows say which keys they have.
    """

    marks: str
    large: list[LargeSet] = []
    unknown: list[BatchNumber] = []
