"""Errors of a deployment, grouped by what the person at the terminal must do about them.

Messages say where, what and the next step. They never hold a password.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
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
# A HEAD has no body to name the reason in.
REFUSED = frozenset({"403", "AccessDenied", "AccessDeniedException", "AuthorizationError"})
NO_CREDENTIALS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)


class DeployError(Exception):
    """Base of all errors that a deployment reports in one line."""

    exit_status = 1


class SettingsError(DeployError):
    """Settings are missing or malformed: correct them. Raised before anything is touched."""

    exit_status = 2

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep all problems, so that they can be corrected in one go."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class CredentialsError(DeployError):
    """AWS does not know the caller: fetch new credentials, or a new sandbox."""


class ConflictError(DeployError):
    """Something that is not ours is in the way: remove it, or choose another PROJECT or STAGE."""


class PipelineFailed(DeployError):
    """A function of the deployed pipeline failed: the message is its own, with the next step."""


class AwsError(DeployError):
    """AWS refused a call or did not finish in time: act on the message, then run again."""


@contextmanager
def explaining(where: str) -> Iterator[None]:
    """Turn the errors of boto3 into those that say what to do, `where` naming the resource."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _explained(error, where) from error


def _explained(error: ClientError | BotoCoreError, where: str) -> DeployError:
    if isinstance(error, NO_CREDENTIALS):
        return CredentialsError(f"{where}: {error}. Set AWS_PROFILE or AWS_ACCESS_KEY_ID.")
    if not isinstance(error, ClientError):
        return AwsError(
            f"{where}: {error}. Check the network and AWS_ENDPOINT_URL, then run again."
        )
    code = error.response["Error"].get("Code", "")
    message = error.response["Error"].get("Message", "").rstrip(".")
    if code in EXPIRED:
        return CredentialsError(
            f"{where}: AWS does not accept the credentials ({code}). They have expired, and the "
            "sandbox may have too. Fetch new ones and run again."
        )
    said = f"{where}: {error.operation_name} answered {code}: {message}."
    if code in REFUSED:
        return AwsError(
            f"{said} `deploy.py policy` prints all permissions that are needed. Ask for this "
            "permission, then run again."
        )
    return AwsError(f"{said} Completed steps stay; running again continues from here.")
