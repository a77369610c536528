"""Files in somebody else's bucket, as extract's handler reads them."""

import gzip
import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from etl import Feed, Files, JsonDocuments, Pipeline, PostgresWarehouse, latest
from functions.common.errors import SettingsError
from functions.common.uploads import PART_BYTES
from functions.extract import handler as extract
from functions.sources.files import reader
from tests.aws.drop import NOTES, Drop

TARGETS = Files("targets", (Feed(NOTES, "*.json", JsonDocuments()),), remote=True, optional=True)
PIPELINE = Pipeline(sources=[TARGETS], targets=[PostgresWarehouse("warehouse", (latest(NOTES),))])


@pytest.fixture
def theirs(aws: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket in another region, whose files are below a prefix, and extract's environment."""
    for name, value in {
        "AWS_DEFAULT_REGION": "us-east-1",
        "INGESTION_BUCKET": "lake",
        "TARGETS_BUCKET": "theirs",
        "TARGETS_PREFIX": "finance/targets",
        "TARGETS_REGION": "eu-west-2",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="lake")
    client = boto3.client("s3", region_name="eu-west-2")
    client.create_bucket(
        Bucket="theirs", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    monkeypatch.setattr(extract, "_pipeline", lambda: PIPELINE)
    extract._log.cache_clear()
    reader._client.cache_clear()
    yield client
    extract._log.cache_clear()
    reader._client.cache_clear()


def run(event: dict[str, Any] | None = None) -> dict[str, Any]:
    context: Any = SimpleNamespace(
        get_remaining_time_in_millis=lambda: 60_000,
        function_name="extract",
        memory_limit_in_mb=1024,
        invoked_function_arn="arn",
        aws_request_id="1",
    )
    answer: dict[str, Any] = extract.handler(event or {}, context)
    return answer


def test_what_is_read_is_kept_as_it_came(theirs: Any) -> None:
    """Somebody else may remove or change it: the bytes of each version that was read stay."""
    small = gzip.compress(b'{"id": 1, "note": "a"}')
    large = json.dumps([{"id": 2, "note": "x" * 1000}] * (PART_BYTES // 900)).encode()
    theirs.put_object(Bucket="theirs", Key="finance/targets/1.json.gz", Body=small)
    theirs.put_object(Bucket="theirs", Key="finance/targets/2.json", Body=large)
    theirs.put_object(Bucket="theirs", Key="finance/targets/3.json", Body=b'[{"id": 3}, oops')
    theirs.put_object(Bucket="theirs", Key="other.json", Body=b"{}")

    answer = run()

    batch = extract._log("targets").read(1)
    assert answer["rows"] == {"notes": 1 + PART_BYTES // 900}
    assert [read.error for read in batch.files] == [
        None,
        None,
        "it is not JSON from line 1 on",
    ]
    lake = boto3.client("s3", region_name="us-east-1")
    for read, body in zip(batch.files, (small, large, b'[{"id": 3}, oops'), strict=True):
        assert read.copy is not None
        assert read.copy.startswith(f"files/targets/{batch.source.snapshot_at:%Y-%m-%d}/")
        assert lake.get_object(Bucket="lake", Key=read.copy)["Body"].read() == body
        assert read.copy_sha256 == hashlib.sha256(body).hexdigest()
    assert run()["batch"] is None


def test_a_source_without_its_bucket_is_left_out(
    theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An optional one; of any other the setting is named."""
    monkeypatch.delenv("TARGETS_BUCKET")
    assert run()["sources"] == {}

    needed = replace(TARGETS, optional=False)
    pipeline = Pipeline(
        sources=[needed], targets=[PostgresWarehouse("warehouse", (latest(NOTES),))]
    )
    monkeypatch.setattr(extract, "_pipeline", lambda: pipeline)
    with pytest.raises(SettingsError, match="TARGETS_BUCKET"):
        run()


def test_files_of_our_own_bucket_are_not_copied(aws: None) -> None:
    """They are in the drop bucket, which keeps them."""
    drop = Drop()
    drop.put("orders.csv", "id,note\n1,a\n")

    assert [read.copy for read in drop.batch().files] == [None]
    assert drop.lake.keys_after("files/", "", 10) == []


def test_one_run_writes_all_batches_there_are(theirs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first run over many files takes no more runs than it has time for."""
    monkeypatch.setattr("functions.sources.files.finding.FILES_AT_MOST", 2)
    for number in range(5):
        theirs.put_object(Bucket="theirs", Key=f"finance/targets/{number}.json", Body=b'{"id": 1}')

    answer = run()

    assert (answer["batch"], answer["rows"], answer["more"]) == (3, {"notes": 5}, False)
