"""The batch log of a source: numbered manifests under one prefix of a bucket.

Batches are numbered 1, 2, 3, … and the log is the pipeline's only state: the newest manifest is the
watermark. A number is claimed with a conditional write, so no two runs own the same one. Each
manifest has the digest of the one before it, so that none can be exchanged unnoticed.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

import msgspec
from msgspec import structs

from etl.product import LOG_FORM
from functions.common.errors import CorruptLogError
from functions.common.longlists import ListFile, lengthened, lists_of, shortened
from functions.common.manifests import Entry, Header
from functions.common.objects import ObjectNames
from functions.common.storage import Bucket
from functions.common.telemetry import logger

PAGE = 1000  # the most keys that S3 lists in one call
READERS = 8  # manifests that are fetched at a time; the client has more connections
AHEAD = 64
MANIFEST_BYTES = 32 << 20  # as Python objects that is about 200 MB


Manifest = TypeVar("Manifest", bound=Entry)


class BatchLog(Generic[Manifest]):
    """The manifests of a source in a bucket, under `batches/<source>/`.

    Their tables are not checked: they may have been written under another declaration.
    """

    folder = "batches"

    def __init__(self, bucket: Bucket, source: str, manifest: type[Manifest]) -> None:
        self.bucket = bucket
        self.source = source
        self.prefix = f"{self.folder}/{source}/"
        self._decoder = msgspec.json.Decoder(manifest)
        self._header = msgspec.json.Decoder(Header)
        self._number = re.compile(re.escape(self.prefix) + r"(\d{10})\.json")
        self._newest = 0
        self._last = (0, "")  # the highest number that was read or written, and its digest
        self._lists: dict[str, ListFile] = {}  # those that it names, by digest

    def key(self, batch: int) -> str:
        """Return the key of a batch's manifest."""
        return f"{self.prefix}{batch:010d}.json"

    def number(self, manifest: Manifest) -> int:
        """Return the number under which a manifest is in the log."""
        return manifest.batch

    def newest(self) -> int:
        """Return the last number of the log, which has no gaps; 0 when it is empty.

        A log that was read before takes one request, from the last known number on. A cold start
        takes about 2 log2(n / 1,000) small ones: steps that double until they are past the end,
        then a binary search. An object more than 1,000 numbers ahead is logged and ignored.

        Raises CorruptLogError if a manifest is missing and one of the next 1,000 exists.
        """
        low = max(self._newest - 1, 0)
        found = self._numbers_after(low, PAGE)
        if self._newest and found[:1] != [self._newest]:  # the bucket was emptied
            low, found = 0, self._numbers_after(0, PAGE)
            self._last, self._lists = (0, ""), {}  # their objects may be gone
        if (in_a_row := _in_a_row(low, found)) >= PAGE:
            low = self._search(low + in_a_row)
            found = self._numbers_after(low, PAGE)
            in_a_row = _in_a_row(low, found)
        self._newest = low + in_a_row
        if ahead := found[in_a_row:]:
            self._report_gap(ahead[0])
        return self._newest

    def _search(self, low: int) -> int:
        """Return a number at most 1,000 before the last; `low` is in the log."""
        step = PAGE
        while self._has(low + step):
            low, step = low + step, 2 * step
        high = low + step  # not in the log
        while high - low > PAGE:
            middle = (low + high) // 2
            if self._has(middle):
                low = middle
            else:
                high = middle
        return low

    def _has(self, batch: int) -> bool:
        """Return whether a number and the one before it are in the log."""
        return self._numbers_after(batch - 2, 2)[:2] == [batch - 1, batch]

    def _report_gap(self, ahead: int) -> None:
        """Raise CorruptLogError, or log a warning if the number `ahead` is too far ahead."""
        missing, found = (
            f"s3://{self.bucket.name}/{self.key(batch)}" for batch in (self._newest + 1, ahead)
        )
        if ahead - self._newest > PAGE:
            logger.warning(f"{found} is ignored: the newest batch is {self._newest}. Remove it")
            return
        raise CorruptLogError(
            f"{missing} is missing, and {found} is there. Restore the former if it was deleted, "
            "which S3 keeps, or remove the latter"
        )

    def _numbers_after(self, batch: int, limit: int) -> list[int]:
        """Return the next numbers, at most `limit`; other keys are skipped."""
        numbers: list[int] = []
        after, more = self.key(batch), True
        while more and len(numbers) < limit:
            keys = self.bucket.keys_after(self.prefix, after, limit)
            numbers += [int(match[1]) for key in keys if (match := self._number.fullmatch(key))]
            # A colon sorts after all digits.
            more = len(keys) == limit and (after := keys[-1]) < f"{self.prefix}:"
        return numbers

    def read(self, batch: int) -> Manifest:
        """Return the manifest of a batch; raise CorruptLogError when it is missing or malformed."""
        body = self.bucket.get(self.key(batch), MANIFEST_BYTES)
        if batch >= self._last[0]:
            self._last = batch, _sha256(body)
        return self._decode(batch, body)

    def digest(self, batch: int) -> str:
        """Return the SHA-256 of a manifest as stored; it is read unless it was the last one."""
        number, digest = self._last
        if number == batch:
            return digest
        return _sha256(self.bucket.get(self.key(batch), MANIFEST_BYTES))

    def read_each(self, batches: Sequence[int]) -> Iterator[Manifest]:
        """Yield the manifests of some batches in order; a bounded number is read ahead."""
        with ThreadPoolExecutor(READERS) as pool:
            for first in range(0, len(batches), AHEAD):
                yield from pool.map(self.read, batches[first : first + AHEAD])

    def _decode(self, batch: int, body: bytes) -> Manifest:
        where = f"s3://{self.bucket.name}/{self.key(batch)}"
        try:
            if (form := self._header.decode(body).form) > LOG_FORM:
                raise CorruptLogError(
                    f"{where} has form {form}, and this code reads up to {LOG_FORM}: deploy the "
                    "version that wrote it, or a later one"
                )
            if lists := lists_of(body):
                body = lengthened(body, {name: self._list(each) for name, each in lists.items()})
            if batch >= self._last[0]:
                self._lists = {each.sha256: each for each in lists.values()}
            manifest = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorruptLogError(
                f"{where} is not a manifest: {error}. Restore its first version, which S3 keeps"
            ) from error
        if self.number(manifest) != batch:
            raise CorruptLogError(f"{where} says that it is batch {self.number(manifest)}")
        return manifest

    def claim(self, manifest: Manifest) -> bool:
        """Write the manifest under its number; return False if another run has claimed that number.

        It is linked to the manifest before it, which costs a request only if that was not read.
        Where S3 wrote the manifest and its answer was lost, the repeated request finds the number
        taken: the run id shows that it is this run's own. Raises CorruptLogError for a manifest
        that is too large to be read.
        """
        number = self.number(manifest)
        previous = self.digest(number - 1) if number > 1 else None
        linked = structs.replace(manifest, previous_sha256=previous, elsewhere=msgspec.UNSET)
        body = msgspec.json.encode(linked)
        if len(body) > MANIFEST_BYTES:
            raise CorruptLogError(
                f"s3://{self.bucket.name}/{self.key(number)} would have {len(body):,} bytes, and "
                f"{MANIFEST_BYTES:,} is the most that is read: call someone"
            )
        names = ObjectNames(
            f"lists/{self.folder}/{self.source}", number, manifest.written_at.date(), ".json"
        )
        body = shortened(body, partial(self._store, names))
        is_ours = self.bucket.put_new(self.key(number), body)
        if is_ours:
            self._newest = number
            self._last = number, _sha256(body)
            self._lists = {each.sha256: each for each in lists_of(body).values()}
        return is_ours or self.read(number).run == manifest.run

    def _store(self, names: ObjectNames, value: bytes) -> ListFile:
        """Write a long list, unless the manifest before names the same."""
        digest = _sha256(value)
        if digest in self._lists:
            return self._lists[digest]
        while not self.bucket.put_new(key := names.next(), value):
            pass
        return ListFile(key, digest)

    def _list(self, file: ListFile) -> bytes:
        """Return a long list; raise CorruptLogError if it is not what was written."""
        value = self.bucket.get(file.key, MANIFEST_BYTES)
        if _sha256(value) != file.sha256:
            raise CorruptLogError(
                f"s3://{self.bucket.name}/{file.key} is damaged: it is not what was written there. "
                "Restore its first version, which S3 keeps"
            )
        return value


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _in_a_row(low: int, numbers: list[int]) -> int:
    """Return how many numbers follow `low` without a gap."""
    return sum(number == expected for expected, number in enumerate(numbers, low + 1))
