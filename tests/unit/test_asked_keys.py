"""Keys of a table of which only some were asked for: those that a log says have changed."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.common.objects import ObjectNames
from functions.sources.postgres import hashedkeys
from functions.sources.postgres.hashedkeys import FOUND, Renewed, renewed
from tests.unit.hashed_table import DAY, Table, found, hash_of, into, many

KEYS = st.sets(st.text("ab,\\é", max_size=3), max_size=30)


def asking(table: Table, asked: set[str], there: set[str]) -> tuple[list[str], Renewed]:
    """Return the keys that are gone, and what the next batch has, of those asked for."""
    gone: list[str] = []
    new = renewed(
        table.keys(),
        ObjectNames("keys/shop", 2, DAY),
        found(asked & there),
        into(gone),
        asked=pa.Table.from_batches(found(asked), FOUND),
    )
    table.stored = new.keys.stored
    return gone, new


@settings(max_examples=60, deadline=None)
@given(KEYS, KEYS, KEYS)
def test_keys_asked_for_are_there_or_gone_and_others_stay(
    before: set[str], asked: set[str], there: set[str]
) -> None:
    """The next batch has what a scan of the whole table would give it."""
    table = Table()
    table.becomes(before)
    now = (before - asked) | (asked & there)

    gone, new = asking(table, asked, there)

    assert sorted(gone) == sorted(before - now)
    assert table.rows_read() == now
    assert table.keys().digests == table.digests(now)
    listed = sorted(asked & there)
    if before:
        known = new.is_known(pa.array(map(hash_of, listed), pa.int64())).to_pylist()
        assert known == [key in before for key in listed]


def test_parts_without_a_key_that_is_asked_for_are_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cost follows the keys that changed, not those that the table has."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", 3000)
    table = Table()
    table.becomes(many(4000))
    table.bucket.requests.clear()

    gone, _ = asking(table, {"key 7", "another"}, {"another"})

    assert gone == ["key 7"]
    assert table.bucket.requests["get"] <= 1 + 2  # the digests, and the parts of two keys
