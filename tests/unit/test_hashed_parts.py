"""The parts in which the keys of a table are kept: none is lost where two parts or pieces meet."""

from collections import Counter

import pyarrow as pa
import pytest

from functions.sources.postgres import hashedkeys
from functions.sources.postgres.hashedkeys import HashedKeys
from functions.sources.postgres.keysets import DigestBuilder
from functions.sources.postgres.keysql import HASH_SHIFT
from tests.unit.fake_bucket import FakeBucket
from tests.unit.hashed_table import Table, found, hash_of, many


def test_parts_are_read_until_every_key_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """None for no keys, and all for one that is nowhere."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", 3000)
    table = Table()
    table.becomes(many(4000))
    keys = table.keys()
    assert len(keys.patch) == 0

    def read(*asked: str | None) -> int:
        table.bucket.requests.clear()
        keys.not_in(pa.array(asked, pa.string()))
        return table.bucket.requests["get"]

    first = next(iter(keys.ranges())).keys()["key"][0].as_py()
    assert (read(), read(None), read(first), read("other")) == (0, 0, 1, len(table.stored.parts))


def test_keys_that_come_in_two_pieces_are_not_taken_for_a_small_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither where the first has almost all of a part's keys, nor where the second has."""
    table, keys = Table(), many(1000)
    table.becomes(keys)
    monkeypatch.setattr(hashedkeys, "PART_BYTES", pa.Table.from_batches(found(keys)).nbytes - 1)
    assert table.becomes(keys, is_whole=True)[0] == []
    assert table.rows_read() == keys

    buckets = {"key 0": 1}
    monkeypatch.setattr(
        "tests.unit.hashed_table.hash_of",
        lambda key: (buckets.get(key, 2) << HASH_SHIFT) + int(key[4:]),
    )
    table, keys = Table(), many(100)
    table.becomes(keys)
    monkeypatch.setattr(hashedkeys, "PART_BYTES", 300)
    assert table.becomes(keys, is_whole=True)[0] == []
    assert (table.rows_read(), len(table.keys().patch)) == (keys, 0)


def test_a_part_has_the_changes_of_its_first_and_of_its_last_bucket() -> None:
    """A change of either that is left out would be a deleted row that stays, or an extra one."""
    keys = HashedKeys(FakeBucket())
    buckets = pa.array(range(4, 9), pa.int32())
    changes = {"bucket": buckets, "key": buckets.cast(pa.string()), "is_there": [True] * 5}
    keys.__dict__["patch"] = pa.table(changes)

    part = hashedkeys.Range(keys, 5, 7, None)

    assert part.patch()["bucket"].to_pylist() == [5, 6, 7]
    assert [part.has(buckets.slice(place, 1)) for place in range(5)] == [False, *[True] * 3, False]
    assert (part.has(None), part.has(buckets.slice(5))) == (True, False)


@pytest.mark.parametrize("buckets", [1 << 15, 16], ids=["many buckets", "large buckets"])
def test_a_table_that_stays_as_it_is_loses_no_key(
    monkeypatch: pytest.MonkeyPatch, buckets: int
) -> None:
    """Read whole in many parts, whose last buckets have keys, as those of pieces do."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", 3000)
    monkeypatch.setattr(
        "tests.unit.hashed_table.hash_of",
        lambda key: (hash_of(key) % buckets - buckets // 2 << HASH_SHIFT) + int(key[4:]),
    )
    table, keys = Table(), many(2000)
    table.becomes(keys)
    assert len(table.stored.parts) > 4

    for _ in range(2):
        gone, new = table.becomes(keys, is_whole=True)
        assert (gone, len(new.added or []), table.rows_read()) == ([], 0, keys)


def test_keys_of_the_first_part_stay_where_all_others_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to its last bucket; then few keys are left, in one part."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", 3000)
    table = Table()
    table.becomes(many(4000))
    first = set(next(table.keys().ranges()).keys()["key"].to_pylist())

    gone, _ = table.becomes(first, is_whole=True)
    assert (set(gone), table.rows_read()) == (many(4000) - first, first)
    few = set(sorted(first)[:2]) | {"key of another part"}
    table.becomes(few, is_whole=True)
    assert (len(table.stored.parts), table.rows_read()) == (1, few)


def test_a_few_keys_that_come_and_go_are_those_of_the_patch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each with whether it is there."""
    table = Table()
    table.becomes(many(400))
    keys = many(400) - {"key 7"} | {"key 400"}
    table.becomes(keys)

    patch = table.keys().patch
    assert dict(zip(patch["key"].to_pylist(), patch["is_there"].to_pylist(), strict=True)) == {
        "key 7": False,
        "key 400": True,
    }
    assert table.rows_read() == keys


def test_a_digest_is_the_sum_of_the_hashes_of_a_bucket() -> None:
    """As the source computes it, negative ones too."""
    keys = many(3000)
    digests = Table().digests(keys).to_pylist()

    sums, rows = Counter[int](), Counter[int]()
    for key in keys:
        sums[hash_of(key) >> HASH_SHIFT] += hash_of(key)
        rows[hash_of(key) >> HASH_SHIFT] += 1
    assert digests == [
        {"bucket": bucket, "rows": rows[bucket], "sum": sums[bucket]} for bucket in sorted(rows)
    ]


def test_digests_of_no_keys_are_none_in_buckets_of_any_size() -> None:
    """A table may be empty."""
    digests = DigestBuilder()
    digests.halve()

    assert (len(digests), digests.digests().num_rows) == (0, 0)
