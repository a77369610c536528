"""The proofs that reconcile writes: their chain, the documents that they name, and signatures.

A signature is of the bytes of the object, and in its metadata. A later proof has the digest of the
one before it, so that a valid signature also covers all earlier proofs.
"""

import hashlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from deployer.aws.changes import error_code
from deployer.operations.ledger import Document, Log, Stage, Stored, parsed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "proofs/"
ALGORITHM = "ECDSA_SHA_256"
INVALID = ("KMSInvalidSignatureException", "KMSInvalidSignature")


@dataclass(frozen=True)
class Signatures:
    """The key by which proofs have to be signed, in KMS; without one nothing is verified."""

    kms: Any
    key: str | None

    def are_checked(self) -> bool:
        """Return whether there is a key."""
        return self.key is not None

    def is_valid(self, proof: Stored) -> bool | None:
        """Return whether a proof is signed by the key; None if it is not signed by it at all."""
        if proof.metadata.get("signature-key") != self.key:
            return None
        try:
            signature = b64decode(proof.metadata.get("signature", ""), validate=True)
        except ValueError:
            return False
        try:
            answer = self.kms.verify(
                KeyId=self.key,
                Message=hashlib.sha256(proof.body).digest(),
                MessageType="DIGEST",
                Signature=signature or b"none",
                SigningAlgorithm=ALGORITHM,
            )
        except ClientError as error:
            if error_code(error) in INVALID:
                return False
            raise
        return bool(answer["SignatureValid"])


@dataclass(frozen=True)
class Head:
    """The newest document of a log, as a proof names it."""

    log: Log
    number: int
    sha256: str


def listed_proofs(s3: "S3Client", bucket: str) -> list[str]:
    """Return the keys of the proofs, the oldest first: later ones of a day have their time too."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return sorted(keys, key=lambda key: key.removesuffix(".json"))


def previous(proof: Document) -> tuple[str, str] | None:
    """Return the key and the digest of the proof before, as a proof names it."""
    match proof.get("previous"):
        case {"key": str(key), "sha256": str(digest)}:
            return key, digest
    return None


def heads(proof: Document, buckets: Mapping[Stage, str]) -> Iterator[Head]:
    """Yield the newest documents of the logs, as a proof names them."""
    sources = proof.get("sources")
    for source, found in sources.items() if isinstance(sources, dict) else ():
        named = found.get("heads") if isinstance(found, dict) else None
        for stage, bucket in buckets.items():
            match named.get(stage) if isinstance(named, dict) else None:
                case {"number": int(number), "sha256": str(digest)}:
                    yield Head(Log(source, stage, bucket), number, digest)


def read(body: bytes) -> Document | None:
    """Return a proof, None for bytes that are none."""
    document = parsed(body)
    return document if document is not None and "sources" in document else None
