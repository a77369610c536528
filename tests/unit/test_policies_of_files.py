"""The rights that the functions of a pipeline of files have beside those of any pipeline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import pipelines
from deployer.configuration.settings import RemoteBucket
from deployer.resources.names import FunctionUse, Names
from deployer.resources.policies import function_policy
from deployer.resources.resource_policies import bucket_policy
from etl.loading import load
from tests.unit.test_policies import _list

NAMES = Names("market-etl", "dev", "123456789012", "eu-west-2")
DROP, INGESTION, PROCESSED = (NAMES.bucket_arn(use) for use in ("drop", "ingestion", "processed"))
ABORT = "s3:AbortMultipartUpload"
THEIRS = {"stalls": RemoteBucket("their-bucket", "out/")}
FOLDER = Path(__file__).parent.parent / "pipelines"


@pytest.fixture(autouse=True)
def market(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])


def grants(
    use: FunctionUse, buckets: Mapping[str, RemoteBucket] = THEIRS
) -> set[tuple[str, str, str | None]]:
    """Return every action, resource and prefix of a listing that a function is allowed."""
    return {
        (action, resource, prefix)
        for statement in function_policy(use, NAMES, load("market"), buckets)["Statement"]
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
        for prefix in _prefixes(statement)
    }


def _prefixes(statement: Mapping[str, Any]) -> list[str | None]:
    condition = statement.get("Condition")
    return list(condition["StringLike"]["s3:prefix"]) if condition else [None]


def test_extract_reads_files_and_changes_none() -> None:
    """It lists and reads our bucket, of somebody else's what is below the prefix, and no more."""
    files = {
        (action, resource, prefix)
        for action, resource, prefix in grants("extract")
        if resource.startswith((DROP, "arn:aws:s3:::their-bucket"))
    }

    assert files == {
        ("s3:ListBucket", DROP, None),
        ("s3:ListBucketVersions", DROP, None),
        ("s3:GetObject", f"{DROP}/*", None),
        ("s3:GetObjectVersion", f"{DROP}/*", None),
        ("s3:ListBucket", "arn:aws:s3:::their-bucket", "out/*"),
        ("s3:ListBucketVersions", "arn:aws:s3:::their-bucket", "out/*"),
        ("s3:GetObject", "arn:aws:s3:::their-bucket/out/*", None),
        ("s3:GetObjectVersion", "arn:aws:s3:::their-bucket/out/*", None),
    }


def test_extract_keeps_what_was_somebody_elses() -> None:
    """Files of others are copied into the lake, in parts where they are large."""
    written = {grant for grant in grants("extract") if grant[0] in ("s3:PutObject", ABORT)}

    lake = ("desk", "stalls", "keys", "batches", "files")
    assert written == {
        *(("s3:PutObject", f"{INGESTION}/{prefix}/*", None) for prefix in lake),
        (ABORT, f"{INGESTION}/files/*", None),
    }


def test_extract_sees_whether_its_last_batch_was_refused() -> None:
    """A pipeline that reads once a day at most reads again after a drop that was refused."""
    assert ("s3:GetObject", f"{PROCESSED}/batches/*", None) in grants("extract")
    assert ("s3:ListBucket", PROCESSED, "batches/*") in grants("extract")


def test_a_source_that_is_left_out_is_in_no_policy_of_extract() -> None:
    """Without its bucket there is nothing to read, to write or to copy."""
    resources = {resource for _, resource, _ in grants("extract", {})}

    assert not {arn for arn in resources if "their" in arn or "stalls" in arn or "/files/" in arn}


def test_errors_and_exports_are_written_by_who_makes_them() -> None:
    """Transform writes the errors, load the exports; no function reads or removes either."""
    people = {f"{PROCESSED}/errors/*", f"{PROCESSED}/exports/*"}
    found = {
        (use, action, resource.removeprefix(f"{PROCESSED}/"))
        for use in ("extract", "transform", "load", "reconcile")
        for action, resource, _ in grants(use)
        if resource in people
    }

    assert found == {
        ("transform", "s3:PutObject", "errors/*"),
        ("transform", ABORT, "errors/*"),
        ("load", "s3:PutObject", "exports/*"),
        ("load", ABORT, "exports/*"),
    }


def test_only_what_people_read_may_be_overwritten() -> None:
    """Objects that a function reads again are written once; others drop files as they like."""
    once = bucket_policy("processed", NAMES)["Statement"][1]

    assert once["NotResource"] == [
        f"{PROCESSED}/{each}/*" for each in ("errors", "exports", "page")
    ]
    assert "Resource" not in once
    assert [each["Sid"] for each in bucket_policy("drop", NAMES)["Statement"]] == ["TlsOnly"]
