"""The statements of a function's policy: ours in it, replaced by its meaning, theirs kept."""

import json
from typing import Any

from botocore.stub import Stubber

from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.aws.lambda_permissions import Permission, ensure_permission
from tests.aws.faults import stubbed

RULE = "arn:aws:events:eu-west-2:123456789012:rule/load-schedule"
NAMED = {"FunctionName": "load", "StatementId": "rule"}
WANTED = Permission("load", "rule", "events.amazonaws.com", RULE)
THEIRS: dict[str, Any] = {
    "Sid": "theirs",
    "Effect": "Allow",
    "Principal": {"Service": "sns.amazonaws.com"},
    "Action": "lambda:InvokeFunction",
}
OURS: dict[str, Any] = {
    "Sid": "rule",
    "Effect": "Allow",
    "Principal": {"Service": "events.amazonaws.com"},
    "Action": "lambda:InvokeFunction",
    "Condition": {
        "StringEquals": {"AWS:SourceAccount": "123456789012"},
        "ArnLike": {"AWS:SourceArn": RULE},
    },
}


def answer(stubber: Stubber, *statements: dict[str, Any]) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    stubber.add_response("get_policy", {"Policy": policy}, {"FunctionName": "load"})


def expect_addition(stubber: Stubber) -> None:
    added = {
        **NAMED,
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": RULE,
        "SourceAccount": "123456789012",
    }
    stubber.add_response("add_permission", {}, added)


def test_a_new_permission_is_readable_when_the_step_ends(
    account: Account, sleeps: list[float]
) -> None:
    """A bucket that would be refused for a missing permission comes after it can be read."""
    with stubbed(account.clients.lambda_) as stubber:
        answer(stubber, THEIRS)
        expect_addition(stubber)
        answer(stubber, THEIRS)
        answer(stubber, THEIRS, OURS)
        change = ensure_permission(account, WANTED)

    assert change == Change(
        "permission",
        "load/rule",
        "created",
        {
            "action": (None, "lambda:InvokeFunction"),
            "principal": (None, "events.amazonaws.com"),
            "source": (None, RULE),
            "account": (None, "123456789012"),
        },
    )
    assert len(sleeps) == 1


def test_a_changed_permission_is_replaced(account: Account) -> None:
    """Whoever was let in behind our back is out, and the service that has to be in is in."""
    with stubbed(account.clients.lambda_) as stubber:
        answer(stubber, {**OURS, "Principal": "*"})
        stubber.add_response("remove_permission", {}, NAMED)
        expect_addition(stubber)
        answer(stubber, OURS)
        change = ensure_permission(account, WANTED)

    assert change == Change(
        "permission", "load/rule", "updated", {"principal": ("*", "events.amazonaws.com")}
    )


def test_a_permission_that_is_gone_meanwhile_is_added(account: Account) -> None:
    """A removal that was repeated finds nothing to remove, which is no error."""
    with stubbed(account.clients.lambda_) as stubber:
        answer(stubber, {**OURS, "Principal": "*"})
        stubber.add_client_error("remove_permission", "ResourceNotFoundException")
        expect_addition(stubber)
        answer(stubber, OURS)

        assert ensure_permission(account, WANTED).action == "updated"


def test_a_source_that_has_the_account_in_its_arn_needs_no_other(account: Account) -> None:
    """The statement then names no account, neither when it is written nor when it is compared."""
    api = "arn:aws:execute-api:eu-west-2:123456789012:a1b2/*"
    wanted = Permission("load", "rule", "apigateway.amazonaws.com", api, names_account=False)
    written = {
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": api,
    }
    readable = {
        **OURS,
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Condition": {"ArnLike": {"AWS:SourceArn": api}},
    }
    with stubbed(account.clients.lambda_) as stubber:
        answer(stubber)
        stubber.add_response("add_permission", {}, {**NAMED, **written})
        answer(stubber, readable)
        answer(stubber, readable)

        assert ensure_permission(account, wanted).action == "created"
        assert ensure_permission(account, wanted).action == "left"
