"""A bucket that is written once, against the exact answers of S3."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, SSLError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto import mock_aws

from functions.common.errors import CorruptLogError
from functions.common.storage import CLIENT_CONFIG, CONFLICT_RETRIES, Bucket

GET = {"Bucket": "lake", "Key": "a/1"}
PUT = {"Bucket": "lake", "Key": "a/1", "Body": b"x", "IfNoneMatch": "*"}
CONFLICT = ("ConditionalRequestConflict", 409)


@pytest.fixture
def s3() -> Any:
    # A separate session: boto3's default one remembers the configuration of the first test.
    session = boto3.Session(
        region_name="eu-west-2", aws_access_key_id="a", aws_secret_access_key="b"
    )
    return session.client("s3")


@pytest.fixture
def stub(s3: Any) -> Iterator[Stubber]:
    """S3's answers, in order; each has to be asked for."""
    with Stubber(s3) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def bucket(s3: Any, sleeps: list[float]) -> Bucket:
    return Bucket(s3, "lake", sleep=sleeps.append)


def fail(stub: Stubber, operation: str, code: str, status: int, asked: dict[str, Any]) -> None:
    stub.add_client_error(operation, code, "no", status, expected_params=asked)


def test_a_new_key_is_written(stub: Stubber, bucket: Bucket) -> None:
    """Every write asks S3 to refuse it if the key is taken."""
    stub.add_response("put_object", {}, PUT)

    assert bucket.put_new("a/1", b"x") is True


def test_a_taken_key_is_left_as_it_is(stub: Stubber, bucket: Bucket, sleeps: list[float]) -> None:
    """A key that has an object is reported at once, with no second try."""
    fail(stub, "put_object", "PreconditionFailed", 412, PUT)

    assert bucket.put_new("a/1", b"x") is False
    assert sleeps == []


def test_writes_that_overlap_are_tried_again(
    stub: Stubber, bucket: Bucket, sleeps: list[float]
) -> None:
    """S3 answers 409 while another write of the key is under way: the next try shows who won."""
    fail(stub, "put_object", *CONFLICT, PUT)
    fail(stub, "put_object", *CONFLICT, PUT)
    stub.add_response("put_object", {}, PUT)
    fail(stub, "put_object", *CONFLICT, PUT)
    fail(stub, "put_object", "PreconditionFailed", 412, PUT)

    assert bucket.put_new("a/1", b"x") is True
    assert bucket.put_new("a/1", b"x") is False
    assert sleeps == [0.1, 0.2, 0.1]


def test_writes_that_overlap_for_ever_end_in_s3_s_own_error(
    stub: Stubber, bucket: Bucket, sleeps: list[float]
) -> None:
    """After the last try the error that S3 gave is what the log shows."""
    for _ in range(CONFLICT_RETRIES):
        fail(stub, "put_object", *CONFLICT, PUT)

    with pytest.raises(ClientError, match="ConditionalRequestConflict"):
        bucket.put_new("a/1", b"x")
    assert sleeps == [0.1 * 2**attempt for attempt in range(CONFLICT_RETRIES)]


def test_other_errors_of_a_write_are_passed_on(stub: Stubber, bucket: Bucket) -> None:
    """A refused write is neither a taken key nor a success."""
    fail(stub, "put_object", "AccessDenied", 403, PUT)

    with pytest.raises(ClientError, match="AccessDenied"):
        bucket.put_new("a/1", b"x")


def test_what_people_read_is_overwritten(stub: Stubber, bucket: Bucket) -> None:
    """An export of the same day, or the errors of a file that came again, are the newest ones."""
    stub.add_response("put_object", {}, {"Bucket": "lake", "Key": "exports/a.csv", "Body": b"x"})

    bucket.put("exports/a.csv", b"x")


def test_an_object_is_read_whole(stub: Stubber, bucket: Bucket) -> None:
    """The bytes that were written are read."""
    body = StreamingBody(BytesIO(b"bytes"), 5)
    stub.add_response("get_object", {"Body": body, "ContentLength": 5}, GET)

    assert bucket.get("a/1", 5) == b"bytes"


def test_an_object_that_is_too_large_is_not_read(stub: Stubber, bucket: Bucket) -> None:
    """An object of any size takes no memory: it is named by the size that S3 says it has."""
    raw = BytesIO(b"x" * 6)
    stub.add_response("get_object", {"Body": StreamingBody(raw, 6), "ContentLength": 6}, GET)

    with pytest.raises(CorruptLogError, match=r"s3://lake/a/1 has 6 bytes, and 5 is the most"):
        bucket.get("a/1", 5)
    assert raw.closed


def test_an_upload_carries_a_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 refuses an object that does not arrive as it was sent, whatever the environment says."""
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    sent: list[Any] = []
    with mock_aws():
        s3 = boto3.client("s3", config=CLIENT_CONFIG, region_name="us-east-1")
        s3.create_bucket(Bucket="lake")
        s3.meta.events.register(
            "before-send.s3.PutObject", lambda request, **_: sent.append(request)
        )
        Bucket(s3, "lake").put_new("a/1", b"x")

    assert sent[0].headers["x-amz-trailer"] == b"x-amz-checksum-crc32"


@pytest.mark.parametrize(("code", "status"), [("NoSuchKey", 404), ("AccessDenied", 403)])
def test_an_object_that_is_not_there_is_named(
    stub: Stubber, bucket: Bucket, code: str, status: int
) -> None:
    """The log names only what exists: an object that was taken away is named, with S3's word."""
    fail(stub, "get_object", code, status, {"Bucket": "lake", "Key": "keys/1.parquet"})

    with pytest.raises(CorruptLogError) as failure:
        bucket.get("keys/1.parquet")

    assert str(failure.value) == (
        "s3://lake/keys/1.parquet is named by the batch log and cannot be read "
        f"({code}): was it deleted by hand?"
    )


def test_other_errors_of_a_read_are_passed_on(stub: Stubber, bucket: Bucket) -> None:
    """An error that says nothing about the object does not blame the log."""
    fail(stub, "get_object", "NoSuchBucket", 404, GET)

    with pytest.raises(ClientError, match="NoSuchBucket"):
        bucket.get("a/1")


def test_keys_are_listed_from_a_key_on(stub: Stubber, bucket: Bucket) -> None:
    """One request, with the limit that was asked for; none found is an empty list."""
    asked = {"Bucket": "lake", "Prefix": "a/", "StartAfter": "a/1", "MaxKeys": 2}
    found = [{"Key": "a/2"}, {"Key": "a/3"}]
    stub.add_response("list_objects_v2", {"Contents": found}, asked)
    stub.add_response("list_objects_v2", {}, asked)

    assert bucket.keys_after("a/", "a/1", 2) == ["a/2", "a/3"]
    assert bucket.keys_after("a/", "a/1", 2) == []


def test_a_request_that_a_link_cut_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever failed below HTTP, TLS as well: by default botocore gives up on that at once."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    sent: list[Any] = []

    def cut(request: Any, **_: Any) -> None:
        sent.append(request)
        raise SSLError(endpoint_url=request.url, error=EOFError())

    s3 = boto3.client("s3", config=CLIENT_CONFIG, aws_access_key_id="a", aws_secret_access_key="b")
    s3.meta.events.register("before-send.s3.PutObject", cut)

    with pytest.raises(SSLError):
        Bucket(s3, "lake").put_new("a/1", b"x")
    assert len(sent) == 6
