"""The ledger, read from outside: the documents of the logs, and the objects that they name.

Nothing here knows the form of a document beyond its links. Whatever names an object by `key` or
`file` and gives its `sha256` is a promise that the object has that digest.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from deployer.aws.changes import error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Document = dict[str, Any]
Stage = Literal["ingestion", "processed", "loaded"]

# In the order of the batches: a document is made from one of the stage before.
STAGES: tuple[Stage, ...] = ("ingestion", "processed", "loaded")
FOLDERS: dict[Stage, str] = {"ingestion": "batches/", "processed": "batches/", "loaded": "loaded/"}
ORIGINS: dict[Stage, str] = {"processed": "ingested_sha256", "loaded": "processed_sha256"}
# The fields by which documents name an object, and its digest.
NAMING = (
    ("key", "sha256"),
    ("file", "sha256"),
    ("keys", "keys_sha256"),
    ("copy", "copy_sha256"),
)
MISSING = ("NoSuchKey", "404", "NoSuchVersion")
READ_BYTES = 1 << 20
_NUMBER = re.compile(r"(\d{10})\.json")


@dataclass(frozen=True)
class Named:
    """An object that a document names; without `sha256` only its presence is promised."""

    bucket: str
    key: str
    sha256: str | None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Stored:
    """An object as S3 has it: its digest, its size in bytes, its metadata; `body` if asked for."""

    sha256: str
    size: int
    metadata: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Log:
    """The documents of a source in one stage: batches, or markers of what was loaded."""

    source: str
    stage: Stage
    bucket: str

    @property
    def name(self) -> str:
        """Its name in reports."""
        return f"{self.source}/{self.stage}"

    @property
    def prefix(self) -> str:
        """The prefix of its documents."""
        return f"{FOLDERS[self.stage]}{self.source}/"

    def key(self, number: int) -> str:
        """Return the key of a document."""
        return f"{self.prefix}{number:010d}.json"

    def numbers(self, s3: "S3Client", first: int) -> list[int]:
        """Return the numbers of the documents from `first` on; other keys are no documents."""
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix, StartAfter=self.key(first - 1)
        )
        keys = (found["Key"] for page in pages for found in page.get("Contents", []))
        matches = (_NUMBER.fullmatch(key.removeprefix(self.prefix)) for key in keys)
        return [int(match[1]) for match in matches if match]

    def number_of(self, document: Document) -> object:
        """Return the number that a document says it has."""
        return document.get("number" if self.stage == "loaded" else "batch")


def logs_of(s3: "S3Client", bucket: str, stage: Stage) -> list[Log]:
    """Return the logs of a stage that a bucket has, by the names of their sources."""
    prefix = FOLDERS[stage]
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix, Delimiter="/"
    )
    found = (each["Prefix"] for page in pages for each in page.get("CommonPrefixes", []))
    return [Log(name[len(prefix) :].removesuffix("/"), stage, bucket) for name in found]


def stored(s3: "S3Client", bucket: str, key: str, *, keep: bool = False) -> Stored | None:
    """Read an object, and `keep` its bytes; None if there is no such object."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) in MISSING:
            return None
        raise
    digest, size, parts = hashlib.sha256(), 0, []
    with answer["Body"] as body:
        while piece := body.read(READ_BYTES):
            digest.update(piece)
            size += len(piece)
            if keep:
                parts.append(piece)
    return Stored(digest.hexdigest(), size, answer.get("Metadata", {}), b"".join(parts))


def parsed(body: bytes) -> Document | None:
    """Return a document, None for bytes that are none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def named(document: object, bucket: str) -> Iterator[Named]:
    """Yield the objects of a bucket that a document names, at whatever depth."""
    if isinstance(document, list):
        for each in document:
            yield from named(each, bucket)
    if not isinstance(document, dict):
        return
    for key, digest in NAMING:
        match document.get(key), document.get(digest):
            case str(found), str(sha256):
                yield Named(bucket, found, sha256)
            case str(found), None if key == "copy":  # an earlier version kept no digest of it
                yield Named(bucket, found, None)
    for each in document.values():
        yield from named(each, bucket)
