"""Many small batches, some in each commit, leave a table that is no slower and no larger.

LAKE_BATCHES=10000 IN_A_COMMIT=15 loads as many as docs/lake.md says, a batch a minute and a commit
in a quarter of an hour; a run of all tests loads fewer.
"""

import os
import time
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest

from etl.targets import Way
from functions.lake import commits, upkeep
from functions.lake.overwrite import MERGED_AT
from tests.lake.scene import Entry, Lake, Row, Scene
from tests.lake.test_equal import Clock

BATCHES = int(os.environ.get("LAKE_BATCHES", "240"))
IN_A_COMMIT = int(os.environ.get("IN_A_COMMIT", "3"))
MEASURED = (100, *range(1_000, BATCHES, 1_000), BATCHES)
AROUND = 20  # commits whose mean is a commit's time
EACH = 10  # commits until it is counted again
ROWS = 5  # of a table in a batch
KEYS = 2_000
INTERVAL = timedelta(minutes=15)  # the default of LAKE_SCHEDULE
WAYS: tuple[Way, ...] = ("history", "replace")


@pytest.mark.parametrize("way", WAYS)
def test_many_batches_leave_bounded_snapshots_files_and_objects(
    way: Way, monkeypatch: pytest.MonkeyPatch, say: Callable[[str], None]
) -> None:
    """As the rules of `upkeep` have it, after any batch; the rows are those of the warehouse."""
    run = Run(way, monkeypatch)
    while run.scene.batch < BATCHES:
        run.commit()
        if run.is_measured:
            say(f"{way}: {run.figures()}")
    assert run.lake.rows(way) == run.rows.sorted
    assert run.most["snapshots"] <= upkeep.SNAPSHOTS + upkeep.SNAPSHOTS_MORE
    assert run.most["files"] < upkeep.SMALL_AT_MOST + 2 * run.most["bytes"] / upkeep.SMALL_BYTES
    assert run.most["objects"] <= OBJECTS_AT_MOST
    assert run.most["manifests"] <= MERGED_AT + 1
    log = [key for key in run.scene.s3.objects if key.startswith(f"{way}/")]
    assert len(log) == run.scene.batch


OBJECTS_AT_MOST = 2_000


class Rows:
    """What a warehouse makes of the same batches, by keys."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._newest: dict[int, Row] = {}
        self._history: list[Row] = []

    def load(self, entry: Entry) -> None:
        """Load a batch."""
        for row in (row for rows in entry.objects for row in rows):
            if self._newest.get(row[0]) != row:
                self._history.append(row)
            self._newest[row[0]] = row
        for key in entry.gone:
            self._newest.pop(key, None)

    @property
    def sorted(self) -> list[Row]:
        """All rows that the table has to have."""
        rows = self._history if self._way == "history" else self._newest.values()
        return sorted(rows, key=repr)


class Run:
    """Batches of one table; `most` are the greatest figures after any of them."""

    def __init__(self, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
        self.way = way
        self.scene = Scene({way: way})
        self.lake = Lake(self.scene)
        self.rows = Rows(way)
        self.most: dict[str, int] = {}
        self._feed = self.lake.feed(way)  # as a warm function keeps it
        self._random = Random(3)
        self._seconds: list[float] = []
        self._peak = 0
        monkeypatch.setattr(upkeep, "datetime", Clock(self.scene))

    def commit(self) -> None:
        """Load some batches, commit them and tidy."""
        for _ in range(IN_A_COMMIT):
            entry = self._entry()
            self.scene.load({self.way: entry})
            self.rows.load(entry)
        self.scene.s3.now += INTERVAL
        if self.is_measured:
            tracemalloc.start()
        started = time.process_time()
        done = commits.keep_up(self.lake.catalog, self._feed, lambda: True)
        upkeep.tidy(self.lake.catalog, self._feed.target, self.scene.bucket, lambda: True)
        if self.is_measured:
            self._peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        else:
            self._seconds = [*self._seconds[1 - AROUND :], time.process_time() - started]
        assert done.commits == 1
        if self.scene.batch % (EACH * IN_A_COMMIT) == 0:
            found = self._counts()
            self.most = {name: max(self.most.get(name, 0), found[name]) for name in found}

    @property
    def is_measured(self) -> bool:
        """Whether the last commit is one whose figures are shown."""
        return any(0 <= self.scene.batch - each < IN_A_COMMIT for each in MEASURED)

    def figures(self) -> dict[str, float]:
        """Return what there is now, and what a commit takes."""
        seconds = sum(self._seconds) / len(self._seconds)
        memory = self._peak / 2**20
        return {
            "batch": self.scene.batch, **self._counts(), "CPU seconds": round(seconds, 3),
            "slowest": round(max(self._seconds), 3), "MB": round(memory, 1),
        }  # fmt: skip

    def _entry(self) -> Entry:
        random = self._random
        rows: list[Row] = [
            (random.randrange(KEYS), random.choice("abcdef"), Decimal(random.randrange(99)))
            for _ in range(ROWS)
        ]
        gone = [random.randrange(KEYS)] if self.way == "replace" else []
        return Entry([rows], gone)

    def _counts(self) -> dict[str, int]:
        table = self.lake.table(self.way)
        sizes = [task.file.file_size_in_bytes for task in table.scan().plan_files()]
        newest = table.current_snapshot().manifests(table.io)
        objects = [key for key in self.scene.s3.objects if key.startswith("lake/")]
        return {
            "files": len(sizes), "bytes": sum(sizes),
            "snapshots": len(table.metadata.snapshots), "objects": len(objects),
            "manifests": len(newest),
        }  # fmt: skip
