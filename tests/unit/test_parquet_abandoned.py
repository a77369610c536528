"""An iterator over objects that somebody has left half-way."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from functions.common.parquet import PartWriter, read_parts
from tests.unit.fake_bucket import FakeBucket


def test_one_that_was_left_ends_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be collected in a thread that waiting would stop for ever."""
    waited: list[bool] = []
    shutdown = ThreadPoolExecutor.shutdown

    def noted(self: ThreadPoolExecutor, wait: bool = True, **options: Any) -> None:
        waited.append(wait)
        shutdown(self, wait=wait, **options)

    bucket = FakeBucket()
    writer = PartWriter(bucket, "thing", 1, date(2026, 11, 23), rows_per_part=1)
    for number in range(3):
        writer.write(pa.table({"id": [number]}))
    files = writer.close()
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", noted)
    parts = read_parts(bucket, files)
    next(parts)
    del parts

    assert waited == [False]
