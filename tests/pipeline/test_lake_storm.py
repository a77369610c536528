"""Iceberg tables stay equal to a PostgreSQL warehouse, whatever happens to loads and commits.

The seed is in every message; HARNESS_SEED plays it again. `make soak` plays it for longer.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local.emulator import Emulator
from local.postgres import PostgresServer
from tests.lake.compared import IcebergTables, judge
from tests.pipeline.arena import Servers
from tests.pipeline.ground import own_server
from tests.pipeline.invocation import Fate, S3Fault
from tests.pipeline.oracle import EXPECTED
from tests.pipeline.rounds import Size, play
from tests.pipeline.storm import LAKE
from tests.pipeline.test_crashes import Field, open_field

AT_FIRST = [
    S3Fault("CreateTable", "", 2, "die before"),
    S3Fault("CreateTable", "", 1, "die after"),
]
DEADLY = [
    S3Fault("UpdateTable", "", 1, "die before"),
    S3Fault("UpdateTable", "", 2, "die after"),
    S3Fault("PutObject", "/lake/fact_sales_order/metadata/", 2, "die after"),
]
DISTURBING = [
    S3Fault("UpdateTable", "", 1, "answer lost"),
    S3Fault("PutObject", "/lake/", 1, "answer lost"),
]


def test_a_commit_that_is_killed_lost_or_made_twice_is_there_once(
    postgres: PostgresServer, local_aws: Emulator, tmp_path: Path
) -> None:
    """The rows of each table are then those of the warehouse, and so are those of any commit."""
    with open_field(postgres, local_aws, "lake-field", tmp_path / "functions.log") as field:
        load(field)
        for deadly in AT_FIRST:
            assert field.dies(LAKE, Fate(deadly))
        field.storm.invoke(LAKE, {}, Fate(S3Fault("CreateTable", "", 1, "answer lost")))
        assert_equal(field, tmp_path)
        for deadly in DEADLY:
            load(field)
            assert field.dies(LAKE, Fate(deadly))
            field.storm.calm(LAKE)
            assert_equal(field, tmp_path)
        for disturbing in DISTURBING:
            load(field)
            outcome = field.storm.invoke(LAKE, {}, Fate(disturbing))
            assert outcome is not None
            assert (outcome.suffered, outcome.trace) == (True, "")
            assert_equal(field, tmp_path)
        load(field)
        with ThreadPoolExecutor() as pool:
            both = [pool.submit(field.storm.calm, LAKE) for _ in range(2)]
        made: Counter[str] = Counter()
        for run in both:
            tables = run.result()["tables"].items()
            made.update({name: each["commits"] for name, each in tables})
        assert made["fact_sales_order"] == made["fact_purchase_order"] == 1
        assert max(made.values()) == 1

        verdict = judge(field.place)
        assert verdict.wrong + field.storm.wrong == []
        assert verdict.commits >= 2 * (len(DEADLY) + len(DISTURBING) + 1)
        field.assert_all_is_well()


def load(field: Field) -> None:
    """Let some trade go on, and load it."""
    field.trade()
    field.bring_up_to(LAKE)


def assert_equal(field: Field, cache: Path) -> None:
    """Compare the newest rows of all tables with the warehouse."""
    assert IcebergTables(field.place, cache).wrong_now() == []


def test_each_commit_of_a_storm_has_the_rows_of_the_warehouse(
    local_aws: Emulator, tmp_path: Path, seed: int, say: Callable[[str], None]
) -> None:
    """Killed at any point, two at once, answers lost, rows refused: none is missing or twice."""
    size = Size(0.0, writers=3, think=0.05, workers=3, disruptions=("rows refused",))
    with own_server() as server:
        servers, log = Servers(server, server), tmp_path / "functions.log"
        total = play(servers, local_aws, seed, size, log=log, judge_lake=judge)

    say(
        f"{total.batches} batches, {total.commits} commits, {total.kills} kills,"
        f" {total.faults} faults, {dict(total.events)}"
    )
    assert total.wrong == []
    assert total.batches > 0
    assert total.commits >= len(EXPECTED)
