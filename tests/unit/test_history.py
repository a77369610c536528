"""When a snapshot continues the history of the last batch, and when it is older than that."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace as replaced

from functions.common.manifests import Instance, Source
from functions.sources.postgres.history import CLOCKS_APART, INSTANCES_AT_MOST, Probe, Snapshot

AT = datetime(2024, 11, 16, 9, tzinfo=UTC)
PRIMARY = Instance(datetime(2024, 11, 1, tzinfo=UTC), datetime(2024, 10, 1, tzinfo=UTC), False)
REPLICA = Instance(datetime(2024, 11, 2, tzinfo=UTC), None, True)
OTHER_REPLICA = replaced(REPLICA, started_at=datetime(2024, 11, 3, tzinfo=UTC))
BEFORE = Source("7437", 3, "totesys", AT, 16384, 900, 40_000, [REPLICA, PRIMARY])


def seen_on(instance: Instance, position: int | None = 40_000, **changes: Any) -> Snapshot:
    """Return a later snapshot, taken on a server that stood at a position before it."""
    source = replaced(BEFORE, snapshot_at=AT + timedelta(minutes=1), instances=[instance])
    source = replaced(source, position=None if position is None else position + 100, **changes)
    return Snapshot(source, 950, Probe(instance, position, source.end, None))


@pytest.mark.parametrize("instance", [PRIMARY, REPLICA])
def test_a_server_that_kept_running_continues_its_history(instance: Instance) -> None:
    """Nothing is read again while the servers behind the address stay the same."""
    assert seen_on(instance).follows(BEFORE, 900)
    assert seen_on(instance, 50_000, end=990).follows(BEFORE, 900)


@pytest.mark.parametrize(
    "snapshot",
    [
        seen_on(PRIMARY, system_identifier="another"),
        seen_on(PRIMARY, timeline=4),
        seen_on(PRIMARY, database="another"),
        seen_on(PRIMARY, database_oid=16385),
        seen_on(PRIMARY, position=39_999),
        seen_on(PRIMARY, position=None),
        seen_on(PRIMARY, end=899),
        seen_on(replaced(PRIMARY, started_at=AT)),
        seen_on(replaced(PRIMARY, stats_reset=AT)),
        seen_on(replaced(REPLICA, in_recovery=False)),
        seen_on(OTHER_REPLICA),
    ],
    ids=[
        "another server",
        "another timeline",
        "another database",
        "the database made again",
        "its log went back",
        "its log is not known any more",
        "transaction ids went back",
        "restarted",
        "crashed",
        "promoted",
        "a replica never seen before",
    ],
)
def test_every_table_is_read_again_when_history_may_have_forked(snapshot: Snapshot) -> None:
    """Being unsure means to read again, never to skip."""
    assert not snapshot.follows(BEFORE, 900)


def test_a_batch_of_an_unknown_server_is_never_gone_on_from() -> None:
    """A batch of an earlier version says too little, so everything is read again."""
    assert not seen_on(PRIMARY).follows(Source("7437", 3, "totesys", AT), 900)


def test_replicas_behind_one_address_are_each_read_whole_once() -> None:
    """A replica that took its turn before continues from the batch of any other."""
    first = seen_on(REPLICA).source_after(None)
    second = seen_on(OTHER_REPLICA, 40_200).source_after(first)

    assert not seen_on(OTHER_REPLICA, 40_200).follows(first, 900)
    assert second.instances == [REPLICA, OTHER_REPLICA]
    back = seen_on(REPLICA, 40_400)
    assert back.follows(second, 900)
    assert back.source_after(second).instances == [OTHER_REPLICA, REPLICA]


def test_a_primary_that_was_restarted_is_trusted_alone() -> None:
    """It may have lost what the others showed: each of them is read whole again as well."""
    restarted = replaced(PRIMARY, started_at=AT)

    assert seen_on(restarted).source_after(BEFORE).instances == [restarted]
    assert seen_on(PRIMARY, position=1).source_after(BEFORE).instances == [PRIMARY]
    assert seen_on(REPLICA, timeline=4).source_after(BEFORE).instances == [REPLICA]


def test_the_list_of_servers_stays_short() -> None:
    """A replica that restarts every day does not let the manifests grow."""
    source: Source | None = None
    for day in range(20):
        started = replaced(REPLICA, started_at=AT + timedelta(days=day))
        snapshot = seen_on(started, 40_000 + 1000 * day)
        source = snapshot.source_after(source)

    assert source is not None
    assert len(source.instances) == INSTANCES_AT_MOST
    assert source.instances[-1] == started


@pytest.mark.parametrize(
    ("snapshot", "is_behind"),
    [
        (seen_on(REPLICA), False),
        (seen_on(REPLICA, position=39_999), True),
        (seen_on(OTHER_REPLICA, position=39_999), True),
        (seen_on(REPLICA, end=899), True),
        (seen_on(REPLICA, position=39_999, timeline=2), True),
        (seen_on(REPLICA, position=39_999, timeline=4), False),
        (seen_on(REPLICA, position=39_999, database_oid=1), False),
        (seen_on(PRIMARY, position=39_999), False),
    ],
)
def test_only_a_replica_can_be_behind(snapshot: Snapshot, is_behind: bool) -> None:
    """A snapshot older than the last batch's is waited for; elsewhere, it is another history."""
    assert snapshot.is_behind(BEFORE) is is_behind


def test_a_replica_with_a_later_commit_has_another_history() -> None:
    """It will never catch up, so it is read whole; clocks may differ by some minutes."""
    behind = seen_on(REPLICA, position=39_999)

    assert replace(behind, last_commit=AT + CLOCKS_APART).is_behind(BEFORE)
    another = replace(behind, last_commit=AT + CLOCKS_APART + timedelta(seconds=1))
    assert not another.is_behind(BEFORE)
    assert not another.follows(BEFORE, 900)


@pytest.mark.parametrize(
    ("position", "received", "lags"),
    [(39_899, 40_000, True), (39_900, 40_000, False), (39_901, 40_000, False),
     (40_000, None, False), (None, 40_000, False)],
)  # fmt: skip
def test_a_replica_lags_until_it_has_replayed_all_that_it_received(
    position: int | None, received: int | None, *, lags: bool
) -> None:
    """Its snapshot is 100 bytes after the position; where one is not known, nothing is said."""
    snapshot = seen_on(REPLICA, position)

    assert replace(snapshot, probe=replace(snapshot.probe, received=received)).lags() == lags


def test_the_window_of_transactions_is_half_of_what_xmin_can_tell() -> None:
    """One transaction more, and an older one would look like a later one."""
    assert seen_on(PRIMARY, end=900 + (1 << 31) - 1).follows(BEFORE, 900)
    assert not seen_on(PRIMARY, end=900 + (1 << 31)).follows(BEFORE, 900)
    assert seen_on(PRIMARY).follows(BEFORE, 950)
    assert not seen_on(PRIMARY).follows(BEFORE, 951)
