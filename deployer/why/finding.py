"""Find the batches that may have a key, by the index of the log.

The index of each thousand batches is in the last of them. Batches after the newest index, and a
stretch that an earlier version wrote, are read one by one; of batches of an earlier version only
their rows say which keys they have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.query.tables import Document
from deployer.why.asking import Asked
from deployer.why.keys import Key
from deployer.why.objects import Documents
from etl import keymarks


@dataclass
class Found:
    """The batches that may have a key, and those that replace its table as a whole."""

    batches: set[int] = field(default_factory=set)
    snapshots: set[int] = field(default_factory=set)


def find(log: Documents, asked: Asked) -> Found:
    """Return where a key may be in the processed log of its source."""
    mark = keymarks.mark(asked.table, asked.marked)
    replaced = keymarks.snapshot_mark(asked.target)
    stretches = range(keymarks.STRETCH, log.newest + 1, keymarks.STRETCH)
    found, unknown = Found(), set(range(len(stretches) * keymarks.STRETCH + 1, log.newest + 1))
    for last, document in log.read(stretches).items():
        index = document.get("index")
        if index is None:
            unknown |= set(range(last - keymarks.STRETCH + 1, last + 1))
            continue
        found.batches |= set(keymarks.found(last, index["marks"], mark))
        found.snapshots |= set(keymarks.found(last, index["marks"], replaced))
        found.batches |= {
            each["batch"]
            for each in index["large"]
            if each["table"] == asked.table and _is_within(each, asked.key)
        }
        unknown |= set(index["unknown"])
    for batch, document in log.read(unknown).items():
        if _may_have(document, asked, mark):
            found.batches.add(batch)
        if document["tables"].get(asked.target, {}).get("snapshot"):
            found.snapshots.add(batch)
    return found


def _may_have(manifest: Document, asked: Asked, mark: bytes) -> bool:
    sets = manifest.get("keys")
    if sets is None:  # an earlier version has written it
        balance = manifest["balance"].get(asked.table, {})
        entry = manifest["tables"].get(asked.target, {})
        return any(balance.values()) or bool(entry.get("files") or entry.get("tombstones"))
    keys = sets.get(asked.table)
    if keys is None:
        return False
    if keys["marks"] is not None:
        return mark in keymarks.separate(keys["marks"])
    return _is_within(keys, asked.key)


def _is_within(keys: Mapping[str, int | str | None], key: Key) -> bool:
    """Return whether a key is within a range; one of another type, or without ends, may have it."""
    least, greatest, value = keys["least"], keys["greatest"], key.value
    match least, greatest, value:
        case (int(), int(), int()) | (str(), str(), str()):
            return least <= value <= greatest  # type: ignore[operator]
    return True
