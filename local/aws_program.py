"""The program of the local AWS: ministack, behind a check that every request has to pass.

Who can send requests to ministack can run code as its user, and it answers every process of this
machine and every web page that is open in its browser. A request is passed on only if it has

* the token of this start, as the application id in its `User-Agent`: SDKs put it there by
  themselves when AWS_SDK_UA_APP_ID is set (https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html);
* exactly one `Host`, which is ours: a page that gets here under its own name (DNS rebinding) sends
  that name;
* no `Origin`: a browser sends one with everything that can change something.

It unpacks a layer once for all processes of functions, and in a sandbox, on a machine with other
work, it also runs functions sparingly. Ministack has no setting for either, so what it does that
with is replaced; its version is pinned.

The Python of ministack's own environment runs this file, so it imports nothing else of ours.
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Function = Mapping[str, Any]

TOKEN = "AWS_SDK_UA_APP_ID"  # noqa: S105  # nosec B105  the name of the variable
READY_PATH = "/_guard/ready/"
POLICY_VIOLATION = 1008  # https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
# The form in which SDKs of every protocol find code and message.
REFUSAL = (
    b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>This local AWS accepts requests only "
    b"with its token: set the variables of its env file first.</Message></Error>"
    b"</ErrorResponse>"
)
SPARINGLY = "sparingly"
MOST_BYTES = (
    4 << 20
)  # of the messages of a batch; Lambda's limit is 6 MB with all that is said of them
_APPLICATION_ID = re.compile(rb" ?(?<!\S)app/(\S+)")


def proof(token: str, nonce: str) -> str:
    """Return what only a holder of `token` can answer to `nonce`."""
    return hmac.new(token.encode(), nonce.encode(), "sha256").hexdigest()


class Guard:
    """An ASGI application that passes on what passes the check, and answers 403 to the rest."""

    def __init__(self, app: App, token: str, hosts: frozenset[bytes]) -> None:
        """Guard `app`; `hosts` are the values that `Host` may have."""
        self._app = app
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection; the lifespan events of the server pass."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif not self._admits(scope["headers"]):
            await _refuse(scope["type"], send)
        elif scope["path"].startswith(READY_PATH):
            nonce = scope["path"].removeprefix(READY_PATH)
            await _answer(send, 200, b"text/plain", proof(self._token, nonce).encode())
        else:
            # What ministack logs, records or hands to a function holds no token.
            await self._app({**scope, "headers": _without_token(scope["headers"])}, receive, send)

    def _admits(self, headers: Headers) -> bool:
        hosts = [value for name, value in headers if name.lower() == b"host"]
        origins = [value for name, value in headers if name.lower() == b"origin"]
        agents = [value for name, value in headers if name.lower() == b"user-agent"]
        given = _APPLICATION_ID.search(b" ".join(agents))
        authentic = given is not None and hmac.compare_digest(given[1], self._token.encode())
        return authentic and not origins and len(hosts) == 1 and hosts[0] in self._hosts


def _without_token(headers: Headers) -> Headers:
    return [
        (name, _APPLICATION_ID.sub(b"", value) if name.lower() == b"user-agent" else value)
        for name, value in headers
    ]


async def _refuse(kind: str, send: Send) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
    else:
        await _answer(send, 403, b"text/xml", REFUSAL)


async def _answer(send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class UnpackedOnce(zipfile.ZipFile):
    """A zip whose files are unpacked once, for all folders that they are asked for.

    Ministack unpacks code and layers for each process that runs a function: the 170 MB of Arrow and
    pandas take a second of a core. As on AWS, nobody may write there.
    """

    _unpacking = Lock()

    def extractall(self, path: Any = None, *_: Any) -> None:
        """Put links to the unpacked files into the folder `path`."""
        contents = repr([(each.filename, each.CRC) for each in self.infolist()])
        name = hashlib.sha256(contents.encode()).hexdigest()
        unpacked = Path(tempfile.gettempdir(), "unpacked", name)
        with self._unpacking:
            if not unpacked.exists():
                draft = unpacked.with_suffix(".draft")
                shutil.rmtree(draft, ignore_errors=True)
                super().extractall(draft)
                draft.rename(unpacked)
        for each in unpacked.iterdir():
            Path(path, each.name).symlink_to(each)


def unpack_once() -> None:
    """Have ministack unpack what several processes of functions need once."""
    from ministack.core import lambda_runtime  # noqa: PLC0415

    lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": UnpackedOnce})


def one_run_at_a_time(
    execute: Callable[..., Any], current: Callable[[str], Function | None]
) -> Callable[..., Any]:
    """Return `execute`, which runs a function for an event, with a run at a time of each function.

    Others wait. Ministack would start a process for each, at two seconds of a core and 250 MB; on
    AWS most functions have one run at a time reserved, and Lambda holds the events back. One that
    waited runs the `current` code of the function by that name, not that of when its event came.
    """
    locks: dict[str, Lock] = {}

    def wait(function: Function, *invocation: Any) -> Any:
        name = function["config"]["FunctionName"]
        with locks.setdefault(name, Lock()):
            return execute(current(name) or function, *invocation)

    return wait


def whole_batches(
    receive: Callable[[str, int], list[Any]],
    queue: Callable[[str], Mapping[str, Any]],
    mappings: Callable[[], Iterable[Mapping[str, Any]]],
) -> Callable[[str, int], list[Any]]:
    """Return `receive`, by which a function gets messages of a queue, with batches as on AWS.

    Lambda waits for the window of the event source mapping or until there is a whole batch.
    Ministack hands over what is there, ten at most. `queue` has the messages of a URL.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html#invocation-eventsourcemapping-batching
    """

    def receive_batch(url: str, most: int) -> list[Any]:
        there, now = queue(url), time.time()
        visible = (each for each in list(there["messages"]) if each.get("visible_at", 0) <= now)
        sent = [each.get("sent_at", 0) for each in visible]
        arn = there["attributes"]["QueueArn"]
        windows = (each for each in mappings() if each["EventSourceArn"] == arn)
        window = max((each["MaximumBatchingWindowInSeconds"] for each in windows), default=0)
        if not sent or (len(sent) < most and now < min(sent) + window):
            return []
        messages: list[Any] = []
        size = 0
        while len(messages) < most and size < MOST_BYTES:
            if not (more := receive(url, most - len(messages))):
                break
            messages += more
            size += sum(len(each["body"]) for each in more)
        return messages

    return receive_batch


def run_sparingly() -> None:
    """Have ministack run functions one at a time each, and hand them whole batches."""
    from ministack.services import lambda_svc, sqs  # noqa: PLC0415

    lambda_svc._execute_function_warm = one_run_at_a_time(
        lambda_svc._execute_function_warm, lambda_svc._functions.get
    )
    sqs._receive_messages_for_esm = whole_batches(
        sqs._receive_messages_for_esm,
        sqs._get_q,
        lambda: (mapping for *_, mapping in lambda_svc._iter_all_esms()),
    )


def main(listener: int, *, sparingly: bool) -> None:
    """Serve ministack on the listening socket `listener`, a file descriptor, until SIGTERM."""
    from hypercorn.asyncio import serve  # noqa: PLC0415  ministack's environment alone has them
    from hypercorn.config import Config  # noqa: PLC0415
    from ministack.app import app  # noqa: PLC0415

    unpack_once()
    if sparingly:
        run_sparingly()
    # As ministack's own start does: each connection and each function needs some descriptors.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    config = Config()
    config.bind = [f"fd://{listener}"]
    config.keep_alive_timeout = 75
    port = os.environ["GATEWAY_PORT"]
    hosts = frozenset(f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost"))
    asyncio.run(serve(Guard(app, os.environ[TOKEN], hosts), config))


if __name__ == "__main__":
    main(int(sys.argv[1]), sparingly=SPARINGLY in sys.argv)
