"""The keys of a table, kept as runs: deletions are found exactly, in little memory."""

import random
import subprocess
import sys
from collections.abc import Iterable
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.common.errors import CorruptLogError
from functions.common.objects import ObjectNames
from functions.common.parquet import digest, packed
from functions.sources.postgres import keysets
from functions.sources.postgres.keysets import (
    BUCKETS_AT_MOST,
    KEYS_AT_A_TIME,
    SHIFT,
    KeySet,
    KeySetBuilder,
    changed_buckets,
    deleted_keys,
    in_buckets,
    is_in,
    keys_of,
    runs_of,
    with_buckets,
)
from functions.sources.postgres.storedkeys import fetch, store
from tests.unit.fake_bucket import FakeBucket

SIZE = 1 << SHIFT
DAY = date(2024, 11, 16)
# Dense ones share buckets; the others are anywhere that a bigint can be.
FEW = settings(max_examples=40, deadline=None)
KEYS = st.sets(st.integers(-3 * SIZE, 3 * SIZE) | st.integers(-(2**63), 2**63 - 1), max_size=60)


def key_set(keys: Iterable[int]) -> KeySet:
    """Return a set as extract makes it."""
    builder = KeySetBuilder()
    builder.add(pa.array(keys, pa.int64()))
    return made(builder)


def made(builder: KeySetBuilder) -> KeySet:
    keys = builder.key_set()
    assert keys is not None
    return keys


def stored(bucket: FakeBucket, sets: dict[str, KeySet]) -> tuple[str, str]:
    return store(bucket, ObjectNames("keys", 7, DAY), sets)


def deleted(before: KeySet, now: KeySet) -> list[int]:
    return [key for keys in deleted_keys(before, now) for key in keys.to_pylist()]


@FEW
@given(KEYS, st.integers(1, 9))
def test_runs_hold_exactly_the_keys(keys: set[int], parts: int) -> None:
    """Keys of any size and sign come back from their runs, in whatever parts they came."""
    listed, builder = list(keys), KeySetBuilder()
    for part in range(parts):
        builder.add(pa.array(listed[part::parts], pa.int64()))

    assert keys_of(made(builder).runs).to_pylist() == sorted(keys)


def test_a_key_that_comes_twice_is_kept_once() -> None:
    """A table without a primary key may have equal keys: they are one key."""
    assert keys_of(runs_of(pa.array([5, 3, 4, 5, 3, 9]))).to_pylist() == [3, 4, 5, 9]


@FEW
@given(KEYS, KEYS)
def test_deleted_keys_are_those_that_were_there_and_are_not(
    before: set[int], now: set[int]
) -> None:
    """No deletion is missed and none is made up."""
    assert deleted(key_set(before), key_set(now)) == sorted(before - now)


@FEW
@given(KEYS, KEYS)
def test_a_set_knows_what_it_holds(keys: set[int], others: set[int]) -> None:
    """A key is in a set if and only if it was put there."""
    asked = pa.array([*keys, None, *others], pa.int64())

    assert set(key_set(keys).not_in(asked).to_pylist()) == others - keys
    assert is_in(key_set(keys), asked.drop_null()).to_pylist() == [
        key in keys for key in asked.drop_null().to_pylist()
    ]


@FEW
@given(KEYS, KEYS)
def test_a_bucket_is_looked_at_exactly_when_its_keys_have_changed(
    before: set[int], now: set[int]
) -> None:
    """A quiet bucket costs nothing, and one that gained or lost a key is never skipped."""
    found = changed_buckets(key_set(before).digests, key_set(now).digests)

    assert found.to_pylist() == sorted({key // SIZE for key in before ^ now})


@FEW
@given(KEYS, KEYS)
def test_a_set_is_brought_up_to_date_by_its_changed_buckets(
    before: set[int], now: set[int]
) -> None:
    """The keys of quiet buckets stay, those of the others are what the source has."""
    old, new = key_set(before), key_set(now)
    changed = changed_buckets(old.digests, new.digests)

    assert with_buckets(old, new.digests, changed, in_buckets(new, changed)) == new


@FEW
@given(KEYS, KEYS)
def test_of_changed_buckets_those_keys_are_left_that_are_still_there(
    before: set[int], now: set[int]
) -> None:
    """Keys that came are left out, and the digests are those of the keys that are left."""
    old, new = key_set(before), key_set(now)
    changed = changed_buckets(old.digests, new.digests)

    assert keysets.among(old, changed, in_buckets(new, changed)) == key_set(before & now)


def test_keys_that_are_left_may_make_too_many_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of which every second one is gone are kept by their hashes from then on."""
    monkeypatch.setattr(keysets, "RUNS_AT_MOST", 8)
    old, left = key_set(range(40)), runs_of(pa.array(range(0, 40, 2)))

    assert keysets.among(old, pa.array([0]), left) is None


@FEW
@given(KEYS, KEYS)
def test_a_set_without_some_of_its_keys_is_that_of_the_others(
    keys: set[int], others: set[int]
) -> None:
    """However they split its runs: no other key goes with them, and digests are the source's."""
    gone = pa.array(sorted(keys & others), pa.int64())

    assert keysets.without(key_set(keys), gone) == key_set(keys - others)


@FEW
@given(st.dictionaries(st.text(max_size=5), KEYS.filter(bool), max_size=3))
def test_key_sets_are_fetched_as_they_were_stored(tables: dict[str, set[int]]) -> None:
    """The sets of all tables are in one object, and come back from it."""
    bucket = FakeBucket()
    sets = {table: key_set(keys) for table, keys in tables.items()}

    assert fetch(bucket, *stored(bucket, sets)) == sets


def test_an_empty_table_has_an_empty_set() -> None:
    """A table without rows does not stop the batch of the others."""
    bucket = FakeBucket()
    sets = {"empty": key_set(()), "full": key_set((1, 2))}

    assert fetch(bucket, *stored(bucket, sets)) == {"full": sets["full"]}


def test_ten_million_serial_keys_take_little_room() -> None:
    """Serial keys are a few runs, so every batch can afford them all."""
    bucket, builder = FakeBucket(), KeySetBuilder()
    for first in range(0, 10_000_000, 1_000_000):
        builder.add(pa.array(range(first, first + 1_000_000), pa.int64()))
    key, _ = stored(bucket, {"payment": made(builder)})

    assert len(bucket.objects[key]) < 140_000


def test_sparse_keys_share_buckets() -> None:
    """However far apart keys are, no table has more digests than a function can hold."""
    draw = random.Random(4)
    keys = {draw.randint(-(2**63), 2**63 - 1) for _ in range(BUCKETS_AT_MOST + 5_000)}
    gone = set(draw.sample(sorted(keys), 3))
    before, now = key_set(keys), key_set(keys - gone)

    assert max(len(before.digests), len(now.digests)) <= BUCKETS_AT_MOST
    assert deleted(before, now) == sorted(gone)


GROWS = """
import random, resource
import pyarrow as pa
from datetime import date
from functions.common.objects import ObjectNames
from functions.sources.postgres.keysets import KeySetBuilder, deleted_keys
from functions.sources.postgres.storedkeys import fetch, store
from functions.sources.postgres.storedkeys import fetch, store
from tests.unit.fake_bucket import FakeBucket
import pyarrow.parquet

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
draw, bucket, builder = random.Random(4), FakeBucket(), KeySetBuilder()
before = peak()
for _ in range(10):
    builder.add(pa.array([draw.randint(-2**63, 2**63 - 1) for _ in range(25_000)], pa.int64()))
made = builder.key_set()
read = fetch(bucket, *store(bucket, ObjectNames("keys", 1, date(2024, 1, 1)), {"a": made}))["a"]
list(deleted_keys(read, made))
print(peak() - before)
"""


def test_sparse_keys_take_memory_by_their_number() -> None:
    """250,000 keys that are far apart are made, stored and read in less than 100 MB."""
    grown = subprocess.run(
        [sys.executable, "-c", GROWS], check=True, capture_output=True, text=True
    ).stdout

    assert int(grown) < 100


def test_a_truncated_table_hands_over_its_keys_in_pieces() -> None:
    """Deleted keys take bounded memory, however many they are, in long runs and in short ones."""
    serial, sparse = range(3_000_000), range(10_000_000, 12_000_000, 10)
    builder = KeySetBuilder()
    for keys in (serial, sparse):
        builder.add(pa.array(keys, pa.int64()))
    pieces = [len(keys) for keys in deleted_keys(made(builder), KeySet())]

    assert sum(pieces) == len(serial) + len(sparse)
    assert max(pieces) <= KEYS_AT_A_TIME
    assert len(pieces) < 30


def test_keys_that_make_too_many_runs_are_no_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A builder gives up before its runs take more memory than the keys in parts would."""
    monkeypatch.setattr(keysets, "RUNS_AT_MOST", 100)
    monkeypatch.setattr(keysets, "RUNS_AT_A_TIME", 10)
    few, many = KeySetBuilder(), KeySetBuilder()
    for start in range(0, 2000, 20):
        few.add(pa.array([start]))
    for start in range(0, 2020, 20):
        many.add(pa.array([start]))

    assert len(made(few).runs) == 100
    assert many.key_set() is None


@pytest.mark.parametrize("edge", [-SIZE, 0, SIZE, 2 * SIZE])
def test_keys_beside_the_edge_of_a_bucket_are_compared_apart(edge: int) -> None:
    """Of neighbours in two buckets only the one that was deleted is reported."""
    before = set(range(edge - 3, edge + 3))
    old = key_set(before)

    assert old.runs.to_pylist() == [
        {"first": edge - 3, "last": edge - 1},
        {"first": edge, "last": edge + 2},
    ]
    for gone in before:
        now = key_set(before - {gone})
        changed = changed_buckets(old.digests, now.digests)
        assert deleted(old, now) == [gone]
        assert with_buckets(old, now.digests, changed, in_buckets(now, changed)) == now


def test_buckets_are_made_larger_before_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that grows past its digests has fewer, larger buckets, with the same sums."""
    old = key_set(range(0, 8 * SIZE, SIZE))
    digests = key_set(range(0, 16 * SIZE, SIZE)).digests
    found = runs_of(pa.array(range(0, 16 * SIZE, SIZE)))
    monkeypatch.setattr(keysets, "BUCKETS_AT_MOST", 8)

    grown = with_buckets(old, digests, pa.array(range(16)), found)

    assert grown == key_set(range(0, 16 * SIZE, SIZE))
    assert (grown.shift, grown.digests["rows"].to_pylist()) == (SHIFT + 1, [2] * 8)


def test_keys_with_a_gap_in_them_are_no_keys() -> None:
    """An object of the right form with a NULL is refused: a run without an end has any key."""
    bucket = FakeBucket()
    key, _ = stored(bucket, {"payment": key_set((1, 2, 9))})
    rows = pq.read_table(pa.BufferReader(bucket.objects[key]))
    for name in ("table", "shift", "first", "last"):
        place = rows.column_names.index(name)
        column = pa.array([None, *rows[name].to_pylist()[1:]], rows.schema.field(name).type)
        bucket.objects[key] = packed(rows.set_column(place, rows.schema.field(name), column))
        with pytest.raises(CorruptLogError, match="does not hold the keys of tables"):
            fetch(bucket, key, digest(bucket.objects[key]))


@FEW
@given(keys=KEYS, others=KEYS)
def test_a_set_with_new_keys_is_the_set_of_all(keys: set[int], others: set[int]) -> None:
    """Its digests are those that the source has for all keys, whatever the size of its buckets."""
    new = others - keys
    found = keysets.united(key_set(keys), key_set(new))

    assert found is not None
    assert set(keys_of(found.runs).to_pylist()) == keys | new
    assert found.digests.equals(key_set(keys | new).digests)


@pytest.mark.parametrize("larger", ["known", "new"])
def test_sets_with_buckets_of_two_sizes_are_united_in_the_larger(larger: str) -> None:
    """The digests of the smaller buckets are added up."""
    small, few = key_set({1, SIZE + 1}), key_set({2, SIZE + 2, 2 * SIZE})
    grown = KeySet(SHIFT + 1, keysets._halved(few.digests).cast(keysets.DIGESTS), few.runs)
    pair = (grown, small) if larger == "known" else (small, grown)

    found = keysets.united(*pair)

    wanted = keysets._halved(key_set({1, 2, SIZE + 1, SIZE + 2, 2 * SIZE}).digests)
    assert found is not None
    assert found.shift == SHIFT + 1
    assert found.digests.equals(wanted.cast(keysets.DIGESTS).sort_by("bucket"))


def test_new_keys_that_make_too_many_runs_make_no_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are stored by their hashes then, as those of a table that is read whole."""
    known = key_set(range(0, 10, 2))
    monkeypatch.setattr(keysets, "RUNS_AT_MOST", 6)

    assert keysets.united(known, key_set({20})) is not None
    assert keysets.united(known, key_set({20, 22})) is None
    assert keysets.united(known, None) is None
