"""Proofs: what reconcile found, and the newest document of each log, written once and signed.

A proof is a separate object, `proofs/<date>.json`, and a later one of the same day has its time
too. It names the proof before it by its digest, and the newest documents of the logs by theirs: so
whoever keeps a proof, or trusts its signature, can tell whether anything before it was changed.
The signature, of the bytes of the object, is in the object's metadata.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec

from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError
from functions.common.logs import Logs, MarkerLog
from functions.common.storage import Bucket
from functions.common.telemetry import logger

PREFIX = "proofs/"
ALGORITHM = "ECDSA_SHA_256"
# The fields of a comparison that are no keys of rows.
SHOWN = (
    *("source", "warehouse", "missing", "different", "extra", "pending", "deleted"),
    *("quarantined", "source_digest", "warehouse_digest", "error", "note"),
)

Document = dict[str, Any]


@dataclass(frozen=True)
class Signer:
    """An asymmetric key in KMS, of the form ECC_NIST_P256, by its ARN."""

    client: Any  # the types of KMS are not installed
    key: str

    def check(self) -> str:
        """Sign nothing, and say so; raise an error of AWS if the key cannot be used."""
        self.metadata(b"")
        return "signs"

    def metadata(self, body: bytes) -> dict[str, str]:
        """Return the signature of an object's bytes, as the metadata of the object."""
        answer = self.client.sign(
            KeyId=self.key,
            Message=hashlib.sha256(body).digest(),
            MessageType="DIGEST",
            SigningAlgorithm=ALGORITHM,
        )
        return {
            "signature": b64encode(answer["Signature"]).decode(),
            "signature-algorithm": ALGORITHM,
            "signature-key": self.key,
        }


def heads(logs: Logs, markers: MarkerLog) -> Document:
    """Return the newest document of each log of a source, by number and digest."""
    return {
        "ingestion": _head(logs.ingested),
        "processed": _head(logs.processed),
        "loaded": _head(markers),
    }


def _head(log: BatchLog[Any]) -> Document | None:
    newest = log.newest()
    return {"number": newest, "sha256": log.digest(newest)} if newest else None


def compared(tables: Mapping[str, Mapping[str, Any]]) -> Document:
    """Return the comparisons of a source's tables, without the keys of rows."""
    return {name: {each: table[each] for each in SHOWN} for name, table in tables.items()}


def not_shown(sources: Mapping[str, Document]) -> list[str]:
    """Return what the comparisons of sources do not show."""
    said = []
    for source, found in sources.items():
        if found.get("error"):
            said.append(f"{source}: it could not be compared")
            continue
        if not found["batch"]:
            said.append(f"{source}: no batch is in the target")
        said += [f"{name}: not all rows are in the target yet" for name in found.get("reading", ())]
        for name, table in found["tables"].items():
            if table["error"]:
                said.append(f"{name}: it could not be compared")
            elif table["pending"]:
                said.append(f"{name}: rows that changed after batch {found['batch']}")
    return said


def prove(
    bucket: Bucket, sources: Mapping[str, Document], signer: Signer | None, now: datetime
) -> list[Exception]:
    """Write a proof of what was found of each source; without a signature, where it fails.

    Returns why it could not be written, or not be signed.
    """
    document = {
        "run": str(uuid4()),
        "agrees": all(each["agrees"] for each in sources.values()),
        "not_shown": not_shown(sources),
        "sources": sources,
    }
    failures: list[Exception] = []
    for attempt in [signer, None] if signer else [None]:
        try:
            key = write(bucket, document, now, attempt)
        except Exception as error:  # of KMS or of S3: what was found is still reported
            logger.error(f"no proof: {error}")
            failures.append(error)
            document["not_shown"] = [*not_shown(sources), "it could not be signed"]
        else:
            logger.info("proof written", extra={"key": key, "signed": attempt is not None})
            break
    return failures


def write(bucket: Bucket, document: Document, now: datetime, signer: Signer | None) -> str:
    """Write a proof beside those that are there, and return its key.

    Raises CorruptLogError if another program writes proofs at the same time.
    """
    for name in (f"{now:%Y-%m-%d}", f"{now:%Y-%m-%d-%H%M%S}", f"{now:%Y-%m-%d-%H%M%S-%f}"):
        key = f"{PREFIX}{name}.json"
        proof = {
            "written_at": now,
            "previous": _previous(bucket),
            "signed_with": signer.key if signer else None,
            **document,
        }
        body = msgspec.json.format(msgspec.json.encode(proof), indent=2)
        metadata = signer.metadata(body) if signer else {}
        # S3 may have written it although its answer was lost.
        if bucket.put_new(key, body, metadata) or bucket.get(key) == body:
            return key
    raise CorruptLogError(f"s3://{bucket.name}/{key} was written by another program: which one?")


def _previous(bucket: Bucket) -> Document | None:
    newest = max(bucket.keys(PREFIX), key=lambda key: key.removesuffix(".json"), default=None)
    if newest is None:
        return None
    return {"key": newest, "sha256": hashlib.sha256(bucket.get(newest)).hexdigest()}
