"""The index of the markers: which batch each is of, and where refused rows change."""

from msgspec import UNSET, UnsetType

from etl import keymarks
from functions.common.batchlog import BatchLog
from functions.common.loaded import LoadedMarker, LoadEntry, RefusedRows


def index_of(log: BatchLog[LoadedMarker], marker: LoadedMarker) -> list[LoadEntry] | UnsetType:
    """Return the index of the thousand markers that end with a new one, if it ends them.

    The others are read for it: one request for each marker in the long run.
    """
    last, stretch = marker.number, keymarks.STRETCH
    if last % stretch:
        return UNSET
    before: dict[str, list[RefusedRows]] = {}
    entries = []
    for each in (*log.read_each(range(max(last - stretch, 1), last)), marker):
        changed = sorted(
            name
            for name in before.keys() | each.refused.keys()
            if before.get(name) != each.refused.get(name)
        )
        entries.append(LoadEntry(each.batch, each.written_at, changed))
        before = each.refused
    return entries[-stretch:]
