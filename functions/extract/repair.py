"""What an event may ask extract to read once more: whole tables, and keys to look for.

Reconcile says so when the warehouse disagrees with the source: a table that is read whole comes
with its join partners, and load brings every row up to date.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
import pyarrow as pa
from msgspec import Meta, Struct

from functions.common.errors import RepairRefused
from functions.common.totesys import TABLES
from functions.sources.postgres.keysets import KeySet, not_in

Keys = Annotated[list[Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]], Meta(max_length=100_000)]


class Repair(Struct, frozen=True):
    """The tables to `read` whole, and keys, by table, that may be `absent` from the source."""

    read: list[str] = []
    absent: Mapping[str, Keys] = {}

    @property
    def tables(self) -> set[str]:
        """The tables that are read whole: each table whose keys are looked for is one."""
        return {*self.read, *self.absent}

    def absent_from(self, table: str, keys: KeySet) -> list[int]:
        """Return the keys that were asked for and that a table, which has `keys`, does not have."""
        return not_in(keys, pa.array(self.absent.get(table, []), pa.int64()))


NO_REPAIR = Repair()


def asked_for(event: object) -> Repair:
    """Return what an event asks to read once more; nothing if it has no `read`.

    Raises RepairRefused for an event of another form, and for a table that extract does not read.
    """
    if not isinstance(event, dict) or "read" not in event:
        return NO_REPAIR
    asked = {name: event[name] for name in ("read", "absent") if name in event}
    try:
        repair = msgspec.convert(asked, Repair)
    except msgspec.ValidationError as error:
        raise RepairRefused(
            f"the event to read tables once more is malformed: {error}. Give it as in "
            '{"read": ["design"], "absent": {"design": [7]}}'
        ) from None
    if unknown := sorted(repair.tables - TABLES.keys()):
        raise RepairRefused(
            f"the event asks for {len(unknown)} tables that extract does not read: name some of "
            f"{', '.join(TABLES)}"
        )
    return repair
