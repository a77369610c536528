"""The batch logs as the command line reads them: the newest number in few requests."""

from typing import Any

import pytest

from deployer.operations.batchlog import BatchLog


class ListedKeys:
    """An S3 that knows how to list, and counts how often it had to."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = sorted(keys)
        self.requests = 0

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        self.requests += 1
        prefix, after = asked["Prefix"], asked.get("StartAfter", "")
        found = [key for key in self._keys if key.startswith(prefix) and key > after]
        return {"Contents": [{"Key": key} for key in found[: asked["MaxKeys"]]]}


def log_of(s3: Any) -> BatchLog:
    return BatchLog(s3, "bucket", "batches/source/")


@pytest.mark.parametrize("newest", [0, 1, 2, 999, 1000, 1001, 1999, 2000, 2001, 3001, 7200, 12345])
def test_the_newest_batch_is_found(newest: int) -> None:
    """Whatever the length of the log, its last number is the answer."""
    s3 = ListedKeys([f"batches/source/{batch:010d}.json" for batch in range(1, newest + 1)])

    assert log_of(s3).newest() == newest


def test_a_long_log_is_not_listed() -> None:
    """With 100,000 batches it takes at most 20 requests."""
    s3 = ListedKeys([f"batches/source/{batch:010d}.json" for batch in range(1, 100_001)])

    assert log_of(s3).newest() == 100_000
    assert s3.requests <= 20


def test_other_keys_are_no_batches() -> None:
    """Keys below the log, and keys without a number, are ignored."""
    s3 = ListedKeys(
        [
            *(f"batches/source/{batch:010d}.json" for batch in range(1, 4)),
            *(f"batches/source/warehouse-0123/{batch:010d}.json" for batch in range(1, 2001)),
            "batches/source/README",
            "keys/0000000009.json",
        ]
    )

    assert log_of(s3).newest() == 3


@pytest.mark.parametrize("newest", [0, 1, 1000, 7200])
@pytest.mark.parametrize("ahead", [9500, 33_001, 9_999_999_999])
def test_an_object_far_ahead_is_no_batch(newest: int, ahead: int) -> None:
    """`status` shows the newest batch although somebody put an object far ahead of it."""
    s3 = ListedKeys(
        [f"batches/source/{batch:010d}.json" for batch in (*range(1, newest + 1), ahead)]
    )

    assert log_of(s3).newest() == newest
