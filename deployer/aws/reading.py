"""Reading resources: one that does not exist is None, not an error."""

from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import ClientError

T = TypeVar("T")

ALREADY_THERE = frozenset(
    {
        "BucketAlreadyOwnedByYou",
        "EntityAlreadyExists",
        "ResourceAlreadyExistsException",
        "ResourceExistsException",
    }
)


def error_code(error: ClientError) -> str:
    """Return AWS's code of an error."""
    return error.response["Error"].get("Code", "")


def already_there(error: ClientError) -> bool:
    """Say whether a create was refused because the thing of ours exists.

    Happens when a first answer was lost and botocore asked again, or when two deployments meet.
    """
    code, message = error_code(error), error.response["Error"].get("Message", "")
    # Codes that mean other things too: an update in progress, a parameter that is malformed.
    return code in ALREADY_THERE or (
        code in ("ResourceConflictException", "InvalidParameter") and "already exist" in message
    )


def found(read: Callable[[], T], *absent: str) -> T | None:
    """Return the answer of `read`, None when one of the codes says that there is none."""
    try:
        return read()
    except ClientError as error:
        if error_code(error) in absent:
            return None
        raise
