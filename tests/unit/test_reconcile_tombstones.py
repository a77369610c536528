"""Which rows were deleted, as the manifests of the processed log say."""

import pyarrow as pa
from msgspec.structs import replace

from functions.common.batchlog import BatchLog
from functions.common.manifests import ProcessedManifest, StarTable
from functions.common.parquet import PartWriter
from functions.reconcile.tombstones import deleted_keys
from tests.unit.fake_bucket import FakeBucket
from tests.unit.test_manifests import NOW, PROCESSED


def test_an_object_that_no_manifest_names_deletes_nothing() -> None:
    """Neither beside a manifest that has no such table, nor beside one without deletions."""
    log = BatchLog(FakeBucket(), "source", ProcessedManifest)
    named = []
    for batch in range(1, 5):
        writer = PartWriter(log.bucket, "tombstones/staff", batch, NOW.date())
        writer.write(pa.table({"id": [batch]}))
        named.append(writer.close())
    tables = (
        {},
        {"staff": StarTable(0, [])},
        *({"staff": StarTable(0, [], 1, each)} for each in named[2:]),
    )
    for batch, of_batch in enumerate(tables, 1):
        assert log.claim(replace(PROCESSED, batch=batch, tables=of_batch, quarantine={}))

    found = deleted_keys(log, "staff", 4)

    assert [key for rows in found for key in rows["id"].to_pylist()] == [3, 4]
