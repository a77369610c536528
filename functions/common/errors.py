"""Errors, grouped by what the person who reads them must do.

A message says where, what, and the next step; it never holds a password.
"""

from functions.common.text import printable


class PipelineError(Exception):
    """The root of every error that a function raises on purpose.

    Its message is one line of printable text, whatever the names in it: it ends in logs, in a
    terminal and in the answer of a function.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class SettingsError(PipelineError):
    """A setting or a secret is missing or malformed: fix it and deploy again."""


class DatabaseRefused(PipelineError):
    """A database turned us away (password, rights, TLS): fix the account or the URL."""


class DatabaseUnavailable(PipelineError):
    """A database cannot be reached just now: the next scheduled run tries again."""


class DatabaseFailed(PipelineError):
    """A database rejected a statement: read its message."""


class WarehouseMismatch(PipelineError):
    """The prepared warehouse lacks a table, column or right that the load needs."""


class ProviderUnavailable(PipelineError):
    """A provider's list of events cannot be read just now: the next run tries again."""


class LogCorrupted(PipelineError):
    """An object of the batch log is missing or not what it should be: look into S3."""


class BucketRefused(PipelineError):
    """S3 refused a call that this function needs: deploy again, or look at its role."""


class NoSuchBatch(PipelineError):
    """A batch that was asked for is not in the log: ask for one that is."""


class RepairRefused(PipelineError):
    """An event does not name tables and keys as reconcile does: correct the event."""


class BatchOutdated(PipelineError):
    """A batch does not have the columns that are declared today: ask for a later one."""


class BatchContended(PipelineError):
    """Other runs kept claiming the batch number first: the next run tries again."""


class FunctionFailed(PipelineError):
    """A function or a model of the pipeline failed, or made rows that it may not.

    Correct it, and deploy again.
    """


class BatchUnbalanced(PipelineError):
    """Rows in are not rows out plus rows quarantined: a defect of ours, call someone."""


def raise_first(failures: list[Exception]) -> None:
    """Raise the first of some errors, if there are any.

    The list is emptied: an error in a list that its own traceback holds would keep open whatever
    its frames had open, such as the socket of a server that has fallen silent.
    """
    try:
        if failures:
            raise failures[0]
    finally:
        failures.clear()
