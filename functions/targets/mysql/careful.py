"""Apply rows so that a row that the warehouse refuses affects no other.

A refused statement changes nothing in InnoDB, so rows are halved until the first refused one is
alone. The rows after it are tried as many at a time as were accepted before it, and twice as many
after each try that succeeds: 4,096 rows take 15 tries if one of them is refused, 2,467 if every
tenth is, and 4,108 if all are.
"""

from collections.abc import Callable, Iterable
from functools import partial
from operator import add

import pyarrow as pa
from msgspec.structs import astuple

from functions.common.loaded import Loaded
from functions.common.mysql import MysqlConnection, ServerError
from functions.targets.session import Outcome

ROWS_AT_A_TIME = 4_096

Apply = Callable[[pa.Table], Loaded]
Refused = dict[int, str]

_NOTHING = Loaded(0, 0, 0)
# In a reason: a row that it refers to is missing. MySQL 8.0 names the constraint (1452) only to
# accounts with more rights to the table than load needs.
_REFERENCES = ("/1452]", "/1216]")
_SAVEPOINT = "etl_rows"


def is_for_reference(reason: str) -> bool:
    """Return whether a row was refused because a row that it refers to is missing."""
    return any(code in reason for code in _REFERENCES)


def each(connection: MysqlConnection, parts: Iterable[pa.Table], apply: Apply) -> Outcome:
    """Apply rows in their order, as if one by one; places count across all parts.

    Rows that refer to later ones are retried after those.
    """
    loaded, places, reasons, first = _NOTHING, list[int](), list[str](), 0
    for part in parts:
        done, refused = _part(connection, part, apply)
        loaded = _sum(loaded, done)
        places += [first + place for place in sorted(refused)]
        reasons += [refused[place] for place in sorted(refused)]
        first += part.num_rows
    counted = Loaded(first, loaded.inserted, loaded.updated, len(places), loaded.deleted)
    return Outcome(counted, pa.array(places, pa.int64()), reasons)


def _part(connection: MysqlConnection, part: pa.Table, apply: Apply) -> tuple[Loaded, Refused]:
    """Return the counts of a part, and why rows were refused, by place."""
    loaded, refused = _apply(connection, part, range(part.num_rows), apply)
    while waiting := [place for place, why in refused.items() if is_for_reference(why)]:
        done, again = _apply(connection, part, waiting, apply)
        loaded = _sum(loaded, done)
        refused = {at: why for at, why in refused.items() if not is_for_reference(why)} | again
        if len(again) == len(waiting):
            break
    return loaded, refused


def _apply(
    connection: MysqlConnection, part: pa.Table, places: Iterable[int], apply: Apply
) -> tuple[Loaded, Refused]:
    loaded, refused, left = _NOTHING, Refused(), list(places)
    first, accepted, size = 0, 0, ROWS_AT_A_TIME
    suspects = 0  # the next rows, of which one was refused
    while first < len(left):
        some = left[first : first + (max(1, suspects // 2) if suspects else size)]
        done = tried(connection, partial(apply, part.take(some)))
        if isinstance(done, Loaded):
            loaded = _sum(loaded, done)
            first, accepted = first + len(some), accepted + len(some)
            if suspects:
                suspects -= len(some)
            else:
                size = min(2 * size, ROWS_AT_A_TIME)
        elif len(some) == 1:
            refused[some[0]] = done
            first, size = first + 1, min(max(1, accepted), ROWS_AT_A_TIME)
            accepted = suspects = 0
        else:
            suspects = len(some)
    return loaded, refused


def tried(connection: MysqlConnection, act: Callable[[], Loaded]) -> Loaded | str:
    """Return the result of an action, or why its rows were refused; then nothing was changed."""
    connection.run(f"SAVEPOINT {_SAVEPOINT}")
    try:
        return act()
    except ServerError as error:
        if not error.condition.is_about_data:
            raise
        connection.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return str(error.condition)


def _sum(one: Loaded, other: Loaded) -> Loaded:
    return Loaded(*map(add, astuple(one), astuple(other)))
