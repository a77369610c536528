"""The keys of the tables in a snapshot: which of them came, which are gone, and which are known."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from functions.common.accounts import KnownFiles
from functions.common.errors import CorruptLogError
from functions.common.manifests import IngestionManifest, Source, TableCapture
from functions.common.objects import ObjectNames
from functions.sources.postgres import keysets, storedkeys, tablekeys, unreported
from functions.sources.postgres.hashedkeys import HashedKeys
from functions.sources.postgres.keysets import SHIFT, KeySet, keys_of
from functions.sources.postgres.plan import TableKeys
from functions.sources.postgres.surveys import Survey
from functions.sources.postgres.tablekeys import SnapshotKeys
from tests.unit.fake_bucket import FakeBucket
from tests.unit.hashed_table import found, hash_of
from tests.unit.test_keysets import SIZE, key_set

DAY = date(2024, 11, 16)
NAMES = ObjectNames("keys/shop", 2, DAY)
BETWEEN = re.compile(r"BETWEEN (-?\d+) AND (-?\d+) AND id >> (\d+) IN")
NOTHING: Any = None


def plan(*, is_hashed: bool = False, **others: Any) -> Any:
    """Return what is asked of the plan of a table."""
    names = {"id": "staff", "key": "id", "key_sql": "id", "key_text": "id", "source": "staff"}
    names |= {"compared": "true"}
    others = {"scan": "all", "is_whole": False, "is_logged": False, "is_incomplete": False} | others
    others = {"portion": None} | others
    return SimpleNamespace(**names, is_hashed=is_hashed, error=None, **others)


@pytest.fixture(autouse=True)
def source(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    """A table with the keys that a test puts here; it answers queries for them."""
    there: set[Any] = set()
    asked: dict[str, str] = {}

    def copy_out(_: object, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        if schema != pa.schema([("key", pa.int64())]):
            stale = pa.array(json.loads(asked["buckets"])) if "IN" in query else None
            yield from found(there, stale)
            return
        first, last, shift = map(int, BETWEEN.search(query).groups())  # type: ignore[union-attr]
        buckets = json.loads(asked["buckets"])
        keys = [key for key in there if first <= key <= last and key >> shift in buckets]
        yield pa.record_batch([pa.array(keys, pa.int64())], schema=schema)

    monkeypatch.setattr(tablekeys, "copy_out", copy_out)
    monkeypatch.setattr(tablekeys, "set_values", lambda _, values: asked.update(values))
    monkeypatch.setattr(tablekeys, "array", json.dumps)
    return there


def snapshot_keys(known: Mapping[str, TableKeys]) -> SnapshotKeys:
    return SnapshotKeys(NOTHING, FakeBucket(), NAMES, known)


def survey(now: KeySet) -> Survey:
    return Survey(now.digests, 0)


@pytest.mark.parametrize("gone", [0, 2 * SIZE - 1, 2 * SIZE, 3 * SIZE - 1, -1])
def test_a_deleted_key_is_found_wherever_it_is_in_its_bucket(source: set[int], gone: int) -> None:
    """The first and the last key of a bucket are looked up like all others."""
    before = {gone, *range(-5, 3 * SIZE, 7), 2 * SIZE - 2, 2 * SIZE + 1}
    source |= before - {gone}
    keys, deleted = snapshot_keys({"staff": key_set(before)}), list[int]()

    keys.begin(plan(), survey(key_set(source)), print)
    keys.end(plan(), survey(key_set(source)), lambda some: deleted.extend(some.to_pylist()))

    assert deleted == [gone]
    assert keys.now["staff"] == key_set(source)


@pytest.mark.parametrize("scan", ["all", "changes"])
def test_keys_of_a_table_that_is_read_in_portions_come_with_its_rows(
    source: set[int], scan: str
) -> None:
    """Of the others it is only asked which are gone; what came before its row is not known yet."""
    source |= {2, 3, 7, 8, 9}
    known = {1, 2, 3} if scan == "all" else {2, 3}
    keys, deleted = snapshot_keys({"staff": key_set(known)}), list[int]()
    portion = plan(scan=scan, portion="a portion")

    keys.begin(portion, survey(key_set(source)), print)
    keys.add(portion, pa.record_batch({"id": pa.array([3, 7])}))
    keys.add(portion, pa.record_batch({"id": pa.array([8])}), are_new=True)
    keys.end(portion, survey(key_set(source)), lambda some: deleted.extend(some.to_pylist()))

    assert deleted == sorted(known - {2, 3})
    assert keys.now["staff"] == key_set({2, 3, 7, 8})


def test_a_key_that_came_is_known_by_a_scan_of_all_keys(source: set[int]) -> None:
    """It needs no row: of a table that is scanned, all keys are known."""
    source |= {1, 2, 9}
    keys = snapshot_keys({"staff": key_set({1, 2, 3})})

    keys.begin(plan(), survey(key_set(source)), print)
    keys.end(plan(), survey(key_set(source)), print)

    assert keys.now["staff"] == key_set({1, 2, 9})


def test_a_quiet_table_is_not_asked_for_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests that are the same say that no key has come or gone."""
    known = {"staff": key_set(range(9))}
    keys = snapshot_keys(known)
    monkeypatch.setattr(tablekeys, "copy_out", lambda *_: pytest.fail("the table was asked"))

    keys.end(plan(), survey(key_set(range(9))), print)

    assert keys.now == known


def test_keys_of_a_table_that_is_read_whole_are_those_of_its_rows() -> None:
    """What such a table had and no row has is gone; what it did not have was not known."""
    keys, deleted = snapshot_keys({"staff": key_set({1, 2, 3})}), list[int]()
    rows = pa.record_batch({"id": pa.array([3, 4, 1])})

    keys.begin(plan(), None, print)
    keys.add(plan(is_whole=True), rows)
    keys.end(plan(), None, lambda some: deleted.extend(some.to_pylist()))

    assert deleted == [2]
    assert keys_of(keys.now["staff"].runs).to_pylist() == [1, 3, 4]  # type: ignore[union-attr]
    assert keys.is_known(plan(), rows).to_pylist() == [True, False, True]
    assert keys.absent(plan(), pa.array([1, 2, 4, 5, None])).to_pylist() == [5]


def test_keys_that_are_too_many_to_be_reported_stay_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next batch finds those that this one has no room for; they are not there any more."""
    monkeypatch.setattr(unreported, "DELETED_AT_ONCE", 2)
    keys, deleted = snapshot_keys({"staff": key_set({1, 2, 3, 4, 5})}), list[int]()

    keys.begin(plan(), None, print)
    keys.add(plan(is_whole=True), pa.record_batch({"id": pa.array([3, 6])}))
    keys.end(plan(), None, lambda some: deleted.extend(some.to_pylist()))

    assert (deleted, set(keys.cut)) == ([1, 2], {"staff"})
    assert keys_of(keys.stored["staff"].runs).to_pylist() == [3, 4, 5, 6]  # type: ignore[union-attr]
    assert keys_of(keys.now["staff"].runs).to_pylist() == [3, 6]  # type: ignore[union-attr]


@pytest.mark.parametrize("known", [{}, {"staff": HashedKeys(FakeBucket())}], ids=["new", "parts"])
def test_a_table_without_runs_of_before_has_no_key_that_is_known(
    known: dict[str, TableKeys],
) -> None:
    """Whether it is new, or had keys in parts: nothing is gone, and every key has come."""
    keys = snapshot_keys(known)
    rows = pa.record_batch({"id": pa.array([1, 2])})

    keys.begin(plan(), None, print)
    keys.add(plan(is_whole=True), rows)
    keys.end(plan(), None, lambda some: pytest.fail(f"{some} are gone"))

    assert keys.is_known(plan(), rows).to_pylist() == [False, False]
    assert keys.absent(plan(), pa.array([1, 3])).to_pylist() == [3]


@pytest.mark.parametrize("is_whole", [True, False], ids=["read whole", "scanned"])
def test_keys_that_become_sparse_are_kept_in_parts(
    source: set[Any], monkeypatch: pytest.MonkeyPatch, *, is_whole: bool
) -> None:
    """A table whose keys make too many runs loses none of its deletions on the way."""
    monkeypatch.setattr(keysets, "RUNS_AT_MOST", 3)
    monkeypatch.setattr(keysets, "RUNS_AT_A_TIME", 1)
    before, now = {0, 1, 2, 50}, [0, 10, 20, 30, 50]
    source |= {str(key) for key in now}
    keys, deleted = snapshot_keys({"staff": key_set(before)}), list[int]()
    partial = None if is_whole else Survey(keysets.DIGESTS.empty_table(), 0, is_partial=True)

    keys.begin(plan(), partial, print)
    keys.add(plan(is_whole=True), pa.record_batch({"id": pa.array(now[:3])}))
    keys.add(plan(is_whole=True), pa.record_batch({"id": pa.array(now[3:])}))
    keys.end(plan(), partial, lambda some: deleted.extend(some.to_pylist()))

    assert deleted == [1, 2]
    assert isinstance(stored := keys.now["staff"], HashedKeys)
    assert stored.not_in(pa.array([*now, 1, 2])).to_pylist() == [1, 2]


def test_keys_in_parts_are_compared_before_the_rows_are_read(source: set[Any]) -> None:
    """Of a hashed table too it is known, row by row, which keys the batch before had."""
    source |= {"a", "b"}
    first = snapshot_keys({})
    first.begin(plan(is_hashed=True), None, print)
    source ^= {"a", "c"}
    second, deleted = SnapshotKeys(NOTHING, FakeBucket(), NAMES, first.now), list[str]()
    digests = snapshot_keys({})
    digests.begin(plan(is_hashed=True), None, print)

    second.begin(
        plan(is_hashed=True),
        Survey(digests.now["staff"].digests, 0),
        lambda some: deleted.extend(some.to_pylist()),
    )

    rows = pa.record_batch({"_hash": pa.array([hash_of("b"), hash_of("c")], pa.int64())})
    assert deleted == ["a"]
    assert second.is_known(plan(is_hashed=True), rows).to_pylist() == [True, False]
    assert second.absent(plan(is_hashed=True), pa.array(["a", "b", "c", "d"])).to_pylist() == ["d"]


def manifest(bucket: FakeBucket, sets: Mapping[str, TableKeys], **types: str) -> IngestionManifest:
    stored = tablekeys.store(bucket, NAMES, sets)
    capture = TableCapture(["id"], list(types.items()), "", 1, [])
    at = datetime(2024, 11, 16, tzinfo=UTC)
    source = Source("1", 1, "shop", at)
    return IngestionManifest(
        2, at, "run", source, {"staff": capture}, {}, stored.keys, stored.sha256, stored.parts
    )


def test_the_keys_of_a_batch_are_those_that_were_stored() -> None:
    """Runs and parts come back from what the manifest names, and from nothing else."""
    bucket = FakeBucket()
    sets: dict[str, TableKeys] = {"staff": key_set({1, 2}), "note": HashedKeys(bucket)}
    batch = manifest(bucket, sets)
    read = tablekeys.fetch(bucket, batch)

    assert (read["staff"], tablekeys.in_parts(read)) == (sets["staff"], {"note"})

    assert batch.keys is not None
    other, _ = storedkeys.store(FakeBucket(), NAMES, {"staff": key_set({1})})
    bucket.objects[batch.keys] = bucket.objects[batch.keys][:-1] + b"\0"
    assert other != batch.keys
    with pytest.raises(CorruptLogError, match="it is not what was written there"):
        tablekeys.fetch(bucket, batch)


def test_a_batch_of_files_has_no_keys_of_tables() -> None:
    """A source that was files until its last batch begins as a database without keys."""
    bucket = FakeBucket()
    batch = replace(manifest(bucket, {}), keys=None, keys_sha256=None, known=KnownFiles(1))

    assert tablekeys.fetch(bucket, batch) == {}


@pytest.mark.parametrize(
    ("was", "integer", "types", "is_kept"),
    [
        ("integer", True, {"id": "bigint"}, True),
        ("text", True, {"id": "bigint"}, False),
        ("uuid", False, {"id": "uuid"}, True),
        ("uuid", False, {"id": "text"}, False),
    ],
)
def test_keys_of_another_form_are_not_compared(
    was: str, integer: bool, types: dict[str, str], is_kept: bool
) -> None:
    """The text of a key in another type may be another text: none of them would be found."""
    known: dict[str, TableKeys] = {"staff": key_set({1})}
    table = SimpleNamespace(keys=("id",))
    columns = SimpleNamespace(types=list(types.items()))
    now = plan(has_integer_key=integer, table=table, columns=columns)
    batch = manifest(FakeBucket(), known, id=was)

    assert tablekeys.comparable(known, {"staff": now}, batch) == (known if is_kept else {})
    assert tablekeys.comparable(known, {"staff": now}, None) == {}
    now.error = "the table is not there"
    assert tablekeys.comparable(known, {"staff": now}, batch) == known


def test_integer_keys_have_buckets_of_their_upper_bits() -> None:
    """The source and the lake agree on what a bucket is."""
    assert keysets.digest_columns('a "key', SHIFT) == (
        '"a ""key" >> 12, count(*), sum(hashint8extended("a ""key", 0))'
    )


def test_keys_of_changed_rows_join_those_that_are_known() -> None:
    """Where a run reads changed rows alone nothing is gone: the next scan finds that out."""
    keys = snapshot_keys({"staff": key_set({1, 2, 3})})
    changed, found = plan(scan="changes"), Survey(keysets.DIGESTS.empty_table(), None)

    keys.begin(changed, found, print)
    keys.add(changed, pa.record_batch({"id": pa.array([3, 5])}))
    keys.add(changed, pa.record_batch({"id": pa.array([7])}))
    keys.end(changed, found, lambda some: pytest.fail(f"{some} are gone"))

    assert keys.now == {"staff": key_set({1, 2, 3, 5, 7})}


@pytest.mark.parametrize("others", [{"is_whole": True}, {"scan": "changes"}])
def test_keys_in_parts_are_never_those_of_rows(source: set[Any], others: dict[str, Any]) -> None:
    """They were read from the source before, with their hashes."""
    source |= {"a", "b"}
    keys, hashed = snapshot_keys({}), plan(is_hashed=True, **others)

    keys.begin(hashed, None, print)
    keys.add(hashed, pa.record_batch({"id": pa.array(["a"])}))

    assert keys.absent(hashed, pa.array(["a", "b", "c"])).to_pylist() == ["c"]
