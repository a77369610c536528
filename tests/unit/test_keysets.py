"""The keys of a table, kept as bits: what was deleted is told exactly."""

from collections.abc import Iterable

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.extract.keysets import (
    SIZE,
    Digest,
    KeyBucket,
    KeySet,
    bits_by_bucket,
    changed_buckets,
    deleted_keys,
    fetch,
    keys_in,
    not_in,
    store,
)
from tests.unit.fake_bucket import FakeBucket

# Dense ones share buckets; the others are anywhere that a bigint can be.
KEYS = st.sets(st.integers(-3 * SIZE, 3 * SIZE) | st.integers(-(2**63), 2**63 - 1), max_size=60)


def key_set(keys: Iterable[int]) -> KeySet:
    """Return a set as extract makes it, with a digest that tells different buckets apart."""
    return {
        number: KeyBucket(Digest(bits.bit_count(), str(bits)), bits)
        for number, bits in bits_by_bucket(pa.array(keys, pa.int64())).items()
    }


@given(KEYS)
def test_bits_hold_exactly_the_keys(keys: set[int]) -> None:
    """Keys of any size and sign come back from their bits, in order within a bucket."""
    buckets = bits_by_bucket(pa.array(keys, pa.int64()))
    found = {number: list(keys_in(number, bits)) for number, bits in buckets.items()}

    assert sorted(key for kept in found.values() for key in kept) == sorted(keys)
    assert all(kept == sorted(kept) for kept in found.values())


@given(KEYS, KEYS)
def test_deleted_keys_are_those_that_were_there_and_are_not(
    before: set[int], now: set[int]
) -> None:
    """No deletion is missed and none is made up."""
    assert deleted_keys(key_set(before), key_set(now)) == sorted(before - now)


@given(KEYS, KEYS)
def test_a_set_knows_what_it_holds(keys: set[int], others: set[int]) -> None:
    """A key is in a set if and only if it was put there."""
    asked = pa.array([*keys, None, *others], pa.int64())

    assert set(not_in(key_set(keys), asked)) == others - keys


@given(KEYS, KEYS)
def test_a_bucket_is_looked_at_exactly_when_its_keys_have_changed(
    before: set[int], now: set[int]
) -> None:
    """A quiet bucket costs nothing, and one that gained or lost a key is never passed over."""
    digests = {number: bucket.digest for number, bucket in key_set(now).items()}

    assert changed_buckets(key_set(before), digests) == sorted(
        {key // SIZE for key in before ^ now}
    )


@settings(deadline=None)  # the first Parquet file of a process takes its time
@given(st.dictionaries(st.text(max_size=5), KEYS.filter(bool), max_size=3))
def test_key_sets_are_fetched_as_they_were_stored(tables: dict[str, set[int]]) -> None:
    """The sets of all tables are in one object, and come back from it."""
    bucket = FakeBucket()
    sets = {table: key_set(keys) for table, keys in tables.items()}

    sha256 = store(bucket, "keys/1.parquet", sets)
    assert fetch(bucket, "keys/1.parquet", sha256) == sets


def test_key_sets_are_stored_under_a_free_name_only() -> None:
    """The keys of a run that died are not overwritten."""
    bucket = FakeBucket({"keys/1.parquet": b"taken"})

    assert store(bucket, "keys/1.parquet", {}) is None
    assert bucket.objects == {"keys/1.parquet": b"taken"}


def test_a_million_keys_take_little_room() -> None:
    """Serial keys are kept in about a bit each, so every batch can afford them all."""
    bucket = FakeBucket()
    store(bucket, "keys/1.parquet", {"payment": key_set(range(1, 1_000_001))})

    assert len(bucket.objects["keys/1.parquet"]) < 140_000
