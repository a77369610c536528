"""Rows with several states of a key, in chronological order: of all batches so far, or of files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from functions.common.errors import CorruptLogError
from functions.common.keys import Key, keys_of
from functions.targets.layout import WarehouseTable


def first_of(parts: Iterable[pa.Table], key: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the first row of each key."""
    seen: set[Key] = set()
    for part in parts:
        fresh = []
        for place, each in enumerate(keys_of(part, key).to_pylist()):
            if each not in seen:
                seen.add(each)
                fresh.append(place)
        if fresh:
            yield part.take(fresh)


def newest_of(parts: Iterable[pa.Table], key: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the last row of each key, given the parts from the last to the first."""
    seen: set[Key] = set()
    for part in parts:
        last = {each: place for place, each in enumerate(keys_of(part, key).to_pylist())}
        fresh = sorted(place for each, place in last.items() if each not in seen)
        seen.update(last)
        if fresh:
            yield part.take(fresh)


def by_state(part: pa.Table, key: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the first rows of all keys, then the second rows, and so on."""
    states: list[list[int]] = []
    earlier: Counter[Key] = Counter()
    for place, each in enumerate(keys_of(part, key).to_pylist()):
        if earlier[each] == len(states):
            states.append([])
        states[earlier[each]].append(place)
        earlier[each] += 1
    for places in states:
        yield part.take(places)


def require_keys(table: WarehouseTable, rows: pa.Table) -> None:
    """Raise CorruptLogError for rows without a key, which transform does not write."""
    names = rows.column_names
    is_table = len(set(names)) == len(names) and set(table.key) <= set(names)
    if not is_table or any(rows[name].null_count for name in table.key):
        raise CorruptLogError(
            f"rows of {table.name} in the processed bucket have no {', '.join(table.key)}: which "
            "version of transform wrote them?"
        )
