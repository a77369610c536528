"""Stand-ins for what is outside of the pipeline: buckets of another account, APIs, a mailbox."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from botocore.exceptions import ClientError

from deployer.aws.account import Account, connect
from etl import Files
from etl.loading import load
from local.processes import HOST
from local.sample import answer_of, has_sample

NOT_YET = 1  # a port, until the server has its own
QUEUE = "local-mailbox"
OTHERS_ACCOUNT = "210987654321"
READING = ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetObject", "s3:GetObjectVersion"]


def stand_in(source: Files) -> str:
    """Return the name of the bucket of another account that stands in for a source's."""
    return f"other-account-{source.name.replace('_', '-')}"


def stand_in_settings(sources: Iterable[Files], provided: Iterable[Files]) -> dict[str, str]:
    """Return the settings by which sources find their stand-ins; empty for other sources."""
    found: dict[str, str] = {}
    for source in sources:
        if source.remote:
            found[source.bucket_setting] = stand_in(source) if source in provided else ""
            found[source.prefix_setting] = found[source.region_setting] = ""
    return found


def put_stand_in(
    environment: Mapping[str, str], reader: str, bucket: str, files: Mapping[str, bytes]
) -> None:
    """Put files into a bucket of another account, which the account `reader` may read."""
    owner = connect({**environment, "AWS_ACCESS_KEY_ID": OTHERS_ACCOUNT})
    s3 = owner.clients.s3
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError:
        location = owner.region
        s3.create_bucket(
            Bucket=bucket,
            CreateBucketConfiguration={"LocationConstraint": location},  # type: ignore[typeddict-item]
        )
    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{reader}:root"},
        "Action": READING,
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    drop(owner, bucket, files)


def drop(account: Account, bucket: str, files: Mapping[str, bytes]) -> None:
    """Put files into a bucket."""
    for key, body in files.items():
        account.clients.s3.put_object(Bucket=bucket, Key=key, Body=body)


def first_lines(account: Account, url: str, number: int) -> Iterator[str]:
    """Yield the first lines of an object of text."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    body = account.clients.s3.get_object(Bucket=bucket, Key=key)["Body"]
    for _, line in zip(range(number), body.iter_lines(), strict=False):
        yield line.decode("utf-8", "backslashreplace")


class SampleApis:
    """A server for the APIs of a pipeline, each at its own path, for as long as the context lasts.

    With `stand_in` it serves those that have answers in the sample and no URL in the environment.
    """

    def __init__(self, pipeline: str, environment: Mapping[str, str], *, stand_in: bool) -> None:
        self._pipeline = pipeline
        self._environment = environment
        self._declared = load(pipeline).apis
        self._served = [
            source
            for source in self._declared
            if stand_in and not environment.get(source.setting) and has_sample(pipeline, "answer")
        ]
        self._port = NOT_YET
        self._undo = ExitStack()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of all APIs: those served have a URL, and a key that is not read."""
        names = [name for each in self._declared for name in (each.setting, each.key_setting)]
        given = {name: self._environment.get(name, "") for name in names}
        urls = {each.setting: f"http://{HOST}:{self._port}/{each.name}" for each in self._served}
        return given | urls | {each.key_setting: "a-key" for each in self._served if each.key}

    def __enter__(self) -> "SampleApis":
        if self._served:
            names = frozenset(source.name for source in self._served)
            server = self._undo.enter_context(_Server(self._pipeline, names))
            self._port = server.server_port
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
            self._undo.callback(server.shutdown)
        return self

    def __exit__(self, *exception: object) -> None:
        self._undo.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, pipeline: str, names: frozenset[str]) -> None:
        self.pipeline = pipeline
        self.names = names
        super().__init__((HOST, 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    """Answers a path that is the name of a source; requests from web pages are refused."""

    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name, own = parts.path.strip("/"), f"{HOST}:{self.server.server_port}"
        if name not in self.server.names or self.headers.get("Host") != own:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        query = dict(parse_qsl(parts.query))
        try:
            kind, body = answer_of(self.server.pipeline, name, query)
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: stderr is for the sandbox."""


if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef


@dataclass(frozen=True)
class Mail:
    """A mail as a subscriber of the topic gets it."""

    subject: str
    text: str


class Mailbox:
    """A queue that is subscribed to the topic of alarms and notices."""

    def __init__(self, account: Account, topic_arn: str, *, is_open: bool) -> None:
        """Subscribe the queue, empty it; a mailbox that is not open stays empty."""
        self._sqs = account.clients.sqs
        self._is_open = is_open
        if not is_open:
            return
        self._url = self._sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        arn = f"arn:aws:sqs:{account.region}:{account.id}:{QUEUE}"
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})
        account.clients.sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)
        self.read()

    def read(self) -> list[Mail]:
        """Return the mails that arrived after the last call, in their order."""
        mails: list[Mail] = []
        while self._is_open and (messages := self._receive()):
            for message in messages:
                body = json.loads(message["Body"])
                mails.append(Mail(body.get("Subject", ""), body["Message"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return mails

    def _receive(self) -> "list[MessageTypeDef]":
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        return answer.get("Messages", [])
