"""Notices by e-mail to whoever has chosen them: of every batch, or once a day.

A notice is a courtesy: one that cannot be sent is a warning in the log, and the work goes on.
"""

import os
from functools import cache
from typing import TYPE_CHECKING, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.common.errors import SettingsError
from functions.common.settings import required
from functions.common.telemetry import logger
from functions.common.text import printable

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

# The work waits for the answer.
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})

# A subject is less than 100 characters of ASCII without line breaks.
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
SUBJECT_CHARACTERS = 99
LINES = 500


def give_notice(occasion: Literal["every-batch", "daily"], subject: str, text: str) -> None:
    """Publish a notice, if this is the occasion on which the user chose to hear.

    It is plain text; what is quoted in it from a source has to be `defanged` by then.
    """
    if os.environ.get("NOTIFY") != occasion:
        return
    try:
        _sns().publish(
            TopicArn=required(os.environ, "NOTICE_TOPIC_ARN"),
            Subject=_ascii(subject)[:SUBJECT_CHARACTERS],
            Message="\n".join(printable(line) for line in text.split("\n")[:LINES]),
        )
    except (BotoCoreError, ClientError, SettingsError):
        logger.warning("no notice could be sent", exc_info=True, subject=subject)


def _ascii(text: str) -> str:
    return printable(text).encode("ascii", "backslashreplace").decode()


@cache
def _sns() -> "SNSClient":
    return boto3.client("sns", config=CONFIG)
