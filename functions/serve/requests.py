"""Requests and answers in the format of API Gateway.

Payload format 2.0 of HTTP APIs:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from functions.serve.problems import Problem, malformed_query

MOST_PARAMETERS = 50
QUERY_CHARACTERS = 8_192

# No cache in between stores an answer, and clients revalidate theirs: a report about days changes
# at midnight.
HEADERS = {
    "cache-control": "private, no-cache",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class Request:
    """A request; header names are in lower case. `caller` is the ARN authorized by IAM, if any."""

    id: str
    method: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    caller: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Request":
        """Return the request of an event; raises KeyError for other events than of an HTTP API."""
        context = event["requestContext"]
        signed = (context.get("authorizer") or {}).get("iam") or {}
        return cls(
            id=str(context.get("requestId", "")),
            method=context["http"]["method"],
            path=event["rawPath"],
            query=event.get("rawQueryString") or "",
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            caller=str(signed.get("userArn") or ""),
        )

    def parameters(self) -> list[tuple[str, str]]:
        """Return the parameters in their order; raise Problem for a malformed query."""
        if len(self.query) > QUERY_CHARACTERS:
            raise malformed_query()
        try:
            return parse_qsl(
                self.query,
                keep_blank_values=True,
                strict_parsing=bool(self.query),
                errors="strict",
                max_num_fields=MOST_PARAMETERS,
            )
        except ValueError:  # also UnicodeDecodeError, which quotes the text
            raise malformed_query() from None


@dataclass(frozen=True)
class Answer:
    """An answer with status 200: a JSON document and its digest."""

    body: str

    @classmethod
    def of(cls, document: object) -> "Answer":
        """Return the answer with a document."""
        return cls(json.dumps(document, ensure_ascii=False, separators=(",", ":")))

    @cached_property
    def etag(self) -> str:
        """The digest of the body, in the format of ETag."""
        return f'"{hashlib.sha256(self.body.encode()).hexdigest()[:32]}"'

    def response(self, request: Request) -> dict[str, Any]:
        """Return the answer for API Gateway; 304 without a body for a client that has it."""
        headers = {**HEADERS, "etag": self.etag}
        if _matches(request.headers.get("if-none-match", ""), self.etag):
            return _response(HTTPStatus.NOT_MODIFIED, headers, "")
        return _response(HTTPStatus.OK, headers | {"content-type": "application/json"}, self.body)


def response_of(problem: Problem) -> dict[str, Any]:
    """Return a problem as an answer for API Gateway."""
    headers = {
        **HEADERS,
        "cache-control": "no-store",
        "content-type": "application/problem+json",
        **problem.headers,
    }
    return _response(problem.status, headers, json.dumps(problem.document(), ensure_ascii=False))


def _matches(wanted: str, etag: str) -> bool:
    """Return whether If-None-Match names a digest: https://www.rfc-editor.org/rfc/rfc9110#name-etag."""
    named = [each.strip().removeprefix("W/") for each in wanted.split(",")]
    return etag in named or "*" in named


def _response(status: HTTPStatus, headers: Mapping[str, str], body: str) -> dict[str, Any]:
    return {
        "statusCode": status.value,
        "headers": dict(headers),
        "body": body,
        "isBase64Encoded": False,
    }
