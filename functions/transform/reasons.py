"""Why rows are refused or in quarantine, in objects that are never changed or removed.

The quarantine and the errors of files are replaced by newer ones; these objects are history.
"""

from collections.abc import Mapping

import msgspec
import pyarrow as pa

from functions.common.longlists import ListFile
from functions.common.objects import ObjectNames
from functions.common.parquet import digest, put
from functions.common.storage import Bucket

CHARACTERS_AT_MOST = 4 << 20


class Reasons:
    """The reasons of some rows of a batch, each with the line or the key of its row.

    Those beyond some megabytes are left out: the first ones show what is wrong with so many rows.
    """

    def __init__(self) -> None:
        self._found: list[tuple[int | str | None, str]] = []
        self._characters = 0

    def add(self, places: pa.Array | pa.ChunkedArray, reasons: Mapping[int, str]) -> None:
        """Append the reasons of some rows by position, given the places of all rows."""
        for position, reason in reasons.items():
            if self._characters > CHARACTERS_AT_MOST:
                return
            self._characters += len(reason)
            self._found.append((places[position].as_py(), reason))

    def stored(self, bucket: Bucket, names: ObjectNames) -> ListFile | None:
        """Write the object and return it, None without reasons."""
        if not self._found:
            return None
        body = msgspec.json.encode(self._found)
        return ListFile(put(bucket, names, body), digest(body))
