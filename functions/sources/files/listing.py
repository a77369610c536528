"""List a bucket: its files, with all of their versions if the bucket has versions.

Files are identified by key and version, never by their time, which has whole seconds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.common.accounts import FileVersion
from functions.common.errors import SettingsError
from functions.common.storage import error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UNVERSIONED = "null"  # the id of a version that was written while the bucket kept none


@dataclass(frozen=True)
class Place:
    """Where the files of a source are, and which settings say so."""

    client: "S3Client"
    bucket: str
    prefix: str
    bucket_setting: str
    region_setting: str

    def versions(self) -> Iterator[list[FileVersion]]:
        """Yield the versions of each key, the newest first, in the order of the keys.

        A key that is deleted has none. Raises SettingsError for a bucket that cannot be listed.
        """
        try:
            yield from _by_key(self.bucket, self._pages("list_object_versions"))
        except ClientError as error:
            if error_code(error) != "AccessDenied":
                raise self.refused(error) from error
        else:
            return
        try:  # another account may not allow listing versions
            yield from _by_key(self.bucket, self._pages("list_objects_v2"))
        except ClientError as error:
            raise self.refused(error) from error

    def _pages(self, operation: str) -> Iterator[dict[str, Any]]:
        pages: Any = self.client.get_paginator(operation)  # type: ignore[call-overload]
        yield from pages.paginate(Bucket=self.bucket, Prefix=self.prefix)

    def refused(self, error: ClientError) -> Exception:
        """Return a SettingsError if S3 denies listing or reading; any other error unchanged."""
        code = error_code(error)
        if code == "NoSuchBucket":
            return SettingsError(
                f"{self.bucket_setting}: there is no bucket {self.bucket}: correct the setting and "
                "deploy again"
            )
        if code in ("AccessDenied", "AllAccessDisabled"):
            return SettingsError(
                f"{self.bucket_setting}: bucket {self.bucket} may not be listed or read "
                f"under {self.prefix or '/'}: its owner has to allow s3:ListBucket and "
                "s3:GetObject, and s3:GetObjectVersion where versions may be listed"
            )
        if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "301"):
            return SettingsError(
                f"{self.region_setting}: bucket {self.bucket} is in another region: set it and "
                "deploy again"
            )
        return error


def _by_key(bucket: str, pages: Iterable[dict[str, Any]]) -> Iterator[list[FileVersion]]:
    """Yield the versions of each key; a page may end between two of them."""
    entries = (entry for page in pages for entry in _entries(page))
    for key, found in groupby(entries, lambda entry: entry["Key"]):
        of_key = list(found)
        if not (key.endswith("/") or any(_deletes(entry) for entry in of_key)):  # no folder
            yield [_version(bucket, key, entry) for entry in of_key if "Size" in entry]


def _entries(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a page, by key, in their order within a key."""
    found = [*page.get("Contents", []), *page.get("Versions", []), *page.get("DeleteMarkers", [])]
    return sorted(found, key=lambda entry: entry["Key"].encode())


def _deletes(entry: dict[str, Any]) -> bool:
    """Return whether an entry is a delete marker, and the newest version of its key."""
    return "Size" not in entry and bool(entry.get("IsLatest"))


def _version(bucket: str, key: str, entry: dict[str, Any]) -> FileVersion:
    version = entry.get("VersionId")
    return FileVersion(
        bucket=bucket,
        key=key,
        version=None if version == UNVERSIONED else version,
        etag=entry["ETag"].strip('"'),
        size=entry["Size"],
        modified=entry["LastModified"],
    )
