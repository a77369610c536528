"""Objects that are written piece by piece, in an S3 that moto keeps in this process."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse, HTTPHeaders
from botocore.exceptions import ClientError

from functions.common.errors import BucketAccessError
from functions.common.storage import CLIENT_CONFIG, Bucket, Condition
from functions.common.uploads import PART_BYTES, Upload, only_new, whatever_is_there

KEY = "files/drop/1"


@pytest.fixture
def s3(aws: None) -> Any:
    client = boto3.client("s3", config=CLIENT_CONFIG, region_name="us-east-1")
    client.create_bucket(Bucket="lake")
    return client


@pytest.fixture
def requests(s3: Any) -> list[str]:
    """The requests that change something, in order."""
    asked: list[str] = []
    for name in ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        s3.meta.events.register(f"before-call.s3.{name}", lambda model, **_: asked.append(model))
    return asked


def upload(s3: Any, body: bytes, condition: Callable[[], Condition | None] = only_new) -> int:
    with Upload(Bucket(s3, "lake"), KEY, condition=condition) as written:
        for start in range(0, len(body), 3 << 20):
            written.write(body[start : start + (3 << 20)])
    return written.size


def stored(s3: Any) -> bytes:
    body: bytes = s3.get_object(Bucket="lake", Key=KEY)["Body"].read()
    return body


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, 2 * PART_BYTES + 1])
def test_an_object_is_what_was_written_whatever_its_size(s3: Any, size: int) -> None:
    """Of no bytes, of less than a part, of whole parts and of parts with a rest."""
    body = bytes(range(256)) * (size // 256 + 1)

    assert upload(s3, body[:size]) == size
    assert stored(s3) == body[:size]
    assert unfinished(s3) == []


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
def test_an_upload_without_a_condition_leaves_the_object_as_it_is(s3: Any, size: int) -> None:
    """Of less than a part or more; nothing of it remains."""
    upload(s3, b"before")

    upload(s3, bytes(size), lambda: None)

    assert stored(s3) == b"before"
    assert unfinished(s3) == []


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
def test_the_condition_is_asked_for_again_when_it_is_not_met(s3: Any, size: int) -> None:
    """Somebody else has written the object after the look at it."""
    upload(s3, b"before")
    bucket, looks = Bucket(s3, "lake"), 0
    s3.meta.events.register("before-call.s3.CompleteMultipartUpload", refuse_other_etags(bucket))

    def unless_written_since() -> Condition:
        nonlocal looks
        looks += 1
        condition = {"IfMatch": bucket.etag(KEY) or ""}
        if looks == 1:
            upload(s3, b"in between", whatever_is_there)
        return condition

    upload(s3, bytes(size), unless_written_since)

    assert looks == 2
    assert stored(s3) == bytes(size)
    assert unfinished(s3) == []


def refuse_other_etags(bucket: Bucket) -> Callable[..., object]:
    """Return what lets the completion of an upload be conditional: here it is not by itself."""

    def refuse(params: dict[str, Any], **_: object) -> object:
        if params["headers"].get("If-Match") in (None, bucket.etag(KEY)):
            return None
        error = {"Error": {"Code": "PreconditionFailed"}}
        return AWSResponse("", 412, HTTPHeaders(), None), error

    return refuse


def unfinished(s3: Any) -> list[Any]:
    found: list[Any] = s3.list_multipart_uploads(Bucket="lake").get("Uploads", [])
    return found


def test_a_small_object_takes_one_request(s3: Any, requests: list[Any]) -> None:
    """Most files are small: an upload in parts would take three requests."""
    upload(s3, b"small")

    assert [model.name for model in requests] == ["PutObject"]


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
def test_a_key_that_is_taken_is_left_as_it_is(s3: Any, size: int) -> None:
    """An object of a log is never overwritten, whether it is written whole or in parts."""
    upload(s3, b"first")

    with pytest.raises(BucketAccessError, match=f"s3://lake/{KEY} is there already"):
        upload(s3, b"x" * size)

    assert stored(s3) == b"first"
    assert unfinished(s3) == []


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
def test_an_object_for_people_is_overwritten(s3: Any, size: int) -> None:
    """The newest is what they want to see."""
    upload(s3, b"first")
    upload(s3, b"x" * size, whatever_is_there)

    assert stored(s3) == b"x" * size


@pytest.mark.parametrize("size", [1, 3 * PART_BYTES])
def test_what_fails_on_its_way_leaves_nothing(s3: Any, size: int) -> None:
    """Neither an object that looks whole nor parts that are paid for."""

    def fail() -> None:
        with Upload(Bucket(s3, "lake"), KEY) as written:
            written.write(b"x" * size)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert "Contents" not in s3.list_objects_v2(Bucket="lake")
    assert unfinished(s3) == []


def test_a_part_that_is_refused_is_an_error_and_leaves_nothing(s3: Any) -> None:
    """Parts are sent in the background, and none is lost there."""

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "UploadPart")

    s3.meta.events.register("before-call.s3.UploadPart", refuse)

    with pytest.raises(ClientError, match="AccessDenied"):
        upload(s3, b"x" * (PART_BYTES + 1))

    assert unfinished(s3) == []
