"""Verify the proofs: their chain, their signatures, and the documents that they name."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from deployer.operations import proofs
from deployer.operations.ledger import Log, Stage, Stored, stored
from deployer.operations.verified import Verified, What

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_PROOF = "there is no proof yet: reconcile writes one each night"
UNSIGNED = "it is not signed by PROOF_KEY: `python deploy.py reconcile` writes one that is"
UNCHECKED = "signatures of proofs were not checked: PROOF_KEY is not set"


class ProofVerification:
    """One verification of all proofs, which is added to what was verified of the logs."""

    def __init__(
        self,
        s3: "S3Client",
        buckets: Mapping[Stage, str],
        signatures: proofs.Signatures,
        digest: Callable[[Log, int], str | None],
        done: Verified,
    ) -> None:
        """`digest` returns that of a document of a log, None if it is missing."""
        self._s3 = s3
        self._buckets = buckets
        self._bucket = buckets["processed"]
        self._signatures = signatures
        self._digest = digest
        self._done = done

    def run(self, keys: Sequence[str]) -> None:
        """Verify proofs by their keys, in order."""
        before: tuple[str, str] | None = None
        has_signature = is_signed = False
        for key in keys:
            entry = stored(self._s3, self._bucket, key, keep=True)
            if entry is None:
                self._fault(key, "missing", "it was there a moment ago")
                continue
            self._links(key, entry, before)
            has_signature |= "signature" in entry.metadata
            if self._signatures.are_checked():
                # The newest one covers all before it; an unsigned one must not follow a signed one.
                is_needed = is_signed or key == keys[-1]
                is_signed |= self._is_signed(key, entry, is_needed=is_needed)
            before = key, entry.sha256
            self._done.proofs += 1
        if not keys:
            self._done.notes.append(NO_PROOF)
        elif has_signature and not self._signatures.are_checked():
            self._done.notes.append(UNCHECKED)

    def _links(self, key: str, entry: Stored, before: tuple[str, str] | None) -> None:
        """Compare what a proof names: the one before it, and the newest documents of the logs."""
        proof, why = proofs.read(entry.body), f"named by {key}"
        if proof is None:
            self._fault(key, "changed", "it is not a proof")
            return
        link = proofs.previous(proof)
        if link is not None and (before is None or link[0] != before[0]):
            self._fault(link[0], "missing", why)
        elif link != before:
            self._fault(before[0] if before else key, "changed", why)
        for head in proofs.heads(proof, self._buckets):
            if head.log.stage != "loaded" and head.number < self._done.first:
                continue
            digest = self._digest(head.log, head.number)
            if digest != head.sha256:
                what: What = "missing" if digest is None else "changed"
                url = head.log.bucket, head.log.key(head.number)
                self._done.add(*url, what, why)

    def _is_signed(self, key: str, entry: Stored, *, is_needed: bool) -> bool:
        """Check the signature of a proof; return whether it has one of the key, valid or not."""
        valid = self._signatures.is_valid(entry)
        if valid is False:
            self._fault(key, "changed", "its signature is not valid")
        elif valid is None and is_needed:
            self._fault(key, "unsigned", UNSIGNED)
        return valid is not None

    def _fault(self, key: str, what: What, why: str) -> None:
        self._done.add(self._bucket, key, what, why)
