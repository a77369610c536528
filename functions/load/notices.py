"""Tell whoever wants to hear of every batch that it is in the warehouse.

A notice is a courtesy: one that cannot be sent is a warning in the log, and the load goes on.
"""

import os
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.common.errors import SettingsError
from functions.common.manifests import LoadedMarker
from functions.common.settings import required
from functions.common.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

# The next batch waits for the answer.
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})


def give_notice(marker: LoadedMarker) -> None:
    """Publish that a batch is in the warehouse, if the user chose to hear of every batch."""
    if os.environ.get("NOTIFY") != "every-batch":
        return
    try:
        _sns().publish(
            TopicArn=required(os.environ, "NOTICE_TOPIC_ARN"),
            Subject=f"Batch {marker.batch} is in the warehouse",
            Message=notice(marker),
        )
    except (BotoCoreError, ClientError, SettingsError):
        logger.warning("no notice of the batch could be sent", exc_info=True, batch=marker.batch)


def notice(marker: LoadedMarker) -> str:
    """Return the text of a notice: rows by star table, and how long the batch was on its way."""
    rows = [
        f"{table:<24}{loaded.inserted:>12,} inserted{loaded.updated:>12,} updated"
        for table, loaded in sorted(marker.rows.items())
        if loaded.inserted or loaded.updated
    ]
    return "\n".join(
        [
            f"It is {marker.source.database} of {marker.source.snapshot_at:%Y-%m-%d %H:%M:%S} UTC,",
            f"and was in the warehouse {marker.age_seconds:.0f} seconds later.",
            "",
            *(rows or ["The warehouse had all of it already."]),
        ]
    )


@cache
def _sns() -> "SNSClient":
    return boto3.client("sns", config=CONFIG)
