"""Files that change, or other runs that read them, while they are read."""

from typing import Any

import pytest

from functions.common.errors import BatchConflictError
from tests.aws.drop import VERSIONED_OR_NOT, Drop, keys


def test_a_file_that_changes_between_listing_and_reading_is_listed_again(aws: None) -> None:
    """Where the bucket keeps no versions, it is never half of one file and half of another."""
    drop = Drop(versioned=False)
    drop.put("orders.csv", "id,note\n1,a\n")
    once = iter([True])

    def overwrite(**_: Any) -> None:
        if next(once, False):
            drop.put("orders.csv", "id,note\n1,b\n")

    drop.client.meta.events.register("before-call.s3.GetObject", overwrite)

    assert drop.rows(drop.batch()) == [("1", "b")]


def test_a_version_is_read_though_another_one_comes(aws: None) -> None:
    """Where the bucket keeps versions, what was listed is what is read."""
    drop = Drop()
    drop.put("orders.csv", "id,note\n1,a\n")
    once = iter([True])

    def overwrite(**_: Any) -> None:
        if next(once, False):
            drop.put("orders.csv", "id,note\n1,b\n")

    drop.client.meta.events.register("before-call.s3.GetObject", overwrite)

    assert drop.rows(drop.batch()) == [("1", "a")]
    assert drop.rows(drop.batch()) == [("1", "b")]


@VERSIONED_OR_NOT
def test_a_file_that_disappears_is_passed_over(drop: Drop) -> None:
    """The others are read, and the next run looks again."""
    drop.put("orders-1.csv", "id,note\n1,a\n")
    drop.put("orders-2.csv", "id,note\n2,a\n")

    def remove(params: dict[str, Any], **_: Any) -> None:
        if params["url_path"].endswith("orders-1.csv"):
            for version in drop.client.list_object_versions(Bucket="drop")["Versions"]:
                if version["Key"] == "orders-1.csv":
                    drop.client.delete_object(
                        Bucket="drop", Key="orders-1.csv", VersionId=version["VersionId"]
                    )

    drop.client.meta.events.register("before-call.s3.GetObject", remove)

    captured = drop.run()

    assert captured.manifest is not None
    assert keys(captured.manifest) == ["orders-2.csv"]
    assert captured.more
    assert drop.run().manifest is None


def test_two_runs_side_by_side_make_one_batch(drop: Drop) -> None:
    """The second to claim the number starts over, and finds nothing new."""
    drop.put("orders.csv", "id,note\n1,a\n")
    once = iter([True])

    def other(params: dict[str, Any], **_: Any) -> None:
        if params["url_path"].endswith("0000000001.json") and next(once, False):
            drop.run()

    drop.client.meta.events.register("before-call.s3.PutObject", other)
    with pytest.raises(BatchConflictError):
        drop.capture().run("another run")

    assert drop.capture().run("another run").manifest is None
    assert drop.log.newest() == 1
