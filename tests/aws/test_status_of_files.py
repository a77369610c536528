"""The status of a pipeline of files, read from an account in this process."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import pipelines
from deployer.aws.account import Account
from deployer.operations.files import RefusedFile
from deployer.operations.status import SourceStatus, Status, read_status
from deployer.resources.names import Names
from etl.loading import load
from tests.aws.test_status import put

NAMES = Names("market-etl", "dev", "123456789012", "eu-west-2")
DROP, INGESTION, PROCESSED = (NAMES.bucket(use) for use in ("drop", "ingestion", "processed"))
FOLDER = Path(__file__).parent.parent / "pipelines"
KEY = "batches/desk/0000000001.json"


@pytest.fixture
def buckets(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])
    for bucket in (DROP, INGESTION, PROCESSED):
        account.clients.s3.create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
        )
    return account


def status(account: Account) -> Status:
    dropped = load("market").files[:1]
    return read_status(account, NAMES, ["desk"], datetime.now(UTC), dropped=dropped)


def desk(account: Account) -> SourceStatus:
    return status(account).sources["desk"]


def put_batch(account: Account, **files: str) -> None:
    """Let a batch have been read just now, with these files and their ETags."""
    source = {"snapshot_at": datetime.now(UTC).isoformat()}
    common = {"batch": 1, "written_at": source["snapshot_at"], "source": source}
    read = [{"file": {"key": key.replace("_", "."), "etag": etag}} for key, etag in files.items()]
    put(account, INGESTION, KEY, {**common, "files": read})
    refusal = {
        "file": {"key": "sale.csv"},
        "rows": 40,
        "refused": 40,
        "reason": "9 % of its rows are refused",
        "errors": "errors/sale/sale.csv",
    }
    put(account, PROCESSED, KEY, {**common, "quarantine": {}, "refusals": [refusal]})


def test_files_that_no_batch_has_read_are_counted(buckets: Account) -> None:
    """Those that are files of a feed; others are named, because nobody reads them."""
    for key in ("price.csv", "sale.csv.gz", "notes.txt", "folder/"):
        put(buckets, DROP, key, b"1")

    found = status(buckets)

    assert (found.drop_bucket, found.sources["desk"].new_files) == (DROP, 2)
    assert found.strangers == ["notes.txt"]


def test_files_of_the_newest_batch_are_not_new(buckets: Account) -> None:
    """S3 knows seconds: a file that was read in the second it came in is identified by its ETag."""
    put(buckets, DROP, "price.csv", b"1")
    etag = buckets.clients.s3.head_object(Bucket=DROP, Key="price.csv")["ETag"].strip('"')
    put_batch(buckets, price_csv=etag)
    assert desk(buckets).new_files == 0

    put(buckets, DROP, "price.csv", b"2")

    assert desk(buckets).new_files == 1


def test_refused_files_are_named(buckets: Account) -> None:
    """Each with its figures, why it was refused as a whole, and where the rows are."""
    put_batch(buckets)

    assert desk(buckets).refusals == {
        "sale.csv": RefusedFile(
            40, 40, "9 % of its rows are refused", f"s3://{PROCESSED}/errors/sale/sale.csv"
        )
    }


def test_where_nothing_is_deployed_nothing_fails(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the bucket nobody knows of files."""
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])

    assert (desk(account).new_files, desk(account).refusals) == (None, {})
