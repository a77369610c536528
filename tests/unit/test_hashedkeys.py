"""The keys of a table that are not single integers: deletions are found exactly, in parts."""

import inspect
from collections.abc import Generator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from functions.common.errors import CorruptLogError
from functions.common.keyparts import KeyParts
from functions.common.objects import ObjectNames
from functions.common.parquet import digest, packed
from functions.sources.postgres import hashedkeys
from functions.sources.postgres.hashedkeys import renewed
from tests.unit.hashed_table import DAY, Table, found, hash_of, into, many

# Few buckets, so that some keys share one; the hashes of `hashed` are in all 65,536.
KEYS = st.sets(st.text("ab,\\é", max_size=4), max_size=40)


@pytest.fixture(params=[16 << 20, 300], ids=["one part", "many parts"])
def part_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the keys in as many parts as a test has keys for."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", request.param)


ANY_PART = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.usefixtures("part_size")
@ANY_PART
@given(st.lists(st.tuples(KEYS, st.booleans()), min_size=1, max_size=6))
def test_every_batch_finds_what_is_gone_and_what_is_new(
    batches: list[tuple[set[str], bool]],
) -> None:
    """Whatever comes and goes, read whole or not, no deletion is missed and none is made up."""
    table = Table()
    for keys, is_whole in batches:
        before = table.there
        gone, new = table.becomes(keys, is_whole=is_whole)

        assert sorted(gone) == sorted(before - keys)
        assert table.rows_read() == keys
        assert table.keys().digests == table.digests(keys)
        asked = sorted(keys)
        is_known = new.is_known(pa.array(map(hash_of, asked), pa.int64())).to_pylist()
        assert [key for key, known in zip(asked, is_known, strict=True) if known] == sorted(
            before & keys
        )


@pytest.mark.usefixtures("part_size")
@ANY_PART
@given(KEYS, KEYS, KEYS)
def test_a_set_knows_what_it_holds(first: set[str], keys: set[str], others: set[str]) -> None:
    """A key is in a set if and only if the table had it, whatever part or patch it is in."""
    table = Table()
    table.becomes(first)
    table.becomes(keys)
    asked = pa.array([*keys, None, *others], pa.string())

    assert set(table.keys().not_in(asked).to_pylist()) == others - keys


def test_a_few_changes_read_few_parts_and_write_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a quiet table's batch does not depend on how many keys the table has."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", 3000)
    table = Table()
    table.becomes(many(4000))
    parts = table.stored.parts
    table.bucket.requests.clear()

    gone, _ = table.becomes(many(4000) - {"key 7"} | {"another"})

    assert gone == ["key 7"]
    assert table.stored.parts == parts
    assert table.bucket.requests["put"] == 2  # the digests, and the patch
    assert table.bucket.requests["get"] <= 1 + 2  # the digests, and the parts of two keys


@pytest.mark.usefixtures("part_size")
def test_many_changes_are_written_into_the_parts() -> None:
    """The patch, which every batch writes again, stays a small share of the keys."""
    table = Table()
    table.becomes(many(1000))
    for batch in range(1, 13):
        table.becomes(many(1000 + 75 * batch))
        assert len(table.keys().patch) * hashedkeys.PATCH_SHARE <= 1000 + 75 * batch

    assert table.rows_read() == many(1000 + 75 * 12)


def test_a_truncated_table_hands_over_its_keys_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted keys take no more memory than a part, however many they are."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", 3000)
    table = Table()
    table.becomes(many(4000))
    largest = max(part.rows for part in table.stored.parts)
    pieces: list[pa.Array] = []

    def take(keys: pa.Array) -> int:
        pieces.append(keys)
        return len(keys)

    new = renewed(table.keys(), ObjectNames("keys/shop", 2, DAY), found(set()), take)

    assert sum(map(len, pieces)) == 4000
    assert max(map(len, pieces)) <= largest < 300
    assert new.keys.stored == KeyParts()


def test_after_an_error_the_source_sends_no_more_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection could not even roll back, and that error would be the one that is shown."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", 3000)
    coming, table = found(many(4000)), Table()
    assert isinstance(coming, Generator)
    monkeypatch.setattr(table.bucket, "put_new", None)

    with pytest.raises(TypeError):
        renewed(table.keys(), ObjectNames("keys/shop", 1, DAY), coming, into([]))

    assert inspect.getgeneratorstate(coming) == inspect.GEN_CLOSED


@pytest.mark.parametrize("other", [{"key": ["a"]}, {"bucket": [1], "key": ["a"]}])
def test_an_object_that_holds_no_keys_is_an_error(other: dict[str, list[object]]) -> None:
    """Another object in the place of a part is never taken for keys."""
    table = Table()
    table.becomes({"a", "b"})
    [part] = table.stored.parts
    body = packed(pa.table(other))
    table.bucket.objects[part.key] = body
    table.stored = KeyParts(
        table.stored.digests, [type(part)(part.key, 1, digest(body), part.last)], None
    )

    with pytest.raises(CorruptLogError, match=f"{part.key} does not hold keys"):
        table.rows_read()


def test_a_damaged_object_is_an_error() -> None:
    """Keys that are misread would be rows that are taken for deleted."""
    table = Table()
    table.becomes({"a", "b"})
    for file in table.stored.files:
        body = table.bucket.objects[file.key]
        table.bucket.objects[file.key] = body[:-1] + bytes([body[-1] ^ 0x55])

    with pytest.raises(CorruptLogError, match="it is not what was written there"):
        table.rows_read()
    with pytest.raises(CorruptLogError, match="it is not what was written there"):
        _ = table.keys().digests


def test_keys_with_a_gap_in_them_are_no_keys() -> None:
    """A part with a NULL is refused: it would hide a key, and its row would be deleted."""
    table = Table()
    table.becomes({"a", "b"})
    [part] = table.stored.parts
    rows = pq.read_table(pa.BufferReader(table.bucket.objects[part.key]))
    for place, field in enumerate(rows.schema):
        column = pa.array([None, rows[place][1].as_py()], field.type)
        body = packed(rows.set_column(place, field, column))
        table.bucket.objects[part.key] = body
        table.stored = KeyParts(None, [replace(part, sha256=digest(body))], None)
        with pytest.raises(CorruptLogError, match="does not hold keys of a table"):
            table.rows_read()


def test_a_part_of_another_number_of_keys_is_refused() -> None:
    """The manifest says how many keys a part has: none is missing, and none is added."""
    table = Table()
    table.becomes({"a", "b"})
    [part] = table.stored.parts
    for rows in (1, 3):
        table.stored = KeyParts(None, [replace(part, rows=rows)], None)
        with pytest.raises(CorruptLogError, match=f"it has 2 rows, and its manifest says {rows}"):
            table.rows_read()


def test_a_row_without_a_key_is_not_known() -> None:
    """Nor is any row of a table that had none, and all are of one that has gained none."""
    table = Table()
    _, first = table.becomes({"a", "b"})
    _, second = table.becomes({"a", "b", "c"})
    _, third = table.becomes({"a", "b", "c"})
    hashes = pa.array([hash_of("a"), hash_of("c"), None], pa.int64())

    assert first.is_known(hashes).to_pylist() == [False, False, False]
    assert second.is_known(hashes).to_pylist() == [True, False, False]
    assert third.is_known(hashes[:2]).to_pylist() == [True, True]


def test_a_part_that_is_written_again_covers_the_buckets_that_it_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key in the first bucket of the next part would be looked for in it, and be missed."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", 3000)
    table = Table()
    table.becomes(many(1000))
    first, *others = table.stored.parts
    [some, *_] = (part.keys()["key"].to_pylist() for part in table.keys().ranges())

    table.becomes(many(1000) - {*some[: len(some) * 3 // 4]})

    again, *kept = table.stored.parts
    assert again.rows < first.rows
    assert again.last == first.last
    assert kept == others
