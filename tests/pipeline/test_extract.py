"""Extract beside others, after a crash, and behind another server: nothing lost, nothing twice."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import boto3
import msgspec
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from deployer.configuration.databases import parse_database_url
from functions.common import copy
from functions.common.batchlog import BatchLog
from functions.common.database import Database
from functions.common.errors import BatchConflictError
from functions.common.manifests import IngestionManifest
from functions.common.parquet import PartWriter, read_rows
from functions.common.postgres import connection
from functions.common.storage import Bucket
from functions.sources import Captured
from functions.sources.postgres import rows as extract_rows
from functions.sources.postgres.capture import capture
from functions.sources.postgres.snapshot import SESSION_PARAMETERS
from local.connection import connect
from tests.pipeline.conftest import Functions, forget_clients
from tests.pipeline.oracle import current, expected
from tests.postgres_fixtures import Source
from tests.totesys import TOTESYS

Log = BatchLog[IngestionManifest]


def log_of(functions: Functions) -> Log:
    """Return the ingestion log as a cold start sees it."""
    return BatchLog(Bucket(boto3.client("s3"), functions.ingestion), "source", IngestionManifest)


@contextmanager
def extractor(source: Source, log: Log) -> Iterator[Callable[[str], Captured]]:
    """Return a function of a run id that captures what has changed, on its own connection."""
    address = msgspec.convert(parse_database_url(source.reader_url).secret(), Database)
    with connection(address, **SESSION_PARAMETERS) as opened:
        yield lambda run: capture(opened, log, TOTESYS, run, lambda: datetime.now(UTC))


def keys_of(log: Log, batch: int, table: str) -> list[int]:
    files = log.read(batch).tables[table].files
    return [key for rows in read_rows(log.bucket, files) for key in rows[f"{table}_id"].to_pylist()]


def touch(source: Source, design: int, text: str = "touched") -> None:
    with connect(source.superuser_url) as shop:
        shop.run("UPDATE design SET file_name = :t WHERE design_id = :id", t=text, id=design)


def test_runs_side_by_side_never_share_a_number_and_lose_nothing(functions: Functions) -> None:
    """While a shop works and four extracts compete, every change is in exactly one batch."""
    functions.run()
    rounds, designs = 8, [1, 2, 3]

    def compete(number: int) -> list[tuple[int, str]]:
        claimed = []
        with extractor(functions.source, log_of(functions)) as extract:
            for turn in range(rounds):
                run = f"{number}-{turn}"
                try:
                    manifest = extract(run).manifest
                except BatchConflictError:
                    continue
                if manifest is not None:
                    claimed.append((manifest.batch, run))
        return claimed

    def work() -> None:
        for turn in range(10):
            for design in designs:
                touch(functions.source, design, f"turn {turn}")

    with ThreadPoolExecutor(5) as pool:
        shop = pool.submit(work)
        claimed = [pair for pairs in pool.map(compete, range(4)) for pair in pairs]
        shop.result()
    functions.run()

    log = log_of(functions)
    numbers = [batch for batch, _ in claimed]
    assert sorted(numbers) == list(range(2, len(claimed) + 2))
    assert [(batch, log.read(batch).run) for batch, _ in claimed] == claimed
    assert current(functions.warehouse) == expected(functions.source)


def test_a_run_that_lost_its_number_takes_the_next_from_a_new_snapshot(
    functions: Functions,
) -> None:
    """The loser's rows are in the winner's batch or in the next, never in both."""
    functions.run()
    touch(functions.source, 1)
    log = log_of(functions)
    others = log_of(functions)

    with (
        extractor(functions.source, log) as extract,
        extractor(functions.source, others) as other,
    ):
        claim = log.claim

        def claim_late(manifest: IngestionManifest) -> bool:
            touch(functions.source, 2)
            assert other("winner").manifest is not None
            return claim(manifest)

        log.claim = claim_late  # type: ignore[method-assign]
        with pytest.raises(BatchConflictError, match="batch 2 was claimed by another run"):
            extract("loser")
        log.claim = claim  # type: ignore[method-assign]
        touch(functions.source, 3)
        extract("loser")

    assert [log.read(batch).run for batch in (2, 3)] == ["winner", "loser"]
    assert [sorted(keys_of(log, batch, "design")) for batch in (2, 3)] == [[1, 2], [3]]


def test_the_function_tries_again_when_it_lost_its_number(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that is taken costs another try, and three in a row an error."""
    functions.run()
    touch(functions.source, 1)
    claim, tries = BatchLog.claim, count(1)

    def taken_twice(log: Log, manifest: IngestionManifest) -> bool:
        return next(tries) > 2 and claim(log, manifest)

    monkeypatch.setattr(BatchLog, "claim", taken_twice)
    extracted = functions.extract()
    assert (extracted["batch"], extracted["rows"]) == (2, {"design": 1})

    touch(functions.source, 1)
    monkeypatch.setattr(BatchLog, "claim", lambda log, manifest: False)
    with pytest.raises(BatchConflictError):
        functions.extract()


def test_a_run_that_dies_before_its_manifest_leaves_no_trace_in_the_data(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run extracts everything, under names that the dead one has not used."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE payment SET paid = NOT paid")
        source.run("DELETE FROM payment WHERE payment_id = 1")
    with monkeypatch.context() as broken:
        broken.setattr(BatchLog, "claim", fail_with(RuntimeError("dead")))
        with pytest.raises(RuntimeError, match="dead"):
            functions.extract()
    left = {key: functions.body(functions.ingestion, key) for key in written(functions, 2)}

    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE payment SET payment_amount = 1.23 WHERE payment_id = 2")
    functions.run()

    manifest = functions.document(functions.ingestion, "batches/source/0000000002.json")
    payment = manifest["tables"]["payment"]
    named = {file["key"] for file in payment["files"] + payment["tombstones"]} | {manifest["keys"]}
    assert {key.rpartition("/")[0].partition("/")[0] for key in left} == {
        "source",
        "tombstones",
        "keys",
    }
    assert named & set(left) == set()
    assert {key: functions.body(functions.ingestion, key) for key in left} == left
    loaded = [row for row in current(functions.warehouse)["fact_payment"] if row[0] != 1]
    assert loaded == expected(functions.source)["fact_payment"]


def test_a_write_that_fails_in_the_middle_of_a_table_is_reported_as_it_is(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends with S3's own error, and the next run extracts everything."""
    add_designs(functions.source, 10_000, size=5_000)  # far more than all buffers between hold
    refused = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
    write = PartWriter.write

    def refuse_designs(writer: PartWriter, rows: pa.RecordBatch) -> None:
        if "design_name" in rows.schema.names:
            raise refused
        write(writer, rows)

    with monkeypatch.context() as broken:
        broken.setattr(PartWriter, "write", refuse_designs)
        with pytest.raises(ClientError) as failure:
            functions.extract()
    assert failure.value is refused

    with connect(functions.source.superuser_url) as source:
        source.run("DELETE FROM design WHERE design_id > 1000")
    functions.run()
    assert current(functions.warehouse) == expected(functions.source)


def test_a_big_table_comes_in_several_parts(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of more rows than a part holds is split, and is whole in the warehouse."""
    monkeypatch.setattr(extract_rows, "PartWriter", partial(PartWriter, rows_per_part=1000))
    monkeypatch.setattr(copy, "BLOCK_BYTES", 100_000)
    add_designs(functions.source, 3_000, size=400)
    functions.run()

    files = log_of(functions).read(1).tables["design"].files
    assert len(files) == 3
    assert max(file.rows for file in files) < 1500
    assert sorted(keys_of(log_of(functions), 1, "design")) == [
        row[0] for row in current(functions.warehouse)["dim_design"]
    ]
    assert current(functions.warehouse) == expected(functions.source)


def test_another_database_is_read_whole_and_what_it_lacks_is_deleted(
    functions: Functions, new_source: Callable[[], Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a changed URL nothing is assumed: all rows are read, missing keys are deleted."""
    functions.run()
    moved = new_source()
    with connect(moved.superuser_url) as source:
        source.run("DELETE FROM payment WHERE payment_id = 3")
        source.run("UPDATE payment SET payment_amount = 9.99 WHERE payment_id = 4")
        rows = source.run("SELECT count(*) FROM sales_order")[0][0]
    secret = msgspec.json.encode(parse_database_url(moved.reader_url).secret()).decode()
    boto3.client("secretsmanager").create_secret(Name=moved.database, SecretString=secret)
    monkeypatch.setenv("SOURCE_SECRET_ID", moved.database)
    forget_clients()

    extracted = functions.run()

    assert extracted["rows"]["sales_order"] == rows
    assert extracted["deleted"] == {"payment": 1}
    loaded = [row for row in current(functions.warehouse)["fact_payment"] if row[0] != 3]
    assert loaded == expected(moved)["fact_payment"]
    assert functions.run()["batch"] is None


@pytest.mark.parametrize(
    ("field", "of"),
    [("system_identifier", "source"), ("timeline", "source"), ("horizon", "tables")],
)
def test_a_position_that_means_nothing_here_is_not_gone_on_from(
    functions: Functions, field: str, of: str
) -> None:
    """After a restore, a failover, or with a horizon in the future, all is read once more."""
    functions.extract()
    all_rows = functions.document(functions.ingestion, "batches/source/0000000001.json")
    manifest: dict[str, Any] = functions.document(
        functions.ingestion, "batches/source/0000000001.json"
    )
    if of == "source":
        manifest["source"][field] = "1" if field == "system_identifier" else 99
    else:
        for table in manifest["tables"].values():
            table["horizon"] += 10**6
    body = msgspec.json.encode(manifest)
    functions.s3.put_object(
        Bucket=functions.ingestion, Key="batches/source/0000000001.json", Body=body
    )
    touch(functions.source, 1)

    extracted = functions.run()

    assert extracted["rows"] == {
        name: table["changed"] for name, table in all_rows["tables"].items()
    }
    assert current(functions.warehouse) == expected(functions.source)
    assert functions.run()["batch"] is None


def add_designs(source: Source, rows: int, size: int) -> None:
    with connect(source.superuser_url) as shop:
        shop.run(
            f"INSERT INTO design SELECT 1000 + n, now(), repeat('x', {size}), '/', 'a.json', now()"
            f" FROM generate_series(1, {rows}) AS n"
        )


def fail_with(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def written(functions: Functions, batch: int) -> list[str]:
    """Return the keys of all that was written for a batch but its manifest."""
    return [key for key in functions.keys(functions.ingestion) if f"/{batch:010d}-" in key]
