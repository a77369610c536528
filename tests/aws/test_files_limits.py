"""Many files, what is known of them, and buckets that may not be read."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from functions.common.errors import RepairRequestError, SettingsError
from functions.sources import Repair
from functions.sources.files import finding, known
from tests.aws.drop import VERSIONED_OR_NOT, Drop, keys


def test_more_files_than_a_batch_has_are_several_batches(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order in which they came, by their number and by their size."""
    monkeypatch.setattr(finding, "FILES_AT_MOST", 3)
    monkeypatch.setattr(finding, "BYTES_AT_MOST", 60)
    for number in range(5):
        drop.put(f"orders-{number}.csv", "id,note\n" + "1,a\n" * (20 if number == 3 else 1))

    runs = [drop.run() for _ in range(3)]

    assert [keys(run.manifest) for run in runs if run.manifest] == [
        ["orders-0.csv", "orders-1.csv", "orders-2.csv"],
        ["orders-3.csv"],
        ["orders-4.csv"],
    ]
    assert [run.more for run in runs] == [True, True, False]


def test_more_keys_than_s3_lists_at_once_are_all_seen(drop: Drop) -> None:
    """A listing has a thousand keys a page."""
    for number in range(1005):
        s3_backends["123456789012"]["aws"].put_object("drop", f"none/{number}", b"x")
    drop.put("orders.csv", "id,note\n1,a\n")

    assert keys(drop.batch()) == ["orders.csv"]


def test_a_batch_ends_when_there_is_no_time_for_another_file(drop: Drop) -> None:
    """The files read so far are a batch, and the rest is the next one."""
    drop.put("orders-1.csv", "id,note\n1,a\n")
    drop.put("orders-2.csv", "id,note\n2,a\n")

    captured = drop.capture(has_time=lambda: False).run("run")

    assert captured.manifest is not None
    assert keys(captured.manifest) == ["orders-1.csv"]
    assert captured.more
    assert keys(drop.batch()) == ["orders-2.csv"]


@VERSIONED_OR_NOT
def test_what_is_known_is_written_now_and_then_and_forgets_what_is_gone(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run reads a bounded number of manifests, however long the log is."""
    monkeypatch.setattr(known, "BATCHES", 3)
    for number in range(1, 8):
        drop.put(f"orders-{number}.csv", "id,note\n1,a\n")
        drop.batch()
        if number == 1:
            drop.client.delete_object(Bucket="drop", Key="orders-1.csv")
            for version in drop.client.list_object_versions(Bucket="drop").get("Versions", []):
                drop.client.delete_object(
                    Bucket="drop", Key="orders-1.csv", VersionId=version["VersionId"]
                )
            for marker in drop.client.list_object_versions(Bucket="drop").get("DeleteMarkers", []):
                drop.client.delete_object(
                    Bucket="drop", Key="orders-1.csv", VersionId=marker["VersionId"]
                )

    manifests = [drop.log.read(number) for number in range(1, 8)]

    assert [each.known.since for each in manifests if each.known] == [1, 1, 1, 4, 4, 4, 7]
    last = manifests[-1].known
    assert last is not None
    assert last.file is not None
    assert last.file.rows == 5  # the first is gone, and the last is in its own manifest
    assert drop.run().manifest is None


@VERSIONED_OR_NOT
def test_a_repair_reads_all_files_of_a_table_again(drop: Drop) -> None:
    """The known version of each, in order."""
    drop.put("orders-1.csv", "id,note\n1,a\n")
    drop.put("orders-2.csv", "id,note\n2,a\n")
    drop.put("reviews/1.csv", "stars\n5\n")
    drop.batch()

    repaired = drop.run(repair=Repair(read=["orders"]))

    assert repaired.manifest is not None
    assert keys(repaired.manifest) == ["orders-1.csv", "orders-2.csv"]
    assert drop.run().manifest is None


def test_a_repair_that_cannot_read_all_files_reads_none(drop: Drop) -> None:
    """Older files without the newer ones would put older rows over newer ones."""
    drop.put("orders-1.csv", "id,note\n1,a\n")
    drop.put("orders-2.csv", "id,note\n1,b\n")
    drop.batch()

    with pytest.raises(RepairRequestError) as error:
        drop.capture(has_time=lambda: False).run("run", Repair(read=["orders"]))

    assert str(error.value) == (
        "shop: 1 of 2 files could be read again in half of a run's time, and nothing was written: "
        "replay the batches of the files that disagree, oldest first"
    )
    assert drop.log.newest() == 1


def test_a_repair_whose_files_change_meanwhile_lists_them_again(drop: Drop) -> None:
    """A file that is gone when it is to be read is not merely left out."""
    drop.put("orders-1.csv", "id,note\n1,a\n")
    drop.put("orders-2.csv", "id,note\n1,b\n")
    drop.batch()
    refuse(drop, "GetObject", "NoSuchKey")

    repaired = drop.run(repair=Repair(read=["orders"]))

    assert (repaired.manifest, repaired.postponed) == (
        None,
        "files of shop change while being read",
    )


def test_a_repair_leaves_new_files_to_the_next_batch(drop: Drop) -> None:
    """What comes again is loaded as such, and what comes for the first time is not."""
    drop.put("orders-1.csv", "id,note\n1,a\n")
    drop.put("orders-2.csv", "id,note\n2,a\n")
    drop.batch()
    drop.put("orders-2.csv", "id,note\n2,b\n")
    drop.put("orders-3.csv", "id,note\n3,a\n")

    repaired = drop.run(repair=Repair(read=["orders"])).manifest
    assert repaired is not None
    following = drop.batch()

    assert [(read.file.key, read.again) for read in repaired.files] == [
        ("orders-1.csv", True),
        ("orders-2.csv", True),
    ]
    assert drop.rows(repaired) == [("1", "a"), ("2", "a")]
    assert drop.rows(following) == [("2", "b"), ("3", "a")]


def test_a_bucket_that_keeps_its_versions_to_itself_is_read_without(aws: None) -> None:
    """Listing objects is enough, and whoever owns the bucket may allow no more."""
    drop = Drop()
    drop.put("orders.csv", "id,note\n1,a\n")
    refuse(drop, "ListObjectVersions", "AccessDenied")

    assert keys(drop.batch()) == ["orders.csv"]
    assert drop.run().manifest is None


def refuse(drop: Drop, operation: str, code: str) -> None:
    def fail(params: dict[str, Any], **_: Any) -> None:
        if params["Bucket"] == "drop":
            raise ClientError({"Error": {"Code": code}}, operation)

    drop.client.meta.events.register(f"before-parameter-build.s3.{operation}", fail)


NOT_ALLOWED = (
    "DROP_BUCKET: bucket drop may not be listed or read under /: its owner has to allow "
    "s3:ListBucket and s3:GetObject, and s3:GetObjectVersion where versions may be listed"
)


@pytest.mark.parametrize(
    ("operations", "code", "said"),
    [
        (
            ("ListObjectVersions", "ListObjectsV2"),
            "AccessDenied",
            NOT_ALLOWED,
        ),
        (
            ("GetObject",),
            "AccessDenied",
            NOT_ALLOWED,
        ),
        (
            ("ListObjectVersions",),
            "NoSuchBucket",
            "DROP_BUCKET: there is no bucket drop: correct the setting and deploy again",
        ),
        (
            ("ListObjectVersions",),
            "PermanentRedirect",
            "DROP_REGION: bucket drop is in another region: set it and deploy again",
        ),
    ],
)
def test_a_bucket_that_may_not_be_read_names_the_setting(
    aws: None, operations: tuple[str, ...], code: str, said: str
) -> None:
    """The error says what to correct, or whom to ask."""
    drop = Drop()
    drop.put("orders.csv", "id,note\n1,a\n")
    for operation in operations:
        refuse(drop, operation, code)

    with pytest.raises(SettingsError) as raised:
        drop.run()

    assert str(raised.value) == said
