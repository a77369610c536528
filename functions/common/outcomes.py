"""Store what becomes of a run that somebody follows, as an object of a bucket.

Whoever waits for an answer loses it with the connection, which a NAT may cut after 350 silent
seconds. So the deployer invokes asynchronously, with an id of its choice under the key `follow` of
the event, and reads `runs/<function>/<id>.json`: first that the run is under way, then its answer
or its error.
"""

import os
import re
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import boto3
import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.common.errors import SettingsError
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.text import printable

FOLLOW = "follow"
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")

Handler = Callable[..., dict[str, Any]]


def stores_outcomes(use: str, setting: str) -> Callable[[Handler], Handler]:
    """Decorate the handler of a function: what becomes of an event with an id is stored.

    `setting` is the variable that names the bucket. The handler gets the event without the id. An
    error is stored by its message, and raised.
    """

    def decorated(handler: Handler) -> Handler:
        @wraps(handler)
        def handle(event: Any, context: LambdaContext) -> dict[str, Any]:
            if not isinstance(event, dict) or FOLLOW not in event:
                return handler(event, context)
            asked = {name: value for name, value in event.items() if name != FOLLOW}
            outcome = _Outcome(use, setting, event[FOLLOW], asked, context.aws_request_id)
            outcome.store(state="running")
            try:
                answer = handler(asked, context)
            except BaseException as error:
                outcome.store(state="failed", error=printable(str(error)) or type(error).__name__)
                raise
            outcome.store(state="done", answer=answer)
            return answer

        return handle

    return decorated


class _Outcome:
    """The object about one run."""

    def __init__(
        self, use: str, setting: str, run: object, event: dict[str, Any], request: str
    ) -> None:
        if not isinstance(run, str) or not _ID.fullmatch(run):
            raise SettingsError(f"the event's {FOLLOW} is no id: letters, digits and - alone")
        client = boto3.client("s3", config=CLIENT_CONFIG)
        self._bucket = Bucket(client, required(os.environ, setting))
        self._key = f"runs/{use}/{run}.json"
        self._what = {"event": event, "request": request, "started_at": time.time()}

    def store(self, **state: Any) -> None:
        self._bucket.put(self._key, msgspec.json.encode({**self._what, **state}))
