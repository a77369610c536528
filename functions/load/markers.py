"""The log of batches that are in a warehouse: one marker a batch, under `loaded/`.

The first warehouse that a lake is loaded into has its markers right there. Another one, or the
same with its tables made anew, has not seen those batches, and gets a log of its own beneath.
"""

import hashlib

import msgspec

from functions.common.batchlog import BatchLog
from functions.common.manifests import LoadedMarker, Warehouse
from functions.common.storage import Bucket

PREFIX = "loaded/"


def marker_log(bucket: Bucket, warehouse: Warehouse) -> BatchLog[LoadedMarker]:
    """Return the log of the batches that are in this warehouse."""
    log = BatchLog(bucket, PREFIX, LoadedMarker)
    if log.newest() == 0 or log.read(1).warehouse == warehouse:
        return log
    digest = hashlib.sha256(msgspec.json.encode(warehouse)).hexdigest()[:16]
    # After the digits, so that looking for the newest number under PREFIX never comes across it.
    return BatchLog(bucket, f"{PREFIX}warehouse-{digest}/", LoadedMarker)
