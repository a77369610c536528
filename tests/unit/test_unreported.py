"""Keys that are gone are reported a bounded number at a time, each once."""

from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.sources.postgres import hashedkeys, keysets, unreported
from functions.sources.postgres.keysets import DIGESTS, changed_buckets, deleted_keys, keys_of
from functions.sources.postgres.unreported import Reporting, divided, keeping
from tests.unit.hashed_table import Table
from tests.unit.test_keysets import KEYS, key_set

TEXTS = st.sets(st.text("ab,\\é", max_size=4), max_size=40)
ANY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=[16 << 20, 300], ids=["one part", "many parts"])
def part_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the keys in as many parts as a test has keys for."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", request.param)


@pytest.mark.usefixtures("part_size")
@ANY
@given(st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=6), st.integers(1, 5))
def test_keys_in_parts_are_kept_until_they_are_reported(
    batches: list[tuple[set[str], bool]], room: int
) -> None:
    """What is stored is what was, with what came, without what was reported."""
    table, known, left = Table(), set[str](), list(reversed(batches))
    while left:
        keys, is_whole = left.pop()
        gone, _ = table.becomes(keys, is_whole=is_whole, room=room)

        assert len(gone) == len(set(gone)) == min(room, len(known - keys))
        assert set(gone) <= known - keys
        known = (known | keys) - set(gone)
        assert table.rows_read() == known
        if not left and known != keys:
            left = [(keys, False)]
    assert table.keys().digests == table.digests(keys)


@ANY
@given(KEYS, KEYS, st.integers(0, 59))
def test_runs_are_kept_from_the_first_key_that_is_not_reported(
    before: set[int], now: set[int], number: int
) -> None:
    """Every bucket with a key that is kept differs from any that the source may have."""
    was, here = key_set(before), key_set(now)
    gone = sorted(before - now)
    if number >= len(gone):
        return
    kept = keeping(here, was, gone[number])
    left = gone[number:]

    assert keys_of(kept.runs).to_pylist() == sorted(now | set(left))
    assert pc.sum(kept.digests["rows"]).as_py() == len(now) + len(left)
    for table in (here, key_set(now | set(left))):
        assert {key >> kept.shift for key in left} <= set(
            changed_buckets(kept.digests, table.digests).to_pylist()
        )
    found = chain.from_iterable(keys.to_pylist() for keys in deleted_keys(kept, here))
    assert list(found) == left


@ANY
@given(KEYS, st.integers(0, 70))
def test_runs_are_divided_at_any_key(keys: set[int], number: int) -> None:
    """The first keys are compared, and the others stay what they were."""
    first, others = (keys_of(runs).to_pylist() for runs in divided(key_set(keys).runs, number))

    assert (first, others) == (sorted(keys)[:number], sorted(keys)[number:])


def test_the_room_of_a_batch_is_shared_by_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is as large as it may be, however many tables lose rows."""
    monkeypatch.setattr(unreported, "DELETED_AT_ONCE", 3)
    reporting, gone = Reporting(), list[int]()

    def report(name: str, *keys: int, is_incomplete: bool = False) -> int:
        return reporting.report(
            name,
            lambda some: gone.extend(some.to_pylist()),
            pa.array(keys),
            is_bounded=not is_incomplete,
        )

    assert [report("a", 1, 2), report("b", 3), report("c", 4, 5), report("a", 6)] == [2, 1, 0, 0]
    assert report("d", 7, 8, is_incomplete=True) == 2
    assert (gone, reporting.cut) == ([1, 2, 3, 7, 8], {"a", "c"})


def test_buckets_of_many_keys_that_are_kept_may_be_merged() -> None:
    """Their digest is one that no keys have, also when it is that of a whole table."""
    keys = key_set(range(0, 400_000, 2))
    digests = keeping(key_set([]), keys, 0).digests
    while len(digests) > 1:
        digests = keysets._halved(digests).cast(DIGESTS)

    [digest] = digests.to_pylist()
    assert digest["rows"] == 200_000
    assert digest["sum"] > 2**63 * 10**12
