"""E-mail notices, as chosen by NOTIFY: of every batch, file or step, or once a day.

A notice that cannot be sent is logged as a warning, and the run continues. It is sent after what it
reports has been recorded, by the run that recorded it, and so at most once: a run that is killed in
between sends none.
"""

import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.common.accounts import FileAccount, FileRead
from functions.common.errors import SettingsError
from functions.common.settings import required
from functions.common.telemetry import logger
from functions.common.text import printable, unlinked

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

# The run waits for the answer.
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})

# A subject is less than 100 characters of ASCII without line breaks.
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
SUBJECT_CHARACTERS = 99
LINES = 500

STEPS = 5  # received (extract), checked and reported (transform), loaded and done with (load)
FILES_AT_MOST = 100  # that each get a notice: SNS mails some ten a second

Occasion = Literal["every-batch", "every-file", "steps", "daily"]
Notice = tuple[str, str]
"""A subject and a text."""

Of = TypeVar("Of", FileRead, FileAccount)


def give_notice(occasion: Occasion, subject: str, text: str) -> None:
    """Publish a notice, if NOTIFY is this occasion.

    It is plain text, in which everything quoted from a source has been `defanged`.
    """
    give_notices(occasion, [(subject, text)])


def give_notices(occasion: Occasion, notices: Iterable[Notice]) -> None:
    """Publish notices in order, as `give_notice` does, until one cannot be sent."""
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
            return  # the next one would probably fail as slowly


def _ascii(text: str) -> str:
    return printable(text).encode("ascii", "backslashreplace").decode()


@cache
def _sns() -> "SNSClient":
    return boto3.client("sns", config=CONFIG)


def by_file(files: Sequence[Of]) -> list[Sequence[Of]]:
    """Return each file by itself, or all together where a batch has too many."""
    return [[each] for each in files] if len(files) <= FILES_AT_MOST else [files]


def step(number: int, what: str, files: Sequence[Of], lines: Iterable[str]) -> Notice:
    """Return the notice of a step, whose subject names the step and the files."""
    named = unlinked(files[0].file.key) if len(files) == 1 else f"{len(files):,} files"
    return f"{number} of {STEPS}: {what} {named}", "\n".join(lines)


def in_words(account: FileAccount) -> str:
    """Return how many rows of a file were read, accepted and refused."""
    return (
        f"{counted(account.rows, 'row')} read, {account.out:,} accepted, "
        f"{account.refused:,} refused"
    )


def counted(number: int, what: str) -> str:
    """Return a number with its noun, as in `1 row` and `1,200 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
