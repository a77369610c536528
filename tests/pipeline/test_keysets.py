"""The digests of a key set are the same from the source's scan and from the keys themselves."""

import random

import pg8000.native
import pyarrow as pa
import pytest

from functions.common.copy import copy_out
from functions.sources.postgres.keysets import (
    DIGESTS,
    SHIFT,
    KeySetBuilder,
    digest_columns,
    keys_of,
)
from local.connection import connect
from local.postgres import PostgresServer

SIZE = 1 << SHIFT
LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def some_keys(largest: int) -> list[int]:
    """Return a run of serial keys, keys anywhere, and those at the ends of the range."""
    draw = random.Random(4)
    anywhere = {draw.randint(-largest, largest) for _ in range(200)}
    ends = {-largest - 1, -largest, -SIZE - 1, -SIZE, -1, largest - 1, largest}
    return sorted({*range(3 * SIZE // 2), *anywhere, *ends})


@pytest.mark.parametrize("sql_type", LARGEST)
def test_keys_that_were_read_have_the_digests_that_a_scan_gives(
    postgres: PostgresServer, sql_type: str
) -> None:
    """So a table that was read whole is quiet in the next run, and no key of it is looked up."""
    keys = some_keys(LARGEST[sql_type])
    builder = KeySetBuilder()
    for start in range(0, len(keys), 1000):
        builder.add(pa.array(keys[start : start + 1000], pa.int64()))
    made = builder.key_set()
    assert made is not None

    with connect(postgres.superuser_url()) as connection:
        assert made.digests == scanned(connection, sql_type, keys)
    assert keys_of(made.runs).to_pylist() == keys


def scanned(connection: pg8000.native.Connection, sql_type: str, keys: list[int]) -> pa.Table:
    connection.run(f"CREATE TEMPORARY TABLE numbers (key {sql_type})")
    connection.run("INSERT INTO numbers SELECT unnest(:keys::bigint[])", keys=keys)
    query = f"SELECT {digest_columns('key', SHIFT)} FROM numbers GROUP BY 1"
    return pa.Table.from_batches(copy_out(connection, query, DIGESTS), DIGESTS).sort_by("bucket")
