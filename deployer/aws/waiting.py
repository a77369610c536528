"""Errors by which AWS answers while it is not ready yet, and the two ways to wait for it.

AWS is eventually consistent: botocore retries throttling and server errors, but not these errors,
which look final. Every wait has a condition and a limit, and is reported once with its seconds.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from botocore.exceptions import ClientError

from deployer.errors import AwsError

T = TypeVar("T")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0


@dataclass(frozen=True)
class LateAnswer:
    """An error that a retry resolves: its code, a part of its message, seconds to keep retrying.

    With an `operation`, only as the answer to that call.
    """

    code: str
    message: str
    patience: float
    waiting_for: str
    operation: str | None = None


# After five attempts by botocore; in an account that others use too it may take a minute.
BUSY = ("Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown")
A_NEW_ROLE = "Lambda to see the new role"
# A new role is visible within seconds, sometimes minutes; the longest seen is under 15.
LATE_ANSWERS = (
    *(LateAnswer(code, "", 60, "AWS to accept more calls") for code in BUSY),
    LateAnswer("InvalidParameterValueException", "cannot be assumed by Lambda", 900, A_NEW_ROLE),
    # A new role may be late with these rights, but no later than with the others: an organisation
    # may deny them, which is no delay. It names the right, so it comes first in this table.
    LateAnswer(
        "InvalidParameterValueException",
        "permissions to call CreateNetworkInterface",
        40,
        "Lambda to see the rights to a network",
    ),
    LateAnswer(
        "InvalidParameterValueException",
        "execution role does not have permissions",
        900,
        A_NEW_ROLE,
    ),
    LateAnswer(
        "InvalidParameterValueException", "KMS key is invalid for CreateGrant", 900, A_NEW_ROLE
    ),
    # The same code also means that a function or a statement exists, which no retry resolves.
    LateAnswer(
        "ResourceConflictException",
        "update is in progress",
        300,
        "the function's update in progress",
    ),
    LateAnswer(
        "ResourceConflictException",
        "currently in the following state: Pending",
        300,
        "the new function to become active",
    ),
    # https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html
    LateAnswer("ResourceInUseException", "", 180, "another change of the event source"),
    LateAnswer(
        "InvalidParameterValueException",
        "is less than Function timeout",
        120,
        "Lambda to see the queue's new visibility timeout",
    ),
    LateAnswer("ConflictException", "", 60, "another change of the API"),
    LateAnswer("MalformedPolicyDocument", "Invalid principal", 120, "IAM to see the principal"),
    LateAnswer("ConcurrentModification", "", 60, "another change in IAM"),
    # Of a role that is being removed, the same error means that it is gone.
    LateAnswer("NoSuchEntity", "", 120, "IAM to see its new role", "PutRolePolicy"),
    LateAnswer("DeleteConflict", "", 120, "IAM to see that the role's policies are gone"),
    # S3 may hold the name of a deleted bucket for an hour.
    LateAnswer("OperationAborted", "", 3600, "S3 to finish an earlier change of the bucket"),
    LateAnswer("NoSuchBucket", "", 60, "S3 to see the new bucket"),
    # A running function may write until its timeout, 15 minutes at most.
    LateAnswer("BucketNotEmpty", "", 900, "the last objects to be written to the bucket"),
    LateAnswer(
        "InvalidArgument",
        "Unable to validate the following destination configurations",
        300,
        "S3 to see the new permission",
    ),
    LateAnswer(
        "InvalidRequestException", "scheduled for deletion", 120, "the deleted secret to disappear"
    ),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
    LateAnswer(
        "AWS.SimpleQueueService.QueueDeletedRecently",
        "",
        120,
        "the deleted queue to disappear (60 s)",
    ),
    LateAnswer("QueueDeletedRecently", "", 120, "the deleted queue to disappear (60 s)"),
    LateAnswer("ConcurrentModificationException", "", 60, "another change of the rule"),
    LateAnswer(
        "ValidationException",
        "can't be deleted since it has targets",
        60,
        "EventBridge to see that the rule's targets are gone",
    ),
    LateAnswer("OperationAbortedException", "", 60, "another change of the log group"),
    LateAnswer("NotFound", "Topic does not exist", 60, "SNS to see the new topic"),
    LateAnswer("ResourceNotFound", "", 60, "CloudWatch to see the new alarm", "SetAlarmState"),
)


@dataclass(frozen=True)
class Waited:
    """A wait that is over."""

    waiting_for: str
    seconds: float


def late_answer(error: ClientError) -> LateAnswer | None:
    """Return the late answer that an error is, None when it is final."""
    code = error.response["Error"].get("Code", "")
    message = error.response["Error"].get("Message", "")
    matching = (
        late
        for late in LATE_ANSWERS
        if late.code == code
        and late.message in message
        and late.operation in (None, error.operation_name)
    )
    return next(matching, None)


@dataclass(frozen=True)
class Patience:
    """Waits by a clock and a sleep, both in seconds, and reports what it waited for."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    report: Callable[[Waited], None]

    def retry(self, call: Callable[[], T]) -> T:
        """Make a call, and retry it while AWS is not ready for it.

        Raises:
            ClientError: the last one, when the time is up or the error is final.
        """
        started = self.clock()
        late: LateAnswer | None = None
        for pause in _pauses():
            try:
                result = call()
            except ClientError as error:
                late = late_answer(error)
                if late is None or self.clock() - started >= late.patience:
                    raise
                self.sleep(pause)
            else:
                break
        if late is not None:
            self.report(Waited(late.waiting_for, self.clock() - started))
        return result

    def until(self, condition: Callable[[], bool], waiting_for: str, limit: float) -> None:
        """Wait until a condition holds; return at once, unreported, when it already does.

        Raises:
            AwsError: when it does not hold within `limit` seconds.
        """
        if condition():
            return
        started = self.clock()
        for pause in _pauses():
            self.sleep(pause)
            waited = self.clock() - started
            if condition():
                self.report(Waited(waiting_for, waited))
                return
            if waited >= limit:
                raise AwsError(f"Waited {waited:.0f} s for {waiting_for}. Run again to continue.")


def _pauses() -> Iterator[float]:
    doubling = (min(FIRST_PAUSE * 2**step, LONGEST_PAUSE) for step in range(10))
    return itertools.chain(doubling, itertools.repeat(LONGEST_PAUSE))
