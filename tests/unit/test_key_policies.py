"""A key of the user's: what its policy must allow, and what roles may do with it."""

import json
from typing import Any

import pytest

from deployer.configuration.organisation import Organisation
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.keys import problems, problems_of_policy, problems_of_signing, rights
from deployer.resources.names import Names
from deployer.resources.policies import function_policy
from deployer.resources.resource_policies import Policy, allow
from etl.loading import load
from tests.documentation import blocks
from tests.unit.reading_settings import problems as problems_of_settings

NAMES = Names("shop", "dev", "123456789012", "eu-west-2")
KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ROOT = "arn:aws:iam::123456789012:root"
USABLE = {"KeyState": "Enabled", "KeySpec": "SYMMETRIC_DEFAULT"}


def allowing(principal: Any, *actions: str, resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": actions, "Resource": resource}


ACCOUNT = allowing({"AWS": ROOT}, "kms:*")
CLOUDWATCH = allowing(
    {"Service": "cloudwatch.amazonaws.com"}, "kms:Decrypt", "kms:GenerateDataKey*"
)
LOGS = allowing(
    {"Service": ["logs.eu-west-2.amazonaws.com"]},
    "kms:Encrypt*",
    "kms:Decrypt*",
    "kms:ReEncrypt*",
    "kms:GenerateDataKey*",
    "kms:Describe*",
)


def lacking(*statements: dict[str, Any]) -> list[str]:
    return [
        line.partition(" to ")[2].partition(":")[0] if "arn:" not in line else "the account"
        for line in problems_of_policy({"Statement": list(statements)}, KEY, NAMES)
    ]


def test_a_key_that_aws_documents_is_enough() -> None:
    """The account, alarms and logs may use it; as one principal or several, one action or all."""
    assert lacking(ACCOUNT, CLOUDWATCH, LOGS) == []
    assert lacking({**ACCOUNT, "Principal": {"AWS": "123456789012"}}, CLOUDWATCH, LOGS) == []
    assert lacking(allowing("*", "kms:*", resource=KEY)) == []


def test_the_policy_on_the_page_is_enough() -> None:
    """Who copies it, with the own account and region, has nothing to add."""
    [text] = [block.text for block in blocks() if block.page.name == "accounts.md"]

    assert lacking(*json.loads(text)) == []


@pytest.mark.parametrize(
    ("statements", "who"),
    [
        ((CLOUDWATCH, LOGS), ["the account"]),
        ((ACCOUNT, LOGS), ["cloudwatch.amazonaws.com"]),
        ((ACCOUNT, CLOUDWATCH), ["logs.eu-west-2.amazonaws.com"]),
        ((ACCOUNT, CLOUDWATCH, {**LOGS, "Effect": "Deny"}), ["logs.eu-west-2.amazonaws.com"]),
        ((ACCOUNT, {**CLOUDWATCH, "Action": "kms:Decrypt"}, LOGS), ["cloudwatch.amazonaws.com"]),
        ((ACCOUNT, {**CLOUDWATCH, "Resource": KEY + "x"}, LOGS), ["cloudwatch.amazonaws.com"]),
    ],
)
def test_who_may_not_use_the_key_is_named(statements: Any, who: list[str]) -> None:
    """An alarm that cannot use it sends no e-mail, and nothing else would say so."""
    assert lacking(*statements) == who


def test_the_missing_actions_are_named() -> None:
    """With what they are for, and the page that shows the statements."""
    [line] = problems_of_policy({"Statement": [ACCOUNT, LOGS]}, KEY, NAMES)

    assert line == (
        "KMS_KEY: the key's policy does not allow kms:Decrypt, kms:GenerateDataKey to "
        "cloudwatch.amazonaws.com: add it, so that alarms can send e-mails (docs/accounts.md)"
    )


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (None, "there is no key"),
        ({**USABLE, "KeyState": "PendingDeletion"}, "the key is PendingDeletion"),
        ({**USABLE, "KeySpec": "RSA_2048"}, "the key is not symmetric"),
    ],
)
def test_a_key_that_cannot_encrypt_is_refused(about: Any, said: str) -> None:
    """Before anything is made."""
    [line] = problems(KEY, about, NAMES)

    assert said in line
    assert list(problems(KEY, USABLE, NAMES)) == []


def test_a_key_of_another_region_is_refused() -> None:
    """No service can use it from here."""
    [line] = problems(KEY.replace("eu-west-2", "us-east-1"), USABLE, NAMES)

    assert "replicate it to eu-west-2" in line


@pytest.mark.parametrize("key", ["alias/ours", KEY.replace("key/", "alias/"), "1234", KEY + "*"])
def test_a_key_is_named_by_its_arn(key: str) -> None:
    """A policy cannot name it otherwise."""
    [line] = problems_of_settings(KMS_KEY=key)

    assert line.startswith("KMS_KEY is malformed")


@pytest.mark.parametrize(
    ("use", "actions", "services"),
    [
        ("extract", ["kms:Decrypt", "kms:GenerateDataKey"], ["s3", "secretsmanager"]),
        ("transform", ["kms:Decrypt", "kms:GenerateDataKey"], ["s3", "sqs"]),
        ("load", ["kms:Decrypt", "kms:GenerateDataKey"], ["s3", "secretsmanager"]),
        ("page", ["kms:Decrypt", "kms:GenerateDataKey"], ["s3", "secretsmanager"]),
        ("serve", ["kms:Decrypt"], ["s3"]),
    ],
)
def test_a_role_uses_the_key_through_the_services_that_it_uses(
    use: Any, actions: list[str], services: list[str]
) -> None:
    """It never calls the key itself, nor through a service that it has no rights to."""
    declared = load("totesys")
    *others, statement = function_policy(use, NAMES, declared, key=KEY)["Statement"]

    assert others == function_policy(use, NAMES, declared)["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Action": actions,
        "Resource": KEY,
        "Condition": {
            "StringEquals": {
                "kms:ViaService": [f"{service}.eu-west-2.amazonaws.com" for service in services]
            }
        },
    }


@pytest.mark.parametrize(
    "statement", [allow("logs:PutLogEvents", "*"), {**allow("s3:PutObject", "*"), "Effect": "Deny"}]
)
def test_what_encrypts_nothing_needs_no_key(statement: Policy) -> None:
    """A log is encrypted by CloudWatch itself, and a denial is no use."""
    assert rights([statement], KEY, NAMES) == []


def test_notices_are_encrypted_too() -> None:
    """A function that publishes some uses the key through SNS."""
    policy = function_policy("load", NAMES, load("totesys"), writes_notices=True, key=KEY)

    via = policy["Statement"][-1]["Condition"]["StringEquals"]["kms:ViaService"]
    assert "sns.eu-west-2.amazonaws.com" in via


def test_who_deploys_uses_the_key_through_services_alone() -> None:
    """And may read it and its policy; without a key there is nothing of it."""
    by_sid = {
        each["Sid"]: each for each in deployer_policy(NAMES, Organisation(kms_key=KEY))["Statement"]
    }
    without = {each["Sid"]: each for each in deployer_policy(NAMES)["Statement"]}

    assert by_sid["Key"]["Resource"] == by_sid["KeyInUse"]["Resource"] == [KEY]
    assert by_sid["KeyInUse"]["Condition"] == {
        "StringEquals": {
            "kms:ViaService": [
                f"{service}.eu-west-2.amazonaws.com"
                for service in ("lambda", "s3", "secretsmanager")
            ]
        }
    }
    assert "secretsmanager:UpdateSecret" in by_sid["Secrets"]["Action"]
    assert "logs:AssociateKmsKey" in by_sid["LogGroups"]["Action"]
    assert "kms" not in str(without).lower()
    assert "UpdateSecret" not in str(without)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (None, "there is no key"),
        ({"KeyState": "PendingDeletion"}, "the key is PendingDeletion, and has to be Enabled"),
        (USABLE, "has to be one of ECC_NIST_P256 to sign and verify"),
        (
            {"KeyState": "Enabled", "KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"},
            "has to be one of ECC_NIST_P256 to sign and verify",
        ),
    ],
)
def test_a_key_that_cannot_sign_proofs_is_refused(about: dict[str, str] | None, said: str) -> None:
    """Each problem is one line, before anything is made."""
    [problem] = problems_of_signing(KEY, about, NAMES)

    assert problem.startswith("PROOF_KEY")
    assert said in problem


def test_a_key_of_the_region_signs_proofs() -> None:
    """An enabled key of the one form; a key of another region is refused."""
    about = {"KeyState": "Enabled", "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}

    assert [*problems_of_signing(KEY, about, NAMES)] == []
    elsewhere = KEY.replace("eu-west-2", "us-east-1")
    [problem] = problems_of_signing(elsewhere, about, NAMES)
    assert "another region" in problem


def test_who_deploys_verifies_by_the_key_of_proofs_and_cannot_sign() -> None:
    """`deploy.py verify` needs no more, and whoever runs it cannot forge a proof."""
    policy = deployer_policy(NAMES, Organisation(proof_key=KEY))
    by_sid = {each["Sid"]: each for each in policy["Statement"]}

    assert by_sid["ProofKey"]["Resource"] == [KEY]
    assert by_sid["ProofKey"]["Action"] == ["kms:DescribeKey", "kms:Verify"]
    assert "kms:Sign" not in str(policy)
