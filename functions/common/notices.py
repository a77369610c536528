"""Notices by e-mail to whoever has chosen them: of every batch, file or step, or once a day.

A notice is a courtesy: one that cannot be sent is a warning in the log, and the work goes on. It is
sent once what it says is on record, by the run that put it there, and so at most once: a run that
is killed in between sends none.
"""

import os
from collections.abc import Iterable
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

Occasion = Literal["every-batch", "every-file", "steps", "daily"]
Notice = tuple[str, str]
"""A subject and a text."""


def give_notice(occasion: Occasion, subject: str, text: str) -> None:
    """Publish a notice, if this is the occasion on which the user chose to hear.

    It is plain text; what is quoted in it from a source has to be `defanged` by then.
    """
    give_notices(occasion, [(subject, text)])


def give_notices(occasion: Occasion, notices: Iterable[Notice]) -> None:
    """Publish notices one after the other, as `give_notice` does, until one cannot be sent."""
    if os.environ.get("NOTIFY") != occasion:
        return
    for subject, text in notices:
        try:
            _sns().publish(
                TopicArn=required(os.environ, "NOTICE_TOPIC_ARN"),
                Subject=_ascii(subject)[:SUBJECT_CHARACTERS],
                Message="\n".join(printable(line) for line in text.split("\n")[:LINES]),
            )
        except (BotoCoreError, ClientError, SettingsError):
            logger.warning("no notice could be sent", exc_info=True, subject=subject)
            return  # the next one would wait as long


def _ascii(text: str) -> str:
    return printable(text).encode("ascii", "backslashreplace").decode()


@cache
def _sns() -> "SNSClient":
    return boto3.client("sns", config=CONFIG)
