"""A random shop against the functions: nothing lost, nothing twice, and the history as it was.

The seed is in every message; HARNESS_SEED plays it again.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Event, Thread

import pg8000.native
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from etl.sources import WAL
from functions.common.errors import BatchConflictError
from local.connection import connect
from local.emulator import Emulator
from tests.pipeline.arena import TOTESYS, Servers
from tests.pipeline.conftest import Functions
from tests.pipeline.disruptions import SIDES
from tests.pipeline.ground import own_server, wait_until
from tests.pipeline.recorded import (
    States,
    distinct_neighbours,
    fit_now,
    record,
    warehouse_history,
)
from tests.pipeline.rounds import Size, play
from tests.pipeline.shop_actions import Hand, Shelf, random_action
from tests.pipeline.verdict import Lake, compare
from tests.pipeline.workload import Workload, repair_all
from tests.postgres_fixtures import Source, Warehouse

COMMITTED = 150
BATCHES = 5
EXTRACTS = 6

ROUNDS = [
    ("source restored", "table closed", "warehouse restored", "rows refused"),
    ("source forked", "replica lagging", "warehouse renamed", "warehouse crashed"),
    (
        "source crashed",
        "source wrapped",
        "buckets emptied",
        "warehouse dumped",
        "warehouse copied back",
    ),
]
"""The disruptions of each round, on the source's side and on the warehouse's."""

LOGGED = ("slots lost", "source restored", "table closed", "source crashed")
"""Those of the round in which changes are looked up in the source's log."""

SetUp = Callable[[Source, Warehouse], Functions]


def lake_of(functions: Functions) -> Lake:
    return Lake(functions.s3, functions.ingestion, functions.processed)


def batches_in(lake: Lake) -> int:
    """Return how many batches the last look has seen."""
    return sum(
        bucket == lake.ingestion and key.startswith("batches/source/") for bucket, key in lake.seen
    )


def let_trade(shop: Workload, transactions: int) -> None:
    """Wait until so many more have been committed."""
    goal = shop.committed + transactions
    wait_until(lambda: shop.committed >= goal, "the shop trades")


def settle(functions: Functions) -> None:
    """Repair every row, run once more, and check that there is nothing new after that."""
    repair_all(functions.source.superuser_url)
    functions.run()
    assert functions.run()["batch"] is None


def test_a_shop_at_work_beside_the_functions_arrives_as_it_is(
    functions: Functions, seed: int, say: Callable[[str], None]
) -> None:
    """Whatever is written while functions run, the warehouse then equals the source."""
    record(functions.source)
    lake = lake_of(functions)
    shop = Workload(functions.source.superuser_url, seed, writers=4, think=0.02, longest=1.0)
    over, failed = Event(), []

    def repeat(function: Callable[[], object]) -> None:
        while not over.is_set():
            try:
                with suppress(BatchConflictError):
                    function()
            except Exception as error:
                failed.append(error)
                over.set()

    stages = [functions.extract, functions.extract, functions.transform, functions.load] * 2
    workers = [Thread(target=repeat, args=(stage,)) for stage in stages[:-1]]
    with shop.running():
        for worker in workers:
            worker.start()
        while not (over.wait(0.2) or (shop.committed >= COMMITTED and batches_in(lake) >= BATCHES)):
            lake.look()
        over.set()
        for worker in workers:
            worker.join()
    settle(functions)
    verdict = compare(functions.source, functions.warehouse)
    batches = lake.judge(verdict)

    say(f"{shop.done}, {batches} batches, {verdict.compared} rows and records")
    assert failed == []
    assert batches >= BATCHES
    assert shop.committed >= COMMITTED
    assert not verdict.wrong, f"HARNESS_SEED={seed}\n{verdict}"


def test_the_history_is_exactly_what_the_extracts_saw(functions: Functions, seed: int) -> None:
    """With the shop held still at each extract, open transactions and all, records are its states.

    A row in quarantine at an extract has no state then, and one that comes back unchanged is none.
    """
    record(functions.source)
    shop = Workload(functions.source.superuser_url, seed, writers=5, think=0.02, longest=1.0)
    seen: States = {}
    parents: set[tuple[str, int]] = set()

    def extract_in_silence() -> None:
        with shop.gate.closed():
            functions.extract()
            now = fit_now(functions.source)
            for key, states in without_waiting(functions, now, parents).items():
                seen.setdefault(key, []).extend(states)

    with shop.running():
        for _ in range(EXTRACTS):
            extract_in_silence()
            functions.transform()
            functions.load()
            let_trade(shop, COMMITTED // EXTRACTS)
    repair_all(functions.source.superuser_url)
    extract_in_silence()
    functions.transform()
    functions.load()

    wanted = {key: distinct_neighbours(states) for key, states in seen.items()}
    found = warehouse_history(functions.warehouse)
    wrong = [key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)]
    assert shop.committed >= COMMITTED
    assert not wrong, (
        f"HARNESS_SEED={seed}: {[(k, wanted.get(k), found.get(k)) for k in wrong[:5]]}"
    )
    assert not compare(functions.source, functions.warehouse).wrong


@pytest.mark.parametrize("disruptions", ROUNDS, ids=lambda names: names[0])
def test_nothing_is_lost_or_stuck_when_the_ground_moves(
    disruptions: tuple[str, ...],
    local_aws: Emulator,
    tmp_path: Path,
    seed: int,
    say: Callable[[str], None],
) -> None:
    """Databases restored, forked, crashed, moved or closed at work: the warehouse gets it right.

    It equals the source in the end, and the history of each fact is what the batches showed of it.
    """
    size = Size(0.0, writers=3, think=0.1, workers=3, disruptions=disruptions)
    with own_server() as source, own_server() as warehouse:
        servers = Servers(source, warehouse)
        total = play(servers, local_aws, seed, size, log=tmp_path / "functions.log")

    say(
        f"{total.transactions} transactions, {total.batches} batches, {total.invocations}"
        f" invocations, {total.kills} kills, {total.faults} faults, {total.compared} compared"
    )
    assert total.wrong == []
    assert total.disruptions == Counter(disruptions)
    assert total.batches > 0


def test_nothing_is_lost_or_stuck_where_changes_are_in_the_log(
    local_aws: Emulator, tmp_path: Path, seed: int, say: Callable[[str], None]
) -> None:
    """Slots are read and dropped by somebody, functions killed and the source restored at work."""
    size = Size(0.0, writers=3, think=0.05, workers=3, disruptions=LOGGED)
    pipeline = {**TOTESYS, "SOURCE_CAPTURE": WAL}
    with own_server() as source, own_server() as warehouse:
        servers, log = Servers(source, warehouse), tmp_path / "functions.log"
        total = play(servers, local_aws, seed, size, log=log, pipeline=pipeline)

    say(f"{total.transactions} transactions, {total.batches} batches, {total.kills} kills")
    assert total.wrong == []
    assert total.disruptions == Counter(LOGGED)
    assert total.batches > 0


def test_all_disruptions_have_their_turn() -> None:
    """Each disruption that the soak knows is in one of the rounds of every test run."""
    assert sorted({name for names in (*ROUNDS, LOGGED) for name in names}) == sorted(
        name for side in SIDES for name in side
    )


FIT_PARENTS = {
    "currency": "SELECT currency_id FROM currency WHERE currency_code <> 'ZZZ'",
    "staff": "SELECT staff_id FROM staff JOIN department USING (department_id)"
    " WHERE location IS NOT NULL",
}
"""The parents that may be unfit, and which of them a warehouse can hold as they are now."""

FACT_PARENTS = {
    "sales_order": ["currency", "staff"],
    "purchase_order": ["currency", "staff"],
    "payment": ["currency"],
}


def without_waiting(functions: Functions, states: States, parents: set[tuple[str, int]]) -> States:
    """Return states without those of facts that wait for a parent that was never fit.

    `parents` are those that an earlier extract has shown; the ones that are fit now are added.
    """
    with connect(functions.source.superuser_url) as connection:
        parents |= {
            (table, row[0]) for table, sql in FIT_PARENTS.items() for row in connection.run(sql)
        }
        come = {
            (f"fact_{table}", key)
            for table, of in FACT_PARENTS.items()
            for key, *ids in connection.run(
                f"SELECT {table}_id, {', '.join(f'{parent}_id' for parent in of)} FROM {table}"
            )
            if parents.issuperset(zip(of, ids, strict=True))
        }
    return {key: found for key, found in states.items() if key in come}


SESSIONS = 3
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["act"] * 4 + ["begin", "commit", "roll back", "save", "back to save"]),
            st.integers(0, SESSIONS - 1),
            st.integers(0, 10**6),
        ),
        st.tuples(st.sampled_from(["extract", "transform", "load"]), st.just(0), st.just(0)),
    ),
    min_size=15,
    max_size=60,
)


class Sessions:
    """Sessions that take steps in turn; a step that fails, or makes no sense, does no harm."""

    def __init__(self, url: str) -> None:
        self._hands = []
        self._open = [False] * SESSIONS
        shelf = Shelf()
        for number in range(SESSIONS):
            connection = connect(url)
            connection.run("SET lock_timeout = '20ms'")
            self._hands.append(Hand(connection, Random(number), shelf))

    def take(self, step: str, session: int, dice: int) -> None:
        hand, is_open = self._hands[session], self._open[session]
        if (step == "begin") == is_open and step != "act":
            return
        try:
            match step:
                case "act":
                    hand.random.seed(dice)
                    random_action(hand.random)(hand)
                case "save" | "back to save":
                    hand.run("SAVEPOINT s" if step == "save" else "ROLLBACK TO s")
                case _:
                    hand.run({"begin": "BEGIN", "commit": "COMMIT"}.get(step, "ROLLBACK"))
                    self._open[session] = step == "begin"
        except pg8000.native.DatabaseError:
            if is_open:
                hand.run("ROLLBACK")
            self._open[session] = False

    def close(self) -> None:
        for hand in self._hands:
            hand.connection.close()


@settings(
    max_examples=5,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
    print_blob=True,
)
@given(steps=STEPS)
def test_any_order_of_small_steps_ends_in_the_same_warehouse(
    steps: list[tuple[str, int, int]],
    functions_on: SetUp,
    new_source: Callable[[], Source],
    new_warehouse: Callable[[], Warehouse],
) -> None:
    """However transactions, savepoints and runs of the functions interleave, nothing is lost."""
    functions = functions_on(new_source(), new_warehouse())
    record(functions.source)
    sessions = Sessions(functions.source.superuser_url)
    stages = {
        "extract": functions.extract,
        "transform": functions.transform,
        "load": functions.load,
    }
    for step, session, dice in steps:
        if step in stages:
            stages[step]()
        else:
            sessions.take(step, session, dice)
    sessions.close()
    settle(functions)
    assert not (verdict := compare(functions.source, functions.warehouse)).wrong, str(verdict)
