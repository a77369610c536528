"""The errors of the functions, grouped by what the person who reads them must do.

    PipelineError                        ends a run, which reports it: where, what, next step
    ├── SettingsError                    correct the setting or the secret, and deploy again
    ├── DatabaseAccessError              correct the account or the URL
    ├── WarehouseSetupError              have the warehouse prepared as it is declared
    ├── PipelineCodeError                correct the pipeline's function or SQL, and deploy again
    ├── BucketAccessError                deploy again, or look at the function's role
    ├── UnknownBatchError                correct the event: ask for a batch that exists
    ├── RepairRequestError               correct the event: name tables and keys as reconcile does
    ├── OutdatedBatchError               replay a later batch
    ├── DatabaseUnavailableError         nothing: the next run tries again
    ├── ProviderUnavailableError         nothing: the next run tries again
    │   └── ProviderBusyError            nothing: the provider says for how long to wait
    ├── BatchConflictError               nothing: the next run tries again
    ├── DatabaseStatementError           read the server's message
    ├── CorruptLogError                  look at the object in S3
    └── RowBalanceError                  call someone: a defect of the engine

    Refusal                              ends no run: caught where input is handled, as its reason
    ├── InvalidEventError                bytes that are not an event
    ├── InvalidMessageError              a message of the queue that receive did not write
    ├── UnusableFileError                a file or an answer of which no row can be read
    ├── MissingFileError                 a file that was deleted or replaced after it was listed
    ├── OversizedAnswerError             an answer of an API with more bytes than allowed
    ├── RefusedRowsError                 rows that the target refuses because of their values
    ├── OversizedRowError                a row that is longer than a statement may be
    ├── SlotError                        a slot that cannot be used: tables are scanned
    │   └── MalformedLogError            a message in it that cannot be understood
    ├── receive.requests.RequestError    a request that receive does not accept, and its reply
    └── serve.problems.Problem           a request that serve has no report for, and its reply

No message holds a password or a value of a row. What a driver raises is translated where the
connection is opened (`common.postgres`, `common.mysql`).
"""

from functions.common.text import printable


class PipelineError(Exception):
    """The root of all errors that end a run on purpose.

    The message is one line of printable text, whatever names are in it: it appears in logs, in
    terminals and in the answers of functions.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class SettingsError(PipelineError):
    """A setting or a secret is missing or malformed."""


class DatabaseAccessError(PipelineError):
    """A database denied access: the login (`is_login`), a right, or TLS."""

    def __init__(self, message: str, *, is_login: bool = False) -> None:
        super().__init__(message)
        self.is_login = is_login


class WarehouseSetupError(PipelineError):
    """The warehouse lacks a table, a column or a right that load needs."""


class PipelineCodeError(PipelineError):
    """A function, a model or a view of the pipeline failed, or returned rows that it may not."""


class BucketAccessError(PipelineError):
    """S3 refused a call that the function needs."""


class UnknownBatchError(PipelineError):
    """The batch that an event asks for is not in the log."""


class RepairRequestError(PipelineError):
    """An event asks for a repair in another form than reconcile's, or for more than a run reads."""


class OutdatedBatchError(PipelineError):
    """A batch lacks columns that are declared today, or has another key."""


class DatabaseUnavailableError(PipelineError):
    """A database cannot be reached at the moment, or cannot run statements."""


class ProviderUnavailableError(PipelineError):
    """A provider's API cannot be read at the moment."""


class ProviderBusyError(ProviderUnavailableError):
    """An API asks to wait for some `seconds`, more than the run has left."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class BatchConflictError(PipelineError):
    """Another run claimed the batch number first."""


class DatabaseStatementError(PipelineError):
    """A database rejected a statement."""


class CorruptLogError(PipelineError):
    """An object of the batch log is missing, damaged or malformed."""


class RowBalanceError(PipelineError):
    """The rows in are not the rows out plus the rows in quarantine."""


class Refusal(Exception):
    """The root of all errors that say why input is not used; no value of it is in the message."""


class InvalidEventError(Refusal):
    """Bytes are not an event."""


class InvalidMessageError(Refusal):
    """A message of the queue was not written by receive."""


class UnusableFileError(Refusal):
    """No row of a file, or of an answer, can be used; the reason is for its author."""


class MissingFileError(Refusal):
    """A file that was listed has been deleted or replaced since."""


class OversizedAnswerError(Refusal):
    """An answer of an API has more bytes than it may have."""


class RefusedRowsError(Refusal):
    """The target refused rows because of their values."""


class SlotError(Refusal):
    """A replication slot, or the log that it keeps, cannot be used at present."""


class MalformedLogError(SlotError):
    """A message in the log is not of the protocol, or of a later version of it."""


class OversizedRowError(Refusal):
    """A single row is longer than a statement may be; `place` is its position, from 0."""

    def __init__(self, place: int) -> None:
        super().__init__("a row is longer than the server's max_allowed_packet")
        self.place = place


def raise_first(failures: list[Exception]) -> None:
    """Raise the first of some errors, if there are any.

    The list is emptied: an error in a list that its own traceback holds would keep open whatever
    its frames had open, such as the socket of a server that no longer answers.
    """
    try:
        if failures:
            raise failures[0]
    finally:
        failures.clear()
