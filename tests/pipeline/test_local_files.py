"""The sandbox of a pipeline of files: somebody else's bucket, and a mailbox."""

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import pipelines
from deployer.aws.account import Account, connect
from etl.loading import load
from local import preflight
from local.connection import connect as connect_to
from local.emulator import ACCOUNT, Emulator
from local.sample import files_of
from local.stand_ins import Mail, Mailbox, first_lines, put_stand_in, stand_in, stand_in_settings
from local.warehouse import ModelRows, model_rows, show_models
from tests.postgres_fixtures import Warehouse

FOLDER = Path(__file__).parent.parent / "pipelines"
STRANGER = "333333333333"


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])


def account(aws: Emulator, number: str = ACCOUNT) -> Account:
    return connect({**aws.environment, "AWS_ACCESS_KEY_ID": number})


def test_somebody_elses_bucket_can_be_read_and_not_written(local_aws: Emulator) -> None:
    """It is another account's, which lets ours read what is there, as it is now, and no third."""
    for body in (b"old", b"new"):
        put_stand_in(local_aws.environment, ACCOUNT, "their-files", {"a/b.json": body})

    ours = account(local_aws).clients.s3
    assert ours.get_object(Bucket="their-files", Key="a/b.json")["Body"].read() == b"new"
    assert len(ours.list_object_versions(Bucket="their-files")["Versions"]) == 1
    with pytest.raises(ClientError, match="AccessDenied"):
        ours.put_object(Bucket="their-files", Key="a/b.json", Body=b"ours")
    with pytest.raises(ClientError, match="AccessDenied"):
        account(local_aws, STRANGER).clients.s3.get_object(Bucket="their-files", Key="a/b.json")


def test_stand_ins_are_for_sources_that_have_files(market: None) -> None:
    """The setting of any other is empty, whatever the environment names: nothing real is read."""
    desk, stalls = load("market").files

    assert stand_in_settings([desk, stalls], [stalls]) == {
        "STALLS_BUCKET": stand_in(stalls),
        "STALLS_PREFIX": "",
        "STALLS_REGION": "",
    }
    assert stand_in_settings([stalls], [])["STALLS_BUCKET"] == ""


def test_a_sample_has_files_for_its_sources(market: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a drop, and those of a later one; a pipeline without files has none."""
    assert list(files_of("market", "desk")) == ["price.csv", "sale.csv"]
    assert files_of("market", "desk") != files_of("market", "desk", bad=True)
    monkeypatch.delattr("pipelines.market.sample.bad_files")
    assert files_of("market", "desk", bad=True) == {}


def test_a_pipeline_of_files_needs_no_database_as_a_source(market: None) -> None:
    """Any number of sources of files goes with one target."""
    source, target = preflight.only_parts("market", declared := load("market"))

    assert (source, target) == (None, declared.targets[0])


def test_a_mail_is_read_as_it_would_be_sent(local_aws: Emulator) -> None:
    """A message is in the mailbox once; those published before it was opened are not."""
    aws = account(local_aws)
    topic = aws.clients.sns.create_topic(Name="mailbox-test")["TopicArn"]
    box = Mailbox(aws, topic, is_open=True)
    aws.clients.sns.publish(TopicArn=topic, Subject="Batch 1", Message="sale.csv: 40 rows\nall")

    assert box.read() == [Mail("Batch 1", "sale.csv: 40 rows\nall")]
    assert box.read() == []
    aws.clients.sns.publish(TopicArn=topic, Subject="Batch 2", Message="-")
    assert Mailbox(aws, topic, is_open=True).read() == []


def test_the_first_lines_of_errors_are_shown(local_aws: Emulator) -> None:
    """However long an object is, and whatever bytes are in it."""
    s3 = account(local_aws).clients.s3
    s3.create_bucket(
        Bucket="first-lines", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    s3.put_object(Bucket="first-lines", Key="errors/a b.csv", Body=b"line\n2,\xff\n" + b"3\n" * 999)

    lines = list(first_lines(account(local_aws), "s3://first-lines/errors/a b.csv", 3))

    assert lines == ["line", "2,\\xff", "3"]


def test_the_newest_rows_of_models_are_shown(
    market: None, new_warehouse: Callable[[], Warehouse]
) -> None:
    """A line for each column, the newest rows first; a model that is not there is left out."""
    warehouse = new_warehouse()
    [target] = load("market").targets
    address = preflight.read_url("--warehouse-url", warehouse.superuser_url)
    assert list(model_rows(address, target, warehouse.schema)) == []
    with connect_to(warehouse.superuser_url) as connection:
        connection.run("CREATE SCHEMA reports")
        connection.run("CREATE TABLE reports.takings (day date, takings numeric)")
        connection.run(
            "INSERT INTO reports.takings SELECT date '2025-01-01' + day, nullif(day, 3) "
            "FROM generate_series(0, 3) AS days (day)"
        )

    [takings] = found = list(model_rows(address, target, warehouse.schema))

    assert takings == ModelRows(
        "reports.takings",
        (
            {"day": "2025-01-04", "takings": None},
            {"day": "2025-01-03", "takings": "2"},
            {"day": "2025-01-02", "takings": "1"},
        ),
    )
    assert len(list(show_models(found))) == 2
