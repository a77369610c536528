"""Permissions to invoke a function: a statement of its policy for each rule, bucket or API.

AWS changes the policy of a function one statement at a time, and rewrites the statement, so it is
compared by its meaning.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found

READ_BACK_SECONDS = 60


@dataclass(frozen=True)
class Permission:
    """Lets `service` invoke `function` on behalf of the resource with `source_arn`.

    With `names_account` the statement also names the account, which the ARN of a bucket does not.
    """

    function: str
    statement_id: str
    service: str
    source_arn: str
    names_account: bool = True

    @property
    def name(self) -> str:
        """What identifies it."""
        return f"{self.function}/{self.statement_id}"


def ensure_permission(account: Account, permission: Permission) -> Change:
    """Create or update a statement and wait until it can be read; other statements are kept."""
    wanted = {
        "action": "lambda:InvokeFunction",
        "principal": permission.service,
        "source": permission.source_arn,
        "account": account.id if permission.names_account else None,
    }
    client = account.clients.lambda_

    owner: Any = {"SourceAccount": account.id} if permission.names_account else {}

    def add() -> None:
        client.add_permission(
            FunctionName=permission.function,
            StatementId=permission.statement_id,
            Action="lambda:InvokeFunction",
            Principal=permission.service,
            SourceArn=permission.source_arn,
            **owner,
        )
        account.patience.until(
            lambda: _read(account, permission) == wanted,
            f"permission {permission.statement_id} of {permission.function} to be readable",
            READ_BACK_SECONDS,
        )

    def replace() -> None:
        # Repeated as a whole when the addition comes too early: it is already removed then.
        found(
            lambda: client.remove_permission(
                FunctionName=permission.function, StatementId=permission.statement_id
            ),
            "ResourceNotFoundException",
        )
        add()

    return converge(
        account,
        Resource(
            kind="permission",
            name=permission.name,
            wanted=wanted,
            actual=_read(account, permission),
            create=add,
            created_with=frozenset(wanted),
            updates=[Update(frozenset(wanted), replace)],
        ),
    )


def _read(account: Account, permission: Permission) -> dict[str, object] | None:
    client = account.clients.lambda_
    answer = found(
        lambda: client.get_policy(FunctionName=permission.function), "ResourceNotFoundException"
    )
    statements = json.loads(answer["Policy"])["Statement"] if answer else []
    ours = (entry for entry in statements if entry.get("Sid") == permission.statement_id)
    statement = next(ours, None)
    return None if statement is None else _meaning(statement)


def _meaning(statement: Mapping[str, Any]) -> dict[str, object]:
    """Return the meaning of a statement; condition keys are not case-sensitive."""
    principal = statement["Principal"]
    conditions = {
        key.lower(): value
        for block in statement.get("Condition", {}).values()
        for key, value in block.items()
    }
    return {
        "action": statement["Action"],
        "principal": principal.get("Service") if isinstance(principal, dict) else principal,
        "source": conditions.get("aws:sourcearn"),
        "account": conditions.get("aws:sourceaccount"),
    }
