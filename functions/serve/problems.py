"""Problem documents (RFC 9457), which are answered if there is no report.

They have nothing of the request in them but the name of a parameter.
https://www.rfc-editor.org/rfc/rfc9457
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from functions.common.errors import Refusal

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
AGAIN_SOON, AGAIN_LATER = "5", "60"  # seconds after which a retry may succeed


class Problem(Refusal):
    """A request has no report as its answer: `reason` is a word for the log.

    `errors` are the faults of parameters.
    """

    def __init__(
        self,
        status: HTTPStatus,
        reason: str,
        detail: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers
        self._detail = detail
        self._errors = errors

    def document(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self._detail,
            **({"errors": list(self._errors)} if self._errors else {}),
        }


def bad_parameters(errors: Sequence[Mapping[str, str]]) -> Problem:
    """Return the problem of parameters that are unknown, missing or invalid."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "bad_parameters",
        "Correct the parameters that `errors` names; /openapi.json describes them.",
        errors=errors,
    )


def malformed_query() -> Problem:
    """Return the problem of a query string that cannot be read."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "malformed_query",
        "The query string is too long, or not percent-encoded UTF-8.",
    )


def unauthorized(reason: str, challenge: str) -> Problem:
    """Return the problem of a caller who is not authorized."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        reason,
        "Send a valid token in the header Authorization, as in `Bearer <token>`."
        if challenge.startswith("Bearer")
        else "Sign the request as AWS wants it (Signature Version 4).",
        headers={"www-authenticate": challenge},
    )


def not_found() -> Problem:
    """Return the problem of a path that no report has."""
    return Problem(
        HTTPStatus.NOT_FOUND, "unknown_path", "No report has this path; see /openapi.json."
    )


def not_allowed() -> Problem:
    """Return the problem of another method than GET."""
    return Problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "Reports can only be read, by GET.",
        headers={"allow": "GET"},
    )


def too_many() -> Problem:
    """Return the problem of more requests than are answered in a second."""
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "throttled",
        "Too many requests: ask again after a second.",
        headers={"retry-after": "1"},
    )


def unavailable(reason: str, after: str = AGAIN_SOON) -> Problem:
    """Return the problem of a warehouse that cannot be read now."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        reason,
        "The warehouse cannot be read just now: ask again.",
        headers={"retry-after": after},
    )


def failed(reason: str) -> Problem:
    """Return the problem of a failure for which a retry is no use."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, reason, "The report failed; the log says why.")
