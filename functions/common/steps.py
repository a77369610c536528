"""The notices of the five steps of a file, for NOTIFY=steps.

It is received (by extract), it is checked and its refused rows are written (by transform), it is
loaded and done with (by load).
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from functions.common.accounts import FileAccount, FileRead
from functions.common.notices import Notice
from functions.common.text import unlinked

STEPS = 5
FILES_AT_MOST = 100  # that each get a notice: SNS mails some ten a second

Of = TypeVar("Of", FileRead, FileAccount)


def by_file(files: Sequence[Of]) -> list[Sequence[Of]]:
    """Return the files one by one, or together where a batch has too many for that."""
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
    """Return a number of things, as in `1 row` and `1,200 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
