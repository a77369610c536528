"""The shop of totesys against the functions, with its stars in MySQL: equal to the source."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import pipelines
from etl.loading import folder
from local.emulator import Emulator
from tests.mysql_fixtures import own_mysql
from tests.pipeline.arena import Servers
from tests.pipeline.ground import own_server
from tests.pipeline.invocation import MORE_PIPELINES
from tests.pipeline.mysql_disruptions import MYSQL_DISRUPTIONS
from tests.pipeline.rounds import Size, play

ROUNDS = [
    ("server stopped", "server killed", "new keys refused"),
    ("server restored", "buckets emptied"),
]
"""The disruptions of each round."""


@pytest.fixture
def totesys_on_mysql(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Return the settings of a copy of totesys with the change that its users make for MySQL."""
    there = tmp_path / "totesys_on_mysql"
    shutil.copytree(folder("totesys"), there, ignore=shutil.ignore_patterns("__pycache__"))
    page = there / "pipeline.py"
    declared = page.read_text().replace("PostgresWarehouse", "MysqlWarehouse")
    page.write_text(declared.replace('"warehouse.sql"', '"mysql.sql"'))
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])
    return {"PIPELINE": there.name, MORE_PIPELINES: str(tmp_path)}


@pytest.mark.parametrize("disruptions", ROUNDS, ids=lambda names: names[0])
def test_stars_in_mysql_are_equal_to_the_shop(
    disruptions: tuple[str, ...],
    totesys_on_mysql: dict[str, str],
    local_aws: Emulator,
    seed: int,
    say: Callable[[str], None],
) -> None:
    """Functions are killed, links cut, and the server stopped, killed, restored: nothing is lost.

    Row by row, the calendar and each record of the histories, and nothing comes in twice.
    """
    size = Size(0.0, writers=3, think=0.1, workers=3, disruptions=disruptions)
    with own_server() as source, own_mysql() as warehouse:
        total = play(
            Servers(source, warehouse),
            local_aws,
            seed,
            size,
            log=Path(totesys_on_mysql[MORE_PIPELINES]) / "functions.log",
            pipeline=totesys_on_mysql,
        )

    say(
        f"{total.transactions} transactions, {total.batches} batches, {total.invocations}"
        f" invocations, {total.kills} kills, {total.faults} faults, {total.compared} compared"
    )
    assert total.wrong == []
    assert total.disruptions == Counter(disruptions)
    assert total.kills > 0
    assert total.compared > 0


def test_all_disruptions_of_mysql_have_their_turn() -> None:
    """Each disruption of a server is in one of the rounds."""
    assert sorted(name for names in ROUNDS for name in names) == sorted(MYSQL_DISRUPTIONS)
