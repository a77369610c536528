"""Functions that die, and databases and buckets that fail: afterwards it is as if nothing had been.

Each invocation is a separate process. HARNESS_SEED plays a storm again.
"""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.connection import connect
from local.emulator import Emulator
from local.postgres import PostgresServer
from tests.pipeline.arena import Arena, Servers, arena
from tests.pipeline.invocation import Fate, How, S3Fault
from tests.pipeline.recorded import warehouse_history
from tests.pipeline.rounds import Figures, Size, play
from tests.pipeline.shop_actions import Hand, Shelf, place_order
from tests.pipeline.storm import Storm
from tests.pipeline.verdict import compare

KILLS = 12
FAULTS = 5
BATCHES = 4
PATIENCE_SECONDS = 600.0  # a busy machine takes long for so many
WRITES_TO_DIE_AT: list[How] = ["die before", "die after"]
FAILURES: list[How] = ["InternalError", "SlowDown", "timeout", "answer lost", "hang"]


def test_a_storm_leaves_no_trace(
    postgres: PostgresServer,
    local_aws: Emulator,
    tmp_path: Path,
    seed: int,
    say: Callable[[str], None],
) -> None:
    """Functions side by side, killed at random places while S3 and databases fail: exact equality.

    No batch number has two contents, no object is changed after it was written, and every error is
    one of those that were provoked.
    """
    size = Size(PATIENCE_SECONDS, writers=3, think=0.05, workers=4)

    def enough(figures: Figures) -> bool:
        seen = (figures.kills >= KILLS, figures.faults >= FAULTS, figures.batches >= BATCHES)
        return bool(figures.wrong) or all(seen)

    total = play(
        Servers(postgres, postgres),
        local_aws,
        seed,
        size,
        log=tmp_path / "functions.log",
        tick=enough,
    )

    say(
        f"{total.transactions} transactions, {total.batches} batches, {total.invocations}"
        f" invocations, {total.kills} kills, {total.faults} faults: {dict(total.events)}"
    )
    assert total.wrong == []
    assert total.kills >= KILLS
    assert total.faults >= FAULTS
    assert total.batches >= BATCHES


class Field:
    """An arena where one thing happens after the other."""

    def __init__(self, place: Arena, log: Path) -> None:
        self.place = place
        self.storm = Storm(place.environment, 0, log)
        self._orders = Hand(connect(place.source.superuser_url), random.Random(0), Shelf())

    def trade(self) -> None:
        """Place two orders, and change one without a trace."""
        place_order(self._orders, "sales_order")
        place_order(self._orders, "purchase_order")
        self._orders.run(
            "UPDATE sales_order SET units_sold = units_sold + 1 WHERE sales_order_id < 4"
        )

    def bring_up_to(self, function: str) -> None:
        """Run the functions before a function undisturbed."""
        for before in ("extract", "transform", "load"):
            if before == function:
                return
            self.storm.calm(before)

    def dies(self, function: str, fate: Fate) -> bool:
        """Invoke a function that is to die; return whether it did."""
        kills = self.storm.kills
        assert self.storm.invoke(function, {}, fate) is None
        return self.storm.kills == kills + 1

    def assert_all_is_well(self) -> None:
        """Run everything once more: the warehouse is the source, and each state is there once."""
        self.storm.settle()
        verdict = compare(self.place.source, self.place.warehouse)
        self.place.lake.judge(verdict)
        assert verdict.wrong + self.storm.wrong + self.storm.stuck == []

    def close(self) -> None:
        self._orders.connection.close()


@contextmanager
def open_field(server: PostgresServer, aws: Emulator, name: str, log: Path) -> Iterator[Field]:
    with arena(Servers(server, server), aws, name, seed=0) as place:
        field = Field(place, log)
        try:
            yield field
        finally:
            field.close()


@pytest.fixture(scope="module")
def battlefield(
    postgres: PostgresServer, local_aws: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Field]:
    """A field that the tests share, warehouse and lake in step with the source."""
    log = tmp_path_factory.mktemp("crashes") / "functions.log"
    with open_field(postgres, local_aws, "battlefield", log) as field:
        field.storm.settle()
        yield field


@pytest.fixture
def field(battlefield: Field) -> Iterator[Field]:
    """The field on which some trade has gone on; afterwards all must be well."""
    battlefield.trade()
    yield battlefield
    battlefield.assert_all_is_well()


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("extract", "sales_order"),
        ("extract", "keys"),
        ("extract", "batches"),
        ("transform", "fact_sales_order"),
        ("transform", "batches"),
        ("load", "loaded"),
    ],
)
def test_a_function_that_dies_at_a_write_is_made_up_for(
    field: Field, function: str, text: str
) -> None:
    """Between data and manifest, at the manifest, between commit and marker: the next run goes on.

    Whether the write happened or not.
    """
    for how in WRITES_TO_DIE_AT:
        field.trade()
        field.bring_up_to(function)

        assert field.dies(function, Fate(S3Fault("PutObject", f"/{text}/", 1, how)))


@pytest.mark.parametrize("messages", [1, 3])
def test_an_extract_that_dies_in_the_middle_of_copy_is_made_up_for(
    field: Field, messages: int
) -> None:
    """A row that was on its way is loaded by the next run."""
    assert field.dies("extract", Fate(die_at_message=messages))


@pytest.mark.parametrize("function", ["extract", "transform", "load"])
def test_a_function_that_dies_at_any_step_is_made_up_for(field: Field, function: str) -> None:
    """There is no place in the code of a function where its death does harm, again and again."""
    field.bring_up_to(function)

    for step in (30, 100, 200, 300):
        assert field.dies(function, Fate(die_at_step=step))


@pytest.mark.parametrize(
    ("function", "text"),
    [("extract", ""), ("extract", "/batches/source/"), ("load", "/loaded/source/")],
)
def test_a_write_that_fails_or_whose_answer_is_lost_is_done_once(
    field: Field, function: str, text: str
) -> None:
    """A write that is repeated, because nobody knows whether it was done, is there once."""
    for how in FAILURES:
        field.trade()
        field.bring_up_to(function)
        outcome = field.storm.invoke(function, {}, Fate(S3Fault("PutObject", text, 1, how)))

        assert outcome is not None
        assert (outcome.suffered, outcome.trace) == (True, "")
        assert (outcome.result or {})["batch" if function == "extract" else "batches"]


@pytest.mark.parametrize("function", ["extract", "load"])
def test_links_that_are_cut_anywhere_cost_a_run_and_nothing_else(
    field: Field, function: str
) -> None:
    """A database that is gone in the middle of a run is said to be so, and the next run goes on."""
    field.bring_up_to(function)
    link, cuts = field.place.link, field.place.link.faults["database link: cut"]
    link.faulty = 1.0
    try:
        for _ in range(40):
            field.storm.invoke(function, {}, Fate())
            if link.faults["database link: cut"] >= cuts + 3:
                break
    finally:
        link.faulty = 0.0

    assert link.faults["database link: cut"] >= cuts + 3


def test_loaders_side_by_side_load_each_batch_once(field: Field) -> None:
    """Of loaders that start together one works at most, and a backlog stays in order.

    Two that see each other both stop: then none of them loads, and some that come later do.
    """
    before = warehouse_history(field.place.warehouse)
    for _ in range(4):
        field.trade()
        field.storm.calm("extract")
    field.storm.calm("transform")

    loaded: list[list[int]] = []
    with ThreadPoolExecutor(5) as pool:
        while not loaded:
            together = pool.map(lambda _: field.storm.calm("load"), range(5))
            loaded = [result["batches"] for result in together if result["batches"]]

    [batches] = loaded
    assert len(batches) == 4
    assert batches == sorted(set(batches))
    after = warehouse_history(field.place.warehouse)
    added = {key: len(after[key]) - len(before.get(key, [])) for key in after}
    assert [added["fact_sales_order", number] for number in (1, 2, 3)] == [4, 4, 4]


def test_extracts_side_by_side_bring_each_change_once(field: Field) -> None:
    """However many extracts look at the same changes, one batch has them and the others nothing."""
    with ThreadPoolExecutor(5) as pool:
        together = list(pool.map(lambda _: field.storm.calm("extract"), range(5)))

    with_a_batch = [result for result in together if result["batch"] is not None]
    assert len(with_a_batch) == 1
    # Placed with the field, two orders; three were changed.
    assert with_a_batch[0]["rows"]["sales_order"] == 4


def test_a_quiet_source_writes_nothing_behind_a_transaction_that_stays_open(field: Field) -> None:
    """Ten runs make no batch, after others have committed as many changes as they liked.

    Those are loaded once each, and the open transaction's own when it ends.
    """
    source = field.place.source.superuser_url
    with connect(source) as long:
        long.run("BEGIN")
        long.run("UPDATE purchase_order SET item_code = 'long' WHERE purchase_order_id = 1")
        long.run("SAVEPOINT deep")
        long.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 1")
        for _ in range(3):
            field.trade()
            assert field.storm.calm("extract")["rows"]["payment"] >= 2
        field.place.lake.look()
        objects = dict(field.place.lake.seen)

        assert {field.storm.calm("extract")["batch"] for _ in range(10)} == {None}
        field.place.lake.look()
        assert field.place.lake.seen == objects
        long.run("COMMIT")

    assert field.storm.calm("extract")["rows"] == {"purchase_order": 1, "payment": 1}


def test_a_batch_that_is_fed_through_again_adds_nothing(field: Field) -> None:
    """A replay, killed at first, restores no former state of an order and repeats none."""
    for _ in range(2):
        field.trade()
        field.storm.settle()
    before = warehouse_history(field.place.warehouse)
    again = {"replay": max(batch for _, batch in field.storm.claimed) - 1}
    at_manifest = Fate(S3Fault("PutObject", "/batches/source/", 1, "die before"))

    assert field.storm.invoke("extract", again, at_manifest) is None
    outcome = field.storm.invoke("extract", again, Fate())
    field.storm.settle()

    assert outcome is not None
    assert (outcome.result or {})["batch"] == again["replay"] + 2
    assert warehouse_history(field.place.warehouse) == before
