"""Check an account before and after a deployment: its clock, quotas and rights.

Each check yields findings; one that AWS does not allow is unknown, and the others go on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deployer.aws.account import Account
from deployer.aws.changes import error_code
from deployer.aws.lambda_functions import KEPT_UNRESERVED
from deployer.aws.simulation import Denial, denied_actions, principals_of
from deployer.errors import REFUSED
from deployer.operations.findings import Finding, ok, to_do, unknown
from deployer.resources.resource_policies import Policy
from deployer.resources.specs import FunctionSpec

# AWS refuses a signature that is older than 5 minutes.
CLOCK_SECONDS = 60.0
# All layers and functions of a pipeline together are below 150 MB, and an update has both versions.
CODE_BYTES = 300_000_000
SHOWN = 6  # actions, before "and n more"
POLICY = "`python deploy.py policy` prints the policy to ask for"

Checked = Iterator[Finding]


def looking(what: str, check: Callable[[], Checked]) -> Checked:
    """Yield the findings of a check; that it could not be made is one too."""
    try:
        yield from check()
    except ClientError as error:
        code = error_code(error)
        why = "is not allowed" if code in REFUSED else f"answered {code}"
        yield unknown(what, f"not known: {error.operation_name} {why}")
    except BotoCoreError as error:
        yield unknown(what, f"not known: {type(error).__name__}")


def clock(answer: Mapping[str, Any], now: datetime) -> Checked:
    """Compare this machine's clock with that of an answer of AWS, or of an error."""
    headers: Mapping[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if (date := headers.get("date")) is None:
        yield unknown("clock", "not known: the answer has no date")
        return
    seconds = (now - parsedate_to_datetime(date).astimezone(UTC)).total_seconds()
    if abs(seconds) <= CLOCK_SECONDS:
        yield ok("clock", f"{abs(seconds):.0f} s from that of AWS")
        return
    how = f"{abs(seconds):,.0f} s {'ahead of' if seconds > 0 else 'behind'} that of AWS"
    yield to_do("clock", how, "set this machine's clock: AWS refuses a call after 5 minutes")


def quotas(account: Account, functions: Sequence[FunctionSpec]) -> Checked:
    """Check that functions may run, and that their code and roles fit into the account."""
    yield from looking("quota of runs", lambda: _lambda_quotas(account, functions))
    yield from looking("quota of roles", lambda: _role_quota(account, functions))


def _lambda_quotas(account: Account, functions: Sequence[FunctionSpec]) -> Checked:
    answer = account.clients.lambda_.get_account_settings()
    limit, usage = answer["AccountLimit"], answer.get("AccountUsage", {})
    runs, free = (
        limit.get("ConcurrentExecutions", 0),
        limit.get("UnreservedConcurrentExecutions", 0),
    )
    reserved = sum(spec.runs or 0 for spec in functions)
    if runs < len(functions):
        ask = "ask for 1,000 in Service Quotas (AWS Lambda, Concurrent executions)"
        yield to_do("quota of runs", f"{runs} at once, for {len(functions)} functions", ask)
    elif free - reserved < KEPT_UNRESERVED:
        few = f"{runs:,} at once, too few to reserve any for a function"
        yield ok("quota of runs", f"{few}: locks alone keep them apart")
    else:
        yield ok("quota of runs", f"{runs:,} at once, {free:,} of them unreserved")
    size, used = limit.get("TotalCodeSize", 0), usage.get("TotalCodeSize", 0)
    space = f"{used / 1e6:,.0f} of {size / 1e6:,.0f} MB are used"
    if size - used < CODE_BYTES:
        more = (
            "remove old functions and layer versions of others, or ask for more in Service Quotas"
        )
        yield to_do("quota of code", space, more)
    else:
        yield ok("quota of code", space)


def _role_quota(account: Account, functions: Sequence[FunctionSpec]) -> Checked:
    found = account.clients.iam.get_account_summary()["SummaryMap"]
    there, most = found.get("Roles", 0), found.get("RolesQuota", 0)
    said = f"{there:,} of {most:,} are used"
    if most - there < len(functions):
        yield to_do(
            "quota of roles", said, "remove unused roles, or ask for more in Service Quotas"
        )
    else:
        yield ok("quota of roles", said)


def caller_rights(account: Account, needed: Policy) -> Checked:
    """Simulate all actions of the deployer's policy for the caller."""

    def check() -> Checked:
        if account.is_local:
            yield unknown("rights", "not examined: the local AWS simulates no conditions")
            return
        if not (principals := principals_of(account)):
            yield unknown("rights", "of the account's root, which has all: use a role")
            return
        denied = denied_actions(account, principals, needed["Statement"])
        if denied is None:
            yield unknown("rights", "not known: IAM does not find the caller's role", POLICY)
        elif denied:
            yield to_do("rights", f"denied: {_named(denied)}", POLICY)
        else:
            actions = {action for each in needed["Statement"] for action in each["Action"]}
            yield ok("rights", f"all {len(actions)} actions of `deploy.py policy` are allowed")

    yield from looking("rights", check)


def role_rights(account: Account, use: str, role_arn: str, policy: Policy) -> Checked:
    """Simulate all actions of a function's policy for its role."""
    what = f"role of {use}"

    def check() -> Checked:
        denied = denied_actions(account, [role_arn], policy["Statement"])
        if denied is None:
            yield to_do(what, "does not exist", "run `python deploy.py`")
        elif denied:
            yield to_do(what, f"denied: {_named(denied)}", "ask whoever keeps these policies")
        else:
            yield ok(what, "may do what its policy says")

    yield from looking(what, check)


def _named(denied: Sequence[Denial]) -> str:
    """Return the denied actions by what denies them."""
    by_reason: dict[str, list[str]] = {}
    for each in denied:
        by_reason.setdefault(each.why, []).append(each.action)
    return "; ".join(f"{_some(actions)} ({why})" for why, actions in by_reason.items())


def _some(actions: Sequence[str]) -> str:
    more = len(actions) - SHOWN
    return ", ".join(actions[:SHOWN]) + (f" and {more} more" if more > 0 else "")
