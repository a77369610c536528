"""Answers of AWS before it is ready, and the only two ways in which a deployment waits.

botocore retries throttling and server errors by itself; these answers look final and are not.
Every wait is on a condition, has an end, and is reported once with its seconds.
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
    """An error that goes away by itself: its code, a part of its message, seconds to allow.

    `operation` is the only call that it is late in answer to, None for any.
    """

    code: str
    message: str
    patience: float
    waiting_for: str
    operation: str | None = None


# botocore has tried five times by then; an account in use by others may need a minute.
BUSY = ("Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown")
A_NEW_ROLE = "Lambda to know the new role"
# A role spreads in seconds, at times minutes; the longest seen is under 15.
LATE_ANSWERS = (
    *(LateAnswer(code, "", 60, "AWS to take more calls") for code in BUSY),
    LateAnswer("InvalidParameterValueException", "cannot be assumed by Lambda", 900, A_NEW_ROLE),
    LateAnswer(
        "InvalidParameterValueException",
        "execution role does not have permissions",
        900,
        A_NEW_ROLE,
    ),
    LateAnswer(
        "InvalidParameterValueException", "KMS key is invalid for CreateGrant", 900, A_NEW_ROLE
    ),
    # The same code says that a function or a statement exists: that does not go away.
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
        "Lambda to know the queue's new visibility timeout",
    ),
    LateAnswer("ConflictException", "", 60, "another change of the API"),
    LateAnswer("MalformedPolicyDocument", "Invalid principal", 120, "IAM to know the principal"),
    LateAnswer("ConcurrentModification", "", 60, "another change in IAM"),
    # Of a role that is being removed, the same answer says that it is gone.
    LateAnswer("NoSuchEntity", "", 120, "IAM to know its new role", "PutRolePolicy"),
    LateAnswer("DeleteConflict", "", 120, "IAM to know that the role's policies are gone"),
    # S3 may hold the name of a deleted bucket for an hour.
    LateAnswer("OperationAborted", "", 3600, "S3 to finish an earlier change of the bucket"),
    LateAnswer("NoSuchBucket", "", 60, "S3 to know the new bucket"),
    # A function that still runs may write for as long as it may run: 15 minutes at most.
    LateAnswer("BucketNotEmpty", "", 900, "the last objects to be written to the bucket"),
    LateAnswer(
        "InvalidArgument",
        "Unable to validate the following destination configurations",
        300,
        "S3 to know the new permission",
    ),
    LateAnswer(
        "InvalidRequestException", "scheduled for deletion", 120, "the deleted secret to go"
    ),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
    LateAnswer(
        "AWS.SimpleQueueService.QueueDeletedRecently", "", 120, "the deleted queue to go (60 s)"
    ),
    LateAnswer("QueueDeletedRecently", "", 120, "the deleted queue to go (60 s)"),
    LateAnswer("ConcurrentModificationException", "", 60, "another change of the rule"),
    LateAnswer(
        "ValidationException",
        "can't be deleted since it has targets",
        60,
        "EventBridge to know that the rule's targets are gone",
    ),
    LateAnswer("OperationAbortedException", "", 60, "another change of the log group"),
    LateAnswer("NotFound", "Topic does not exist", 60, "SNS to know the new topic"),
)


@dataclass(frozen=True)
class Waited:
    """A wait that is over."""

    waiting_for: str
    seconds: float


def late_answer(error: ClientError) -> LateAnswer | None:
    """Return the rule that an error falls under, None when it is final."""
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
    """Waits, by a clock and a sleep in seconds that tests replace, and reports what for."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    report: Callable[[Waited], None]

    def retry(self, call: Callable[[], T]) -> T:
        """Make a call again for as long as AWS answers that it is not ready.

        Raises:
            ClientError: the last one, when time is up or when it is none of the late answers.
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
                raise AwsError(f"Waited {waited:.0f} s for {waiting_for}. Run again to go on.")


def _pauses() -> Iterator[float]:
    doubling = (min(FIRST_PAUSE * 2**step, LONGEST_PAUSE) for step in range(10))
    return itertools.chain(doubling, itertools.repeat(LONGEST_PAUSE))
