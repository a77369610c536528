"""The messages of PostgreSQL's plugin pgoutput, in version 1 of the protocol of replication.

Only the keys of the rows that were written are kept, as text; the rows themselves are read from the
tables. https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from functions.common.errors import MalformedLogError

Values = tuple[str, ...]

KEYS_AT_MOST = 50_000  # of a table; with more a scan of it is cheaper

_IGNORED = b"BCOYM"  # begin, commit, origin, type, message
_COUNTED = {ord("t"): True, ord("b"): True, ord("n"): False, ord("u"): False}
_OF_IDENTITY = 1
OID_BYTES = 4


@dataclass
class Touched:
    """The rows of a table that transactions have written, by the values of their key `columns`.

    Rows with `written` keys were inserted or updated; `moved` keys may have come or gone: those of
    inserted and deleted rows, and both keys of a row that got another one. With `is_lost` the
    messages do not show all keys, and the table has to be scanned.
    """

    columns: tuple[str, ...]
    written: set[Values] = field(default_factory=set)
    moved: set[Values] = field(default_factory=set)
    is_lost: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no row was written."""
        return not (self.written or self.moved or self.is_lost)

    def add(self, *, written: Sequence[Values | None], moved: Sequence[Values | None]) -> None:
        """Add keys; None stands for one that the message does not show."""
        if None in written or None in moved:
            self.lose()
        if self.is_lost:
            return
        self.written.update(key for key in written if key is not None)
        self.moved.update(key for key in moved if key is not None)
        if len(self.written) + len(self.moved) > KEYS_AT_MOST:
            self.lose()

    def lose(self) -> None:
        """Forget the keys: the table has to be scanned."""
        self.is_lost = True
        self.written, self.moved = set(), set()


class Messages:
    """Takes messages in order, and adds the keys in them to those of their tables."""

    def __init__(self, tables: Mapping[int, Touched]) -> None:
        """Take the tables, or the parts of tables, by their ids in the server."""
        self._tables = tables
        self._places: dict[int, list[int] | None] = {}

    def take(self, message: bytes) -> None:
        """Take a message; raise MalformedLogError for one that cannot be understood."""
        kind, body = message[:1], message[1:]
        try:
            match kind:
                case b"R":
                    self._describe(body)
                case b"I" | b"U" | b"D":
                    self._change(kind, body)
                case b"T":
                    self._truncate(body)
                case _ if not kind or kind not in _IGNORED:
                    raise MalformedLogError(f"it has a message of the unknown kind {kind!r}")
        except (struct.error, IndexError, KeyError, ValueError) as error:
            raise MalformedLogError(f"its message of kind {kind!r} is malformed") from error

    def _describe(self, body: bytes) -> None:
        """Take a relation's columns, before its first change: find those of the key.

        Deleted rows come with their replica identity, which must have all columns of the key.
        """
        [oid] = struct.unpack_from("!I", body)
        if (table := self._tables.get(oid)) is None:
            return
        at = body.index(b"\0", body.index(b"\0", 4) + 1) + 1
        _, count = struct.unpack_from("!cH", body, at)
        at, found = at + 3, dict[str, int]()
        for number in range(count):
            end = body.index(b"\0", at + 1)
            if body[at] & _OF_IDENTITY:
                found[body[at + 1 : end].decode()] = number
            at = end + 9
        has_all = found.keys() >= set(table.columns)
        self._places[oid] = [found[name] for name in table.columns] if has_all else None

    def _change(self, kind: bytes, body: bytes) -> None:
        [oid] = struct.unpack_from("!I", body)
        if (table := self._tables.get(oid)) is None:
            return
        places = self._places[oid]
        if places is None or len(body) == OID_BYTES:  # of a long message only the head is there
            table.lose()
            return
        tuples, at = dict[bytes, Values | None](), OID_BYTES
        while at < len(body):
            which = body[at : at + 1]
            tuples[which], at = _key(body, at + 1, places)
        old = [tuples[which] for which in (b"K", b"O") if which in tuples]
        new = [] if kind == b"D" else [tuples[b"N"]]
        # An update has the old key only where that may have been another one.
        is_same = kind == b"U" and old in ([], new)
        table.add(written=new, moved=[] if is_same else [*old, *new])

    def _truncate(self, body: bytes) -> None:
        count, _ = struct.unpack_from("!IB", body)
        for oid in struct.unpack_from(f"!{count}I", body, 5):
            if table := self._tables.get(oid):
                table.lose()


def _key(body: bytes, at: int, places: list[int]) -> tuple[Values | None, int]:
    """Return the values of some columns of the tuple at a place, and the place after it.

    They are None if one is NULL, or was left out because it is stored apart and did not change.
    """
    [count] = struct.unpack_from("!H", body, at)
    at, values = at + 2, dict[int, str]()
    for number in range(count):
        kind, at = body[at], at + 1
        if _COUNTED[kind]:
            [length] = struct.unpack_from("!I", body, at)
            at += 4 + length
            if number in places and kind == ord("t"):
                values[number] = body[at - length : at].decode()
    if at > len(body):
        raise ValueError
    return (tuple(values[place] for place in places) if len(values) == len(places) else None), at
