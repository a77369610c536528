"""The objects under `errors/`: refused rows of files, for the people who drop them.

Each has the refused rows of one file, as CSV or in the form of its feed's report. A newer version
of the file overwrites it. The pipeline itself never reads it: it has the counts in the manifests.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import pyarrow as pa

from etl import EventFeed, Feed, Resource
from etl.settings import share
from functions.common.accounts import FileAccount
from functions.common.errors import SettingsError
from functions.common.storage import NEW, Bucket, Condition
from functions.common.uploads import Upload
from functions.transform.reports import Form, Refused

OPEN_AT_MOST = 1_000  # refused files that a manifest names

_KEY_BYTES = 1024  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_CSV = ".csv"
# Control characters have no place in a manifest, and some clients resolve the dots of a path.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]|(?<![^/])\.{1,2}(?![^/])")


class RefusedRows:
    """Writes the refused rows of a file as they are found; without any there is no object.

    Without a key they are counted only.

    A run that was overtaken leaves the other run's object, which may be of a newer version of the
    file: the object is written only over what was there before the look at the log.
    """

    def __init__(
        self, bucket: Bucket, key: str | None, form: Form, is_overtaken: Callable[[], bool]
    ) -> None:
        self.rows = 0
        self._bucket = bucket
        self._key = key
        self._form = form
        self._is_overtaken = is_overtaken
        self._before = 0  # rows of the file that were added so far
        self._stack = ExitStack()
        self._upload: Upload | None = None

    def __enter__(self) -> "RefusedRows":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    @property
    def key(self) -> str | None:
        """The key of the object, if there is one."""
        return self._key if self._upload else None

    def add(self, rows: pa.Table, converted: pa.Table, reasons: Mapping[int, str]) -> None:
        """Append those of the file's next rows that have reasons, by position."""
        if reasons:
            positions = pa.array(list(reasons), pa.int64())
            cells, values = (each.take(positions).to_pylist() for each in (rows, converted))
            places = [self._before + position for position in reasons]
            refused = map(Refused, places, cells, values, reasons.values())
            self._write(self._form.rows(refused))
            self.rows += len(reasons)
        self._before += rows.num_rows

    def add_file(self, reason: str) -> None:
        """Write why the file cannot be used at all."""
        self._write(self._form.file(reason))

    def _write(self, text: str) -> None:
        if self._key is None:
            return
        if self._upload is None:
            condition = partial(self._condition, self._key)
            self._upload = self._stack.enter_context(
                Upload(self._bucket, self._key, condition=condition)
            )
            text = self._form.head + text
        self._upload.write(text.encode())

    def _condition(self, key: str) -> Condition | None:
        etag = self._bucket.etag(key)
        if self._is_overtaken():
            return None
        return NEW if etag is None else {"IfMatch": etag}


def errors_key(table: str, key: str, prefix: str, ending: str = _CSV) -> str:
    """Return the key of the object with the refused rows of a file; a prefix of its key is cut.

    orders.csv -> errors/orders/orders.csv      day/1.json -> errors/orders/day/1.json.csv
    """
    name = _UNSAFE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()),
        key.removeprefix(prefix).lstrip("/"),
    )
    whole = f"errors/{table}/{name.removesuffix(_CSV)}".encode()
    if len(whole) + len(ending) > _KEY_BYTES:
        mark = f"-{hashlib.sha256(key.encode()).hexdigest()[:16]}".encode()
        room = _KEY_BYTES - len(ending) - len(mark)
        whole = whole[:room].decode(errors="ignore").encode() + mark
    return whole.decode() + ending


def most_refused(feed: Feed | EventFeed | Resource, environment: Mapping[str, str]) -> float:
    """Return the share of a file's rows that may be refused before the whole file is.

    Raises SettingsError for an invalid MAX_REJECTS.
    """
    if feed.max_rejects is not None:
        return feed.max_rejects
    limit = share(environment.get("MAX_REJECTS") or "5%")
    if limit is None:
        raise SettingsError(
            "environment variable MAX_REJECTS of this function is not a share, such as 5% or off: "
            "run deploy.py again"
        )
    return limit


def too_many(rows: int, refused: int, limit: float) -> str | None:
    """Return an error if too many rows of a file are refused, None otherwise."""
    if not rows or refused / rows <= limit:
        return None
    return (
        f"{refused:,} of its {rows:,} rows are refused ({refused / rows:.1%}), and at most "
        f"{limit * 100:g}% may be: correct it and drop it again"
    )


def still_open(
    before: Sequence[FileAccount], now: Sequence[FileAccount], replaced: Collection[str]
) -> list[FileAccount]:
    """Return the refused files of a batch and those that were open before, the newest first.

    A newer version of a file supersedes it, and in a table that is `replaced` any newer file.
    """
    is_open = {_identity(account): account for account in reversed(before)}
    for account in now:
        if account.table in replaced:
            is_open = {key: each for key, each in is_open.items() if each.table != account.table}
        is_open.pop(_identity(account), None)
        if account.refused or account.reason:
            is_open[_identity(account)] = account
    return list(is_open.values())[::-1][:OPEN_AT_MOST]


def _identity(account: FileAccount) -> tuple[str, str, str]:
    return account.table, account.file.bucket, account.file.key
