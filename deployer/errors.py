"""The errors of the commands, grouped by what the person at the terminal must do.

    DeployError                 ends a command, which reports it: where, what, next step
    ├── SettingsError           correct the settings or the arguments; exit status 2
    ├── AddressError            correct the URL: caught, and reported as a SettingsError
    ├── CredentialsError        fetch new credentials, or a new sandbox
    ├── ConflictError           remove what is in the way, or choose another PROJECT or STAGE
    ├── InstallError            follow the message, then run again
    ├── OperationError          follow the message of the function that failed
    └── AwsError                act on AWS's message, then run again

Those of the local sandbox hang in this tree too. No message holds a password.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    LoginError,
    MissingDependencyException,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)

EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "RequestExpired",
        "UnrecognizedClientException",
    }
)
# The answer to a HEAD has no body, and so no code.
REFUSED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "UnauthorizedOperation",
    }
)
# Lambda tried it as the function's role, whose policy allows it: what is above the role does not.
ROLE_LACKS = re.compile(r"execution role does not have permissions to call (\w+) on EC2")
# What to do where there are no credentials, or none that are valid, by the error of botocore.
_AGAIN = ", with --profile where AWS_PROFILE names one, then run again."
NO_CREDENTIALS: dict[tuple[type[BotoCoreError], ...], str] = {
    (MissingDependencyException,): (
        "AWS_PROFILE is one of `aws login`. Install what that needs with "
        f"`{sys.executable} -m pip install 'botocore[crt]'`, then run again."
    ),
    (SSOError, TokenRetrievalError): f"Run `aws sso login`{_AGAIN}",
    (LoginError,): f"Run `aws login`{_AGAIN}",
    (CredentialRetrievalError, NoCredentialsError, PartialCredentialsError): (
        "Set AWS_PROFILE or AWS_ACCESS_KEY_ID."
    ),
}


class DeployError(Exception):
    """The root of all errors that a command reports without a traceback."""

    exit_status = 1


class SettingsError(DeployError):
    """Settings or arguments are missing or malformed. Raised before anything is changed."""

    exit_status = 2

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep all problems, so that they can be corrected at once."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class AddressError(DeployError):
    """A database URL is malformed; the message never quotes it, and continues a setting's name."""


class CredentialsError(DeployError):
    """AWS does not accept the credentials."""


class ConflictError(DeployError):
    """A resource that is not ours is in the way."""


class InstallError(DeployError):
    """Packages could not be installed."""


class OperationError(DeployError):
    """The deployed pipeline could not do what was asked."""


class AwsError(DeployError):
    """AWS refused a call, or did not finish in time."""


@contextmanager
def explaining(where: str) -> Iterator[None]:
    """Translate errors of boto3 into those that say what to do; `where` names the resource."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _translated(error, where) from error


def is_refusal(error: DeployError) -> bool:
    """Return whether AWS does not let the caller do what was tried."""
    cause = error.__cause__
    return isinstance(cause, ClientError) and cause.response["Error"].get("Code") in REFUSED


def _translated(error: ClientError | BotoCoreError, where: str) -> DeployError:
    for kinds, step in NO_CREDENTIALS.items():
        if isinstance(error, kinds):
            return CredentialsError(f"{where}: {str(error).rstrip(' .')}. {step}")
    if not isinstance(error, ClientError):
        return AwsError(
            f"{where}: {error}. Check the network and AWS_ENDPOINT_URL, then run again."
        )
    code = error.response["Error"].get("Code", "")
    message = error.response["Error"].get("Message", "").rstrip(".")
    if code in EXPIRED:
        return CredentialsError(
            f"{where}: AWS does not accept the credentials ({code}). They have expired, and the "
            "sandbox may have expired too. Fetch new credentials and run again."
        )
    said = f"{where}: {error.operation_name} answered {code}: {message}."
    if code in REFUSED:
        return AwsError(
            f"{said} `deploy.py policy` prints all permissions that are needed. Ask for this "
            "permission, then run again."
        )
    if lacking := ROLE_LACKS.search(message):
        return AwsError(
            f"{said} The role's policy allows ec2:{lacking[1]}; a permissions "
            "boundary or a policy of the organisation denies it. Ask for it, then run again."
        )
    return AwsError(f"{said} Completed steps are kept; run again to continue.")
