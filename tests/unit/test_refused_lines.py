"""Lines that a warehouse refuses, among the lines of their snapshot that it accepted."""

import pyarrow as pa

from functions.common.objects import DataFile
from functions.common.parquet import digest, packed
from functions.common.storage import Bucket
from functions.targets.refused import among_equal
from tests.lake.memory_aws import MemoryS3

NAN = float("nan")


def test_a_refused_line_with_nan_is_not_among_the_accepted_ones() -> None:
    """Of three equal lines one is refused: the other two come before it."""
    bucket = Bucket(MemoryS3(), "lake")  # type: ignore[arg-type]
    body = packed(pa.table({"word": ["a", "a", "a", "b"], "rate": [NAN, NAN, NAN, NAN]}))
    bucket.put("lines.parquet", body)
    refused = pa.table({"word": ["a"], "rate": [NAN]})

    found = among_equal(bucket, [DataFile("lines.parquet", 4, digest(body))], refused)

    assert found["word"].to_pylist() == ["a", "a", "a"]
