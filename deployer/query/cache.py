"""Objects of the lake on this machine, named by their digests.

An object is checked when it comes in, and gets its name when it is complete: runs at the same time
can share the folder, and one that is interrupted leaves nothing that counts. What was used longest
ago is removed when the folder is full.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from deployer.aws.changes import error_code
from deployer.errors import OperationError, explaining
from deployer.packaging.packages import ROOT
from deployer.query.tables import File

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FOLDER = ROOT / ".build" / "lake"
AT_MOST = 20 << 30
# Of what another run may be using: a query that runs longer finds its files gone.
IN_USE_SECONDS = 3600.0
MAGIC = b"PAR1"  # a Parquet file begins and ends with it
FETCHERS = 8  # the client keeps ten connections

Progress = Callable[[str], None]


class Cache:
    """A folder of files that only this user can read, up to `at_most` bytes."""

    def __init__(
        self,
        folder: Path = FOLDER,
        at_most: int = AT_MOST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder.absolute()
        self._at_most = at_most
        self._clock = clock
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, name: str) -> Path | None:
        """Return a file, which then counts as used, or None.

        A Parquet file without its ends, as a machine that stopped leaves it, is none.
        """
        path = self.folder / name
        try:
            if path.suffix == ".parquet" and not _has_ends(path):
                return None
            os.utime(path, (now := self._clock(), now))
        except FileNotFoundError:
            return None
        return path

    def keep(self, name: str, body: bytes) -> Path:
        """Store a file under a name, whole or not at all."""
        draft = self.draft()
        draft.write_bytes(body)
        return self.adopt(name, draft)

    def draft(self) -> Path:
        """Return a new file of the folder, to write to."""
        number, name = tempfile.mkstemp(dir=self.folder)
        os.close(number)
        return Path(name)

    def adopt(self, name: str, draft: Path) -> Path:
        """Give a complete file of the folder its name."""
        draft.chmod(0o600)
        return draft.replace(self.folder / name)

    def trim(self) -> None:
        """Remove the files that were used longest ago, until the others are within the bound."""
        found = []
        for path in self.folder.iterdir():
            try:
                state = path.stat()
            except FileNotFoundError:
                continue  # another run has removed it
            if path.is_file():
                found.append((state.st_mtime, state.st_size, path))
        size, recent = sum(each[1] for each in found), self._clock() - IN_USE_SECONDS
        for used_at, bytes_, path in sorted(found):
            if size <= self._at_most or used_at > recent:
                return
            path.unlink(missing_ok=True)
            size -= bytes_


def _has_ends(path: Path) -> bool:
    with path.open("rb") as file:
        begins = file.read(len(MAGIC))
        file.seek(-min(len(MAGIC), path.stat().st_size), os.SEEK_END)
        return begins == file.read() == MAGIC


def fetch(
    s3: "S3Client", bucket: str, files: Collection[File], cache: Cache, say: Progress
) -> Mapping[File, Path]:
    """Return where the objects of a bucket are on this machine, after fetching what is missing.

    Raises OperationError for an object that is missing or not the one that its manifest names.
    """
    paths = {file: cache.find(_name(file)) for file in files}
    missing = [file for file, path in paths.items() if path is None]

    def bring(file: File) -> Path:
        return cache.keep(_name(file), _checked(s3, bucket, file))

    with ThreadPoolExecutor(FETCHERS) as threads:
        for number, (file, path) in enumerate(
            zip(missing, threads.map(bring, missing), strict=True), 1
        ):
            paths[file] = path
            say(f"{number:,} of {len(missing):,} objects")
    if missing:
        cache.trim()
    return {file: path for file, path in paths.items() if path is not None}


def _name(file: File) -> str:
    return f"{file.sha256}.parquet"


def _checked(s3: "S3Client", bucket: str, file: File) -> bytes:
    where = f"s3://{bucket}/{file.key}"
    with explaining(where):
        try:
            body = s3.get_object(Bucket=bucket, Key=file.key)["Body"].read()
        except ClientError as error:
            if error_code(error) != "NoSuchKey":
                raise
            body = None
    if body is None or hashlib.sha256(body).hexdigest() != file.sha256:
        what = "is missing" if body is None else "is not what its manifest names"
        raise OperationError(f"{where} {what}: restore its first version, which S3 keeps.")
    return body
