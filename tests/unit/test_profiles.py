"""Profiles of AWS without usable credentials: what is said, and that nobody waits for it."""

import sys
from pathlib import Path

import pytest

from deployer.aws.account import connect
from deployer.errors import CredentialsError

CONFIG = """
[profile signed-in]
login_session = arn:aws:iam::123456789012:user/me
region = eu-west-2

[profile company]
sso_session = company
sso_account_id = 123456789012
sso_role_name = deployer
region = eu-west-2

[sso-session company]
sso_start_url = https://company.awsapps.com/start
sso_region = eu-west-2
sso_registration_scopes = sso:account:access

[profile old-company]
sso_start_url = https://company.awsapps.com/start
sso_region = eu-west-2
sso_account_id = 123456789012
sso_role_name = deployer
region = eu-west-2

[profile empty]
region = eu-west-2
"""


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profiles above, and neither credentials nor a machine of AWS around."""
    config = tmp_path / "config"
    config.write_text(CONFIG)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


def said(profile: str) -> str:
    with pytest.raises(CredentialsError) as failure:
        connect({"AWS_PROFILE": profile})
    return str(failure.value)


def test_a_profile_of_aws_login_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys are signed by a library that boto3 does without otherwise."""
    monkeypatch.setattr("botocore.credentials.EC", None)

    assert said("signed-in").endswith(
        f"`{sys.executable} -m pip install 'botocore[crt]'`, then run again."
    )


def test_a_session_of_aws_login_that_is_over_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that begins a new one."""
    monkeypatch.setattr("botocore.credentials.EC", object())

    assert "Run `aws login`, with --profile" in said("signed-in")


@pytest.mark.parametrize("profile", ["company", "old-company"])
def test_a_session_of_single_sign_on_that_is_over_says_so(profile: str) -> None:
    """Likewise, in both forms of such a profile."""
    assert "Run `aws sso login`, with --profile" in said(profile)


def test_a_profile_without_credentials_says_what_to_set() -> None:
    """In one line."""
    assert said("empty") == (
        "AWS account: Unable to locate credentials. Set AWS_PROFILE or AWS_ACCESS_KEY_ID."
    )
