"""Waiting on a condition: how long, how often, and what is reported. No test waits."""

import pytest
from botocore.exceptions import ClientError

from deployer.aws.waiting import LATE_ANSWERS, LateAnswer, Patience, Waited, late_answer
from deployer.errors import AwsError

LATE = ("InvalidParameterValueException", "The role cannot be assumed by Lambda.")


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self.reported: list[Waited] = []
        self.patience = Patience(lambda: sum(self.sleeps), self.sleeps.append, self.reported.append)


def refusal(code: str, message: str, operation: str | None = None) -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}}
    return ClientError(answer, operation or "CreateFunction")  # type: ignore[arg-type]


class Late:
    """A call that is answered too early a number of times."""

    def __init__(
        self,
        times: int,
        code: str = LATE[0],
        message: str = LATE[1],
        operation: str | None = None,
    ) -> None:
        self._times = times
        self._error = refusal(code, message, operation)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return "done"


def test_a_call_that_succeeds_is_made_once() -> None:
    """Without an error there is no wait, and nothing to report."""
    time, call = Time(), Late(0)

    assert time.patience.retry(call) == "done"
    assert (call.calls, time.sleeps, time.reported) == (1, [], [])


def test_a_late_answer_is_waited_out_and_reported_once() -> None:
    """Pauses double up to ten seconds; at the end one line says what for and how long."""
    time = Time()

    assert time.patience.retry(Late(7)) == "done"
    assert time.sleeps == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert time.reported == [Waited("Lambda to see the new role", 35.5)]


@pytest.mark.parametrize("late", LATE_ANSWERS, ids=lambda late: f"{late.code} {late.message}")
def test_patience_has_an_end(late: LateAnswer) -> None:
    """Each kind of late answer is passed on when its time is up, and not before."""
    time = Time()

    with pytest.raises(ClientError, match=late.code):
        time.patience.retry(Late(10_000, late.code, f"... {late.message} ...", late.operation))

    assert late.patience <= sum(time.sleeps) < late.patience + 10
    assert time.reported == []


def test_a_right_that_is_named_is_not_waited_for_as_long_as_a_new_role() -> None:
    """An organisation may deny it: AWS says so in the words of a role that is not there yet."""
    lacks = "The provided execution role does not have permissions to call {} on {}"
    network = late_answer(
        refusal("InvalidParameterValueException", lacks.format("CreateNetworkInterface", "EC2"))
    )
    queue = late_answer(
        refusal("InvalidParameterValueException", lacks.format("SendMessage", "SQS"))
    )

    assert network is not None
    assert queue is not None
    assert (network.patience, queue.patience) == (40, 900)
    assert network.waiting_for != queue.waiting_for


def test_a_role_that_is_gone_is_not_waited_for() -> None:
    """The same answer means "not yet" to a write, and "no more" to a removal."""
    time = Time()

    with pytest.raises(ClientError, match="NoSuchEntity"):
        time.patience.retry(Late(1, "NoSuchEntity", "The role cannot be found.", "DeleteRole"))
    assert time.sleeps == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ResourceConflictException", "Function already exist: totesys-etl-dev-load"),
        ("ResourceConflictException", "The statement id (rule-load) provided already exists."),
        ("InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes"),
        ("BucketAlreadyExists", "The requested bucket name is not available."),
        ("ExpiredTokenException", "The security token included in the request is expired"),
        ("InvalidRequestException", "You must provide a value."),
        ("MalformedPolicyDocument", "Syntax errors in policy."),
    ],
)
def test_a_final_answer_is_passed_on_at_once(code: str, message: str) -> None:
    """An error that does not go away by itself is not waited for, although its code may wait."""
    time = Time()

    assert late_answer(refusal(code, message)) is None
    with pytest.raises(ClientError, match=code):
        time.patience.retry(Late(1, code, message))
    assert time.sleeps == []


def test_a_condition_that_holds_costs_nothing() -> None:
    """Something that is ready is not waited for."""
    time = Time()

    time.patience.until(lambda: True, "the thing", 60)

    assert (time.sleeps, time.reported) == ([], [])


def test_a_condition_is_waited_for_and_reported() -> None:
    """Waiting ends as soon as the condition holds, and says what for and how long."""
    time = Time()
    answers = iter([False, False, True])

    time.patience.until(lambda: next(answers), "the thing", 60)

    assert time.reported == [Waited("the thing", 1.5)]


def test_a_condition_that_never_holds_is_an_error() -> None:
    """When time is up the error says what was waited for, how long, and what to do."""
    time = Time()

    with pytest.raises(AwsError) as caught:
        time.patience.until(lambda: False, "the thing", 60)

    assert str(caught.value) == "Waited 66 s for the thing. Run again to continue."
