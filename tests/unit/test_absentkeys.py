"""The keys of many absent parents, in an object."""

from datetime import date

import pytest
from msgspec.structs import replace

from functions.common.errors import CorruptLogError
from functions.common.keys import Key
from functions.common.objects import ObjectNames
from functions.transform.absentkeys import AbsentKeys, read, store
from tests.unit.fake_bucket import FakeBucket

NAMES = ObjectNames("quarantine/source/staff", 3, date(2024, 3, 1))


@pytest.mark.parametrize("keys", [[3, 1, -7], ["b", "a,1"], [5, "5"]])
def test_keys_are_read_as_they_were_written(keys: list[Key]) -> None:
    """Numbers stay numbers and texts texts; another object is not believed."""
    bucket = FakeBucket()
    file = store(bucket, NAMES, keys)

    assert read(bucket, file) == set(keys)
    assert file.rows == len(keys)
    with pytest.raises(CorruptLogError, match="it is not what was written there"):
        read(bucket, replace(file, sha256="0" * 64))


def test_sets_are_read_when_they_are_asked_for_and_once() -> None:
    """Whether there are any is known before."""
    asked: list[str] = []

    def found() -> set[Key]:
        asked.append("staff")
        return {1}

    keys = AbsentKeys({"staff": found})

    assert ("staff" in keys, "city" in keys, list(keys), len(keys)) == (True, False, ["staff"], 1)
    assert asked == []
    keys["staff"].add(2)
    assert (keys["staff"], keys.get("city", ()), asked) == ({1, 2}, (), ["staff"])
