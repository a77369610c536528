"""Deletions of all batches are recorded in a warehouse that begins to keep them."""

from typing import Any

import pytest

from functions.common.batchlog import BatchLog
from functions.common.manifests import ProcessedManifest
from functions.targets import deletions
from tests.unit.applying import Loading


@pytest.mark.parametrize("compared", [1_000_000, 0], ids=["compared", "too many keys"])
def test_only_rows_that_were_deleted_are_looked_up(
    compared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a long log a statement for the rows of each batch would take longer than a function."""
    monkeypatch.setattr(deletions, "AT_ONCE", 7)
    monkeypatch.setattr(deletions, "KEYS_AT_ONCE", 2)
    monkeypatch.setattr(deletions, "COMPARED_AT_MOST", compared)
    loading, log = Loading(), None
    session: Any = loading.there
    session.has_deletions = True
    log = BatchLog(loading.bucket, "shop", ProcessedManifest)
    for loading.batch in range(1, 41):
        rows = [{"id": 3 if loading.batch == 30 else loading.batch}, {"id": 100 + loading.batch}]
        gone = {5: [3], 31: [7, 3]}.get(loading.batch)
        copied = loading.entry("copy", rows, deleted=gone)
        log.claim(loading.manifest(loading.entry("dim", rows, deleted=gone) | copied))

    deletions.catch_up(session, log, 40)

    recorded = session.state.deleted
    assert [each for each in recorded if each[2]] == [
        ("dim", "3", 5),
        ("dim", "7", 31),
        ("dim", "3", 31),
    ]
    again = [key for _, key, batch in recorded if batch is None]
    assert again == (
        ["3", "130"]
        if compared
        else [key for n in range(6, 41) for key in (str(3 if n == 30 else n), str(100 + n))]
    )
