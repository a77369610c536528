"""Documents and objects of a pipeline's buckets, each compared with its digest."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from deployer.errors import OperationError, explaining
from deployer.operations.batchlog import BatchLog, lists_of
from deployer.query.cache import FETCHERS, Cache, fetch
from deployer.query.tables import Document, File

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Stage = Literal["ingestion", "processed"]
STAGES: tuple[Stage, ...] = get_args(Stage)


class Documents:
    """A log of which some documents are read, several at a time, and each once."""

    def __init__(self, log: BatchLog) -> None:
        self._log = log
        self._read: dict[int, Document] = {}
        with explaining(log.place):
            self.newest = log.newest()

    def read(self, numbers: Iterable[int]) -> dict[int, Document]:
        """Return documents by number, in the order of their numbers."""
        wanted = sorted(set(numbers))
        new = [number for number in wanted if number not in self._read]
        with explaining(self._log.place), ThreadPoolExecutor(FETCHERS) as threads:
            self._read |= zip(new, threads.map(self._log.read, new), strict=True)
        return {number: self._read[number] for number in wanted}


@dataclass(frozen=True)
class Objects:
    """The buckets of a pipeline, and the folder on this machine in which objects are kept."""

    s3: "S3Client"
    buckets: Mapping[Stage, str]
    cache: Cache

    def log(self, stage: Stage, prefix: str) -> Documents:
        """Return the log of a stage under a prefix."""
        return Documents(BatchLog(self.s3, self.buckets[stage], prefix))

    def paths(self, stage: Stage, files: Collection[File]) -> Sequence[Path]:
        """Return where objects are on this machine, in their order, after fetching what lacks."""
        found = fetch(self.s3, self.buckets[stage], files, self.cache, lambda _: None)
        return [found[file] for file in files]

    def list_of(self, file: Document) -> Any:
        """Return the value of a long list of the processed bucket."""
        bucket = self.buckets["processed"]

        def body(key: str) -> bytes:
            return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

        with explaining(f"s3://{bucket}/{file['key']}"):
            try:
                return lists_of({"elsewhere": {"list": file}}, body)["list"]
            except ValueError as error:
                raise OperationError(
                    f"s3://{bucket}/{file['key']} is damaged: restore its first version, which S3 "
                    "keeps."
                ) from error


def files_of(documents: Iterable[Document]) -> list[File]:
    """Return the objects that entries of a manifest name."""
    return [File(each["key"], each["rows"], each["sha256"]) for each in documents]
