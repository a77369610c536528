"""Change capture's arithmetic: the position of a table, and when it must be read whole."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replaced

from functions.common.manifests import IngestionManifest, Instance, Source, TableCapture
from functions.sources.postgres.changes import Since, changed, next_seen, since, standing
from functions.sources.postgres.history import WINDOW, XIDS, Probe, Snapshot

NINE, TEN = (datetime(2024, 11, 16, hour, tzinfo=UTC) for hour in (9, 10))
SERVER = Instance(datetime(2024, 11, 1, tzinfo=UTC), None, in_recovery=False)
SOURCE = Source("7437", 1, "totesys", NINE, 16384, 905, 40_000, [SERVER])
LATER = replaced(SOURCE, snapshot_at=TEN, end=1010, position=50_000)
KEYS = "keys/source/2024-11-16/0000000007-0000000000001.parquet"
PROBE = Probe(SERVER, 49_000, 1010, None)
SNAPSHOT = Snapshot(LATER, 1000, PROBE)
CAPTURE = TableCapture(
    key=["id"],
    columns=[("id", "integer")],
    fingerprint="same",
    horizon=900,
    seen=[(903, 905), (907, 907)],
    incarnation="first",
)


def after(capture: TableCapture | None, source: Source = SOURCE) -> IngestionManifest:
    """Return a manifest that left the table `design` like this."""
    tables = {} if capture is None else {"design": capture}
    return IngestionManifest(7, SOURCE.snapshot_at, "run", source, tables, {}, KEYS, "digest", {})


def ending_at(end: int) -> Snapshot:
    return replace(SNAPSHOT, source=replaced(LATER, end=end))


def go_on(
    before: IngestionManifest | None, fingerprint: str = "same", incarnation: str = "first"
) -> Since | None:
    return since(standing(SNAPSHOT, before, "design"), fingerprint, incarnation)


def test_a_table_goes_on_from_where_the_last_batch_stood() -> None:
    """The horizon and what was shown above it are taken over, whenever the batch was made."""
    assert go_on(after(CAPTURE)) == Since(900, frozenset({903, 904, 905, 907}))


@pytest.mark.parametrize(("transactions", "goes_on"), [(1 << 18, True), ((1 << 18) + 1, False)])
def test_a_table_is_read_whole_when_too_many_transactions_were_shown(
    transactions: int, goes_on: bool
) -> None:
    """A function holds a quarter of a million ids, 40 MB, and no more."""
    shown = replaced(CAPTURE, seen=[(903, 902 + transactions)])

    assert (go_on(after(shown)) is not None) == goes_on


@pytest.mark.parametrize(
    "before",
    [
        None,
        after(None),
        after(replaced(CAPTURE, horizon=None)),
        after(CAPTURE, replaced(SOURCE, system_identifier="another")),
        after(CAPTURE, replaced(SOURCE, timeline=2)),
        after(CAPTURE, replaced(SOURCE, database="another")),
        after(replaced(CAPTURE, horizon=1001)),
        after(replaced(CAPTURE, horizon=1010 - WINDOW)),
    ],
    ids=[
        "the first batch",
        "a new table",
        "a table never read so far",
        "another server",
        "another timeline",
        "another database",
        "a horizon in the future",
        "half of all transaction ids have gone by",
    ],
)
def test_a_table_is_read_whole_when_its_position_means_nothing_here(
    before: IngestionManifest | None,
) -> None:
    """Where changes cannot be recognised all rows are read, and the position is forgotten."""
    assert standing(SNAPSHOT, before, "design") is None
    assert go_on(before) is None


def test_a_table_with_other_columns_is_read_whole_and_keeps_its_position() -> None:
    """Once the columns are as before, the table continues from its position."""
    assert standing(SNAPSHOT, after(CAPTURE), "design") == CAPTURE
    assert go_on(after(CAPTURE), "columns have changed") is None
    assert go_on(after(CAPTURE), incarnation="made again") is None


def test_positions_hold_right_up_to_their_limits() -> None:
    """A horizon that has not moved, and one that is just inside half of all ids, are good."""
    far = replace(ending_at(2 * WINDOW), horizon=2 * WINDOW)

    assert SNAPSHOT.follows(SOURCE, SNAPSHOT.horizon)
    assert far.follows(SOURCE, WINDOW + 1)
    assert not far.follows(SOURCE, WINDOW)


@given(st.integers(3, 2**62), st.integers(1, WINDOW))
def test_a_short_transaction_id_is_widened_to_the_one_that_was_meant(end: int, age: int) -> None:
    """xmin holds 32 of 64 bits; which transaction it means is exact, across every 2^32 boundary."""
    xid = end - age
    snapshot = ending_at(end)

    if xid > 0:
        assert snapshot.widen(xid % XIDS) == xid


def test_ids_just_before_and_after_a_boundary_are_distinguished() -> None:
    """The last ids of one epoch and the first of the next keep their order."""
    snapshot = ending_at(3 * XIDS + 5)

    assert [snapshot.widen(xid) for xid in (XIDS - 1, 3, 4)] == [
        3 * XIDS - 1,
        3 * XIDS + 3,
        3 * XIDS + 4,
    ]


@given(st.sets(st.integers(990, 1009)), st.sets(st.integers(990, 1009)))
def test_what_was_shown_is_remembered_as_long_as_it_can_come_again(
    before: set[int], shown: set[int]
) -> None:
    """Transactions at or above the horizon are kept, those below need no memory."""
    ranges = next_seen(SNAPSHOT, Since(900, frozenset(before)), [xid % XIDS for xid in shown])

    assert [xid for low, high in ranges for xid in range(low, high + 1)] == sorted(
        xid for xid in before | shown if xid >= SNAPSHOT.horizon
    )
    assert all(high + 1 < low for (_, high), (low, _) in pairwise(ranges))


def test_after_a_wrap_only_what_had_ended_before_the_snapshot_counts_as_shown() -> None:
    """A frozen row of an earlier round may bear the id of a transaction that is still open."""
    end = XIDS + 1010
    wrapped = replace(
        ending_at(end),
        horizon=XIDS + 1000,
        probe=replace(PROBE, end=XIDS + 1005, running=frozenset({XIDS + 1002})),
    )
    unknown = replace(wrapped, probe=replace(wrapped.probe, running=None))

    assert next_seen(wrapped, None, range(1000, 1010)) == [
        (XIDS + 1000, XIDS + 1001),
        (XIDS + 1003, XIDS + 1004),
    ]
    assert next_seen(unknown, Since(900, frozenset({XIDS + 1001})), range(1000, 1010)) == [
        (XIDS + 1001, XIDS + 1001)
    ]


def test_neighbours_are_kept_as_one_range() -> None:
    """A thousand transactions in a row take the room of two numbers."""
    snapshot = ending_at(3000)

    assert next_seen(snapshot, None, range(1000, 2000)) == [(1000, 1999)]
    assert next_seen(snapshot, None, [1005, 1000, 1001]) == [(1000, 1001), (1005, 1005)]


def test_a_table_that_is_read_whole_has_no_condition() -> None:
    """Without a position every row counts as changed."""
    assert changed("payment", None) == "true"
