"""Rights as IAM simulates them: of whom, with what, and by what an action is denied."""

from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from botocore.stub import Stubber

from deployer.aws.account import Account, Clients
from deployer.aws.simulation import Denial, denied_actions, principals_of
from deployer.aws.waiting import Patience

ROLE = "arn:aws:iam::123456789012:role/deployer"
OTHER = "arn:aws:iam::123456789012:role/another"


class Simulated:
    """An account whose simulations are scripted."""

    def __init__(self, caller: str = "") -> None:
        iam: Any = boto3.client(
            "iam", "eu-west-2", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.stub = Stubber(iam)
        self.stub.activate()
        patience = Patience(lambda: 0.0, lambda _: None, lambda _: None)
        clients = cast("Clients", SimpleNamespace(iam=iam))
        self.account = Account("123456789012", "eu-west-2", None, clients, patience, caller=caller)

    def answer(
        self, principal: str, asked: dict[str, Any], *results: dict[str, Any], marker: str = ""
    ) -> None:
        more = {"IsTruncated": True, "Marker": marker} if marker else {"IsTruncated": False}
        self.stub.add_response(
            "simulate_principal_policy",
            {"EvaluationResults": list(results), **more},
            {"PolicySourceArn": principal, "ContextEntries": [], **asked},
        )


def result(action: str, decision: str = "implicitDeny", **more: Any) -> dict[str, Any]:
    return {"EvalActionName": action, "EvalDecision": decision, **more}


@pytest.mark.parametrize(
    ("caller", "principals"),
    [
        ("arn:aws:iam::123456789012:user/team/ann", ["arn:aws:iam::123456789012:user/team/ann"]),
        ("arn:aws:sts::123456789012:assumed-role/deployer/ann@example.com", [ROLE]),
        (
            "arn:aws-cn:sts::123456789012:assumed-role/deployer/1",
            ["arn:aws-cn:iam::123456789012:role/deployer"],
        ),
        (
            "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_1f/ann",
            [
                f"arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/{path}"
                "AWSReservedSSO_Admin_1f"
                for path in ("", "eu-west-2/")
            ],
        ),
        ("arn:aws:iam::123456789012:root", []),
    ],
)
def test_the_principal_is_who_the_session_belongs_to(caller: str, principals: list[str]) -> None:
    """A session of a role, single sign-on, a user; the root has none that IAM could simulate."""
    assert principals_of(Simulated(caller).account) == principals


def test_each_statement_is_asked_about_with_names_and_conditions_that_it_means() -> None:
    """A pattern stands for one of its names; a Deny is no right."""
    simulated = Simulated()
    context = [
        {
            "ContextKeyName": "iam:PassedToService",
            "ContextKeyValues": ["lambda.amazonaws.com"],
            "ContextKeyType": "string",
        }
    ]
    simulated.answer(
        ROLE,
        {
            "ActionNames": ["iam:PassRole"],
            "ResourceArns": ["arn:aws:iam::1:role/shop-example"],
            "ContextEntries": context,
        },
        result("iam:PassRole", "allowed"),
    )
    simulated.answer(
        ROLE,
        {"ActionNames": ["s3:GetObject"], "ResourceArns": ["*", "secret-aaaaaa"]},
        result("s3:GetObject", "allowed"),
    )
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": "arn:aws:iam::1:role/shop-*",
            "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        },
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["*", "secret-??????"]},
    ]

    assert denied_actions(simulated.account, [ROLE], statements) == []
    simulated.stub.assert_no_pending_responses()


def test_every_denied_action_has_its_reason() -> None:
    """On all pages: who has to be asked differs for a boundary, an organisation and a policy."""
    simulated = Simulated()
    actions = ["s3:A", "s3:B", "s3:C", "s3:D", "s3:E"]
    asked = {"ActionNames": actions, "ResourceArns": ["*"]}
    simulated.answer(
        ROLE,
        asked,
        result("s3:A"),
        result("s3:B", OrganizationsDecisionDetail={"AllowedByOrganizations": False}),
        marker="more",
    )
    simulated.answer(
        ROLE,
        {**asked, "Marker": "more"},
        result("s3:C", PermissionsBoundaryDecisionDetail={"AllowedByPermissionsBoundary": False}),
        result("s3:D", "explicitDeny"),
        result("s3:E", "allowed"),
    )

    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    assert denied_actions(simulated.account, [ROLE], [statement]) == [
        Denial("s3:A", "no policy allows it"),
        Denial("s3:B", "a policy of the organisation"),
        Denial("s3:C", "the permissions boundary"),
        Denial("s3:D", "an explicit deny"),
    ]


def test_a_role_is_looked_for_under_each_of_its_paths() -> None:
    """The second is asked if there is no first; if there is none at all, nothing is known."""
    statement = {"Effect": "Allow", "Action": "s3:A", "Resource": "*"}
    simulated = Simulated()
    simulated.stub.add_client_error("simulate_principal_policy", "NoSuchEntity")
    simulated.answer(ROLE, {"ActionNames": ["s3:A"], "ResourceArns": ["*"]}, result("s3:A"))
    assert denied_actions(simulated.account, [OTHER, ROLE], [statement]) == [
        Denial("s3:A", "no policy allows it")
    ]

    simulated.stub.add_client_error("simulate_principal_policy", "NoSuchEntity")
    assert denied_actions(simulated.account, [OTHER], [statement]) is None
