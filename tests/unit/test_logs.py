"""Sources that are processed."""

from etl import Postgres
from functions.common.batchlog import BatchLog
from functions.common.logs import is_in_use
from functions.common.manifests import ProcessedManifest
from tests.unit.fake_bucket import FakeBucket

MANDATORY, OPTIONAL = Postgres("shop", ()), Postgres("shop", (), optional=True)


def log(*keys: str) -> BatchLog[ProcessedManifest]:
    bucket = FakeBucket(dict.fromkeys(keys, b""))
    return BatchLog(bucket, "shop", ProcessedManifest)


def test_an_optional_source_counts_from_its_first_batch() -> None:
    """One that was never set up costs nothing, and one that is left out now is processed."""
    batches = log("batches/shop/0000000001.json")
    nothing = log("batches/another/0000000001.json", "shop/t/2026-11-22/0000000001-1.parquet")

    assert is_in_use(MANDATORY, nothing)
    assert not is_in_use(OPTIONAL, nothing)
    assert is_in_use(OPTIONAL, batches)
