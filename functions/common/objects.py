"""The value types of the logs' documents: numbers, times, and keys of objects.

Each is validated when it is read. The objects of a batch have keys of the form
`<prefix>/<yyyy-mm-dd>/<batch>-<part>.parquet`, digits only. A part is a random number of nine
digits and a counter of four, so that a run does not repeat a name of a run that died.
"""

from datetime import date, datetime
from secrets import randbelow
from typing import Annotated

from msgspec import Meta, Struct

RUNS = 10**9

Key = int | str  # see functions.common.keys
Count = Annotated[int, Meta(ge=0)]
BatchNumber = Annotated[int, Meta(ge=1)]
TransactionId = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # bytes
Moment = Annotated[datetime, Meta(tz=True)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_ID = r"[A-Za-z0-9_~%-]+(\.[A-Za-z0-9_~%-]+)?"  # of a table, with its schema
_NAME = r"/[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9]{10}-[0-9]+\.parquet\Z"
DataKey = Annotated[str, Meta(pattern=rf"^([a-z0-9_]+/){{0,2}}{_ID}{_NAME}")]
KeysKey = Annotated[str, Meta(pattern=rf"^keys/[a-z0-9_]+{_NAME}")]
CopyKey = Annotated[
    str, Meta(pattern=r"^files/[a-z0-9_]+/[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9]{10}-[0-9]+\Z")
]
ListKey = Annotated[
    str,
    Meta(
        pattern=r"^lists/(batches|loaded)/[a-z0-9_]+/[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9]{10}-[0-9]+\.json\Z"
    ),
]
ErrorsKey = Annotated[str, Meta(pattern=r"^errors/[^\x00-\x1f\x7f]+\Z")]
QuarantineKey = Annotated[str, Meta(pattern=rf"^quarantine/[a-z0-9_]+/{_ID}{_NAME}")]


class DataFile(Struct, frozen=True):
    """A Parquet object, its number of rows, and its digest."""

    key: DataKey
    rows: Annotated[int, Meta(ge=1)]
    sha256: Sha256


class KeyFile(Struct, frozen=True):
    """A Parquet object with keys of a table, or with digests of them."""

    key: KeysKey
    rows: Annotated[int, Meta(ge=1)]
    sha256: Sha256


class ObjectNames:
    """The keys of the objects that one writer puts under a prefix for a batch."""

    def __init__(self, prefix: str, batch: int, day: date, ending: str = ".parquet") -> None:
        self._prefix = f"{prefix}/{day:%Y-%m-%d}/{batch:010d}"
        self._ending = ending
        self._run = randbelow(RUNS)
        self._part = 0

    def next(self) -> str:
        """Return a key that neither this writer nor, very probably, any other has used."""
        self._part += 1
        return f"{self._prefix}-{self._run:09d}{self._part:04d}{self._ending}"
