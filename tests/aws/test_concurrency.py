"""One run of a function at a time: a database that hangs is neither crowded nor paid for twice."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployer.resources import specs
from deployer.resources.costs import monthly_cost
from tests.aws.faults import Faults
from tests.aws.sandbox import Sandbox, pending

EXTRACT = "totesys-etl-dev-extract"
TRANSFORM = "totesys-etl-dev-transform"


def reserved(sandbox: Sandbox, name: str) -> int | None:
    answer = sandbox.account.clients.lambda_.get_function_concurrency(FunctionName=name)
    return answer.get("ReservedConcurrentExecutions")


def failures(sandbox: Sandbox, name: str) -> dict[str, Any]:
    client = sandbox.account.clients.lambda_
    found: dict[str, Any] = dict(client.get_function_event_invoke_config(FunctionName=name))
    return found


def test_one_run_of_each_function_is_reserved(sandbox: Sandbox) -> None:
    """AWS itself lets no function run twice at once, and nobody else take its only run."""
    sandbox.start_deployed()

    for spec in specs.FUNCTIONS:
        assert reserved(sandbox, f"totesys-etl-dev-{spec.use}") == 1
    assert pending(sandbox.plan()) == []


def test_another_reservation_is_put_right(sandbox: Sandbox) -> None:
    """Ten runs at a time, set by hand, are one again after a deployment, as the plan says."""
    sandbox.start_deployed()
    sandbox.account.clients.lambda_.put_function_concurrency(
        FunctionName=EXTRACT, ReservedConcurrentExecutions=10
    )

    (change,) = [change for change in sandbox.plan() if change.action != "left"]
    sandbox.deploy()

    assert (change.name, change.differences) == (EXTRACT, {"concurrency": (10, 1)})
    assert reserved(sandbox, EXTRACT) == 1


@pytest.mark.parametrize(("unreserved", "runs"), [(104, None), (105, 1)])
def test_a_small_account_keeps_its_runs(
    sandbox: Sandbox, limits: dict[str, dict[str, int]], unreserved: int, runs: int | None
) -> None:
    """AWS wants 100 runs left for others; where they are not, a deployment goes on without."""
    limits["AccountLimit"]["UnreservedConcurrentExecutions"] = unreserved

    sandbox.deploy()

    assert reserved(sandbox, EXTRACT) == runs
    # Runs that are reserved now no longer count as unreserved, and stay reserved.
    limits["AccountLimit"]["UnreservedConcurrentExecutions"] = unreserved - 4 * (runs or 0)
    assert pending(sandbox.plan()) == []


def test_who_may_not_see_the_limits_deploys_without(sandbox: Sandbox) -> None:
    """A right that was not asked for before is not needed now."""
    denied = Faults({"GetAccountSettings": ("AccessDeniedException", "No.")}, times=None)
    client = sandbox.account.clients.lambda_
    client.meta.events.register_first("before-call.lambda.GetAccountSettings", denied)

    sandbox.deploy()

    assert reserved(sandbox, EXTRACT) is None


def test_another_error_of_the_limits_is_one(sandbox: Sandbox) -> None:
    """Only a missing right is ignored."""
    broken = Faults({"GetAccountSettings": ("ServiceException", "No.")}, times=None)
    client = sandbox.account.clients.lambda_
    client.meta.events.register_first("before-call.lambda.GetAccountSettings", broken)

    with pytest.raises(Exception, match="ServiceException") as caught:
        sandbox.deploy()
    assert not isinstance(caught.value, ClientError)


def test_events_of_a_schedule_are_neither_retried_nor_kept(sandbox: Sandbox) -> None:
    """The next minute's run does what a failed one did not; retries would only add to the load."""
    sandbox.start_deployed()

    for use in ("extract", "load", "reconcile"):
        found = failures(sandbox, f"totesys-etl-dev-{use}")
        assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 60)
        assert not found.get("DestinationConfig", {}).get("OnFailure")


def test_events_of_batches_are_kept_and_not_retried(sandbox: Sandbox) -> None:
    """Transform tries a batch again with its next sweep; somebody is asked to look."""
    sandbox.start_deployed()

    found = failures(sandbox, TRANSFORM)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 3600)
    queue = "arn:aws:sqs:eu-west-2:123456789012:totesys-etl-dev-failed-events"
    assert found["DestinationConfig"]["OnFailure"] == {"Destination": queue}


def test_the_worst_month_is_shown_with_the_costs(sandbox: Sandbox) -> None:
    """The costs show what a database that hangs can cost, and that overlaps cost more."""
    alone = monthly_cost(sandbox.settings)
    overlapping = monthly_cost(sandbox.settings, one_at_a_time=False)

    assert alone.total < alone.worst < overlapping.worst
    assert f"At most {overlapping.worst:.2f} USD if a database hung" in overlapping.text()
