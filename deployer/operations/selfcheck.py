"""Ask deployed functions whether they start and reach what they need, from inside Lambda.

They look and change nothing: see `functions/common/selfcheck.py`.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from deployer.aws.account import Account
from deployer.aws.changes import error_code
from deployer.aws.waiting import BUSY, Waited
from deployer.errors import OperationError, explaining
from deployer.operations.findings import Finding, ok, to_do, unknown
from deployer.resources.names import FunctionUse, Names

EVENT = json.dumps({"check": True})
# A new role or policy takes effect only some time after it was written.
NEW_ROLE_SECONDS = 180.0
PAUSE = 10.0
LATE = "Denied"  # in the codes of S3, Secrets Manager, SQS, SNS, and of KMS to Lambda itself
DEPLOY = "run `python deploy.py`"

Found = Mapping[FunctionUse, Sequence[Finding]]


def require_working(account: Account, names: Names, uses: Sequence[FunctionUse]) -> Found:
    """Return what functions found; wait for new roles to take effect.

    Raises:
        OperationError: a line for each thing that a function cannot use, with what to do.
    """
    found = ask_functions(account, names, uses, patience=NEW_ROLE_SECONDS)
    if problems := [
        f"{use}: {each.what}: {each.text}"
        for use, findings in found.items()
        for each in findings
        if each.state == "to do"
    ]:
        raise OperationError("\n".join(problems))
    return found


def ask_functions(
    account: Account, names: Names, uses: Sequence[FunctionUse], *, patience: float = 0.0
) -> Found:
    """Return what functions found, asked at the same time.

    A right that is missing may be one that has not taken effect yet: a function that lacks one is
    asked again for so many seconds.
    """
    with ThreadPoolExecutor(max(1, len(uses))) as threads:
        asked = {
            use: threads.submit(_patiently, account, names.function(use), patience) for use in uses
        }
    return {use: answer.result() for use, answer in asked.items()}


def _patiently(account: Account, name: str, patience: float) -> list[Finding]:
    clock, began = account.patience.clock, account.patience.clock()
    findings, has_waited = _ask(account, name), False
    while _lacks_a_right(findings) and not account.is_local and clock() - began < patience:
        account.patience.sleep(PAUSE)
        findings, has_waited = _ask(account, name), True
    if has_waited and not _lacks_a_right(findings):
        waited = clock() - began
        account.patience.report(Waited(f"the rights of {name} to take effect", waited))
    return findings


def _lacks_a_right(findings: Sequence[Finding]) -> bool:
    return any(each.state == "to do" and LATE in each.detail for each in findings)


def _ask(account: Account, name: str) -> list[Finding]:
    """Invoke a function, and return what it found, or why it did not look."""
    invoking = account.clients.invoking
    with explaining(f"function {name}"):
        try:
            answer = account.patience.retry(
                lambda: invoking.invoke(FunctionName=name, Payload=EVENT)
            )
        except ClientError as error:
            return [_not_asked(error)]
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        said = f"does not start: {_reason(payload)}"
        return [to_do("start", said, f"look at its log, and {DEPLOY} again")]
    return _findings(payload)


def _not_asked(error: ClientError) -> Finding:
    code, message = error_code(error), error.response["Error"].get("Message", "")
    if code == "ResourceNotFoundException":
        return to_do("start", "does not exist", f"{DEPLOY} first")
    if code in BUSY:
        return unknown("start", "was running all the time, and so was not asked")
    return to_do("start", f"Lambda answered {code}: {message.rstrip('.')}", f"{DEPLOY} again")


def _reason(payload: Any) -> str:
    return f"{payload.get('errorType')}: {payload.get('errorMessage')}"


def _findings(payload: Any) -> list[Finding]:
    checks = payload.get("checks") if isinstance(payload, dict) else None
    if checks is None:
        return [to_do("start", "is of an earlier version, and did not look", f"{DEPLOY} again")]
    return [
        ok(each["what"], each["detail"])
        if each["ok"]
        else to_do(each["what"], each["detail"], each["next"])
        for each in checks
    ]
