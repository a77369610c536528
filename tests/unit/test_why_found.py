"""`why` finds the batches of a row by the index of the log, and reads few documents for it."""

import json
from functools import partial
from pathlib import Path
from random import Random

import pytest

from deployer.query.cache import Cache
from deployer.why.asking import asked
from deployer.why.keys import Key
from deployer.why.life import life_of
from deployer.why.origins import shown
from etl import Boolean, Column, Date, keymarks
from tests.unit.long_log import PIPELINE, LongLog, SlowClient


@pytest.fixture
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an index for each 50 batches."""
    monkeypatch.setattr(keymarks, "STRETCH", 50)


def ignore(_: str) -> None:
    """Show no progress."""


@pytest.mark.parametrize(("old", "most"), [(0, 1_000), (60, 1_000), (210, 1_000), (0, 9)])
@pytest.mark.usefixtures("short_stretches")
def test_the_batches_of_a_key_are_found_in_a_long_log(
    old: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With marks or a range, with an index, and where an earlier version has written neither."""
    monkeypatch.setattr(keymarks, "MOST_MARKS", most)
    log = LongLog(210, Random(old), keys=300, old=old)
    objects = log.objects(Cache(tmp_path), partial(SlowClient, seconds=0))

    for key in (7, 300):
        life = life_of(asked(PIPELINE, ["source"], "thing", [str(key)]), objects, ignore)
        assert [step.batch for step in life] == log.batches_of.get(key, [])
        assert [step.row for step in life] == [
            {"id": key, "word": str(n)} for n in log.batches_of.get(key, [])
        ]
        assert all(step.loaded for step in life)


@pytest.mark.usefixtures("short_stretches")
def test_few_documents_are_read(tmp_path: Path) -> None:
    """One for each index, those after the newest, and those of the batches that have the row."""
    log = LongLog(410, Random(1), keys=900)
    made: list[SlowClient] = []

    def client(bucket: object) -> SlowClient:
        made.append(SlowClient(bucket, seconds=0))  # type: ignore[arg-type]
        return made[-1]

    life = life_of(
        asked(PIPELINE, ["source"], "thing", ["7"]), log.objects(Cache(tmp_path), client), ignore
    )

    logs, listings, indexes, after = 2, 3 * 3, 8, 10
    of_steps = 4 * len(life)  # two documents and two objects
    assert sum(each.calls for each in made) <= listings + logs * (indexes + after) + of_steps


def test_json_of_a_row_is_json() -> None:
    """NaN and infinity, which no reader of JSON has to accept, are text."""
    values = [shown(value) for value in (float("nan"), float("-inf"), 0.5, [float("inf")])]

    assert json.loads(json.dumps(values, allow_nan=False)) == ["nan", "-inf", 0.5, ["inf"]]


@pytest.mark.parametrize(
    ("kind", "text", "part"),
    [
        (Boolean(), "No", "false"),
        (Boolean(), "junk", None),
        (Date(), "2020-01-01", "2020-01-01"),
        (Date(), "2020-01-01T10:00:00", "2020-01-01"),
        (Date(), "2020-01-01junk", None),
    ],
)
def test_a_key_is_a_value_of_its_type_or_none(kind: Column, text: str, part: str | None) -> None:
    key = Key.of([kind], [text])

    assert (key and key.parts) == (part and (part,))
