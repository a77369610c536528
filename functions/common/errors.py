"""Errors, grouped by what the person who reads them must do.

A message says where, what, and the next step; it never holds a password.
"""

from functions.common.text import printable


class PipelineError(Exception):
    """Be the root of every error that a function raises on purpose.

    Its message is one line of printable text, whatever the names in it: it ends in logs, in a
    terminal and in the answer of a function.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class SettingsError(PipelineError):
    """Say that a setting or a secret is missing or malformed: mend it and deploy again."""


class DatabaseRefused(PipelineError):
    """Say that a database turned us away (password, rights, TLS): mend the account or the URL."""


class DatabaseUnavailable(PipelineError):
    """Say that a database cannot be reached just now: the next scheduled run tries again."""


class DatabaseFailed(PipelineError):
    """Say that a database rejected a statement: read its message."""


class WarehouseMismatch(PipelineError):
    """Say that the prepared warehouse lacks a table, column or right that the load needs."""


class ProviderUnavailable(PipelineError):
    """Say that a provider's list of events cannot be read just now: the next run tries again."""


class LogCorrupted(PipelineError):
    """Say that an object of the batch log is missing or not what it should be: look into S3."""


class BucketRefused(PipelineError):
    """Say that S3 refused what this function is meant to do: deploy again, or look at its role."""


class NoSuchBatch(PipelineError):
    """Say that a batch that was asked for is not in the log: ask for one that is."""


class RepairRefused(PipelineError):
    """Say that an event does not name tables and keys as reconcile does: correct the event."""


class BatchOutdated(PipelineError):
    """Say that a batch does not have the columns that are declared today: ask for a later one."""


class BatchContended(PipelineError):
    """Say that other runs kept claiming the batch number first: the next run tries again."""


class FunctionFailed(PipelineError):
    """Say that a function or a model of the pipeline failed, or made other rows than it may.

    Correct it, and deploy again.
    """


class BatchUnbalanced(PipelineError):
    """Say that rows in are not rows out plus rows quarantined: a defect of ours, call someone."""


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
