"""The door of the local AWS: who has the token of this start gets in, and nobody else."""

import asyncio
import hashlib
import hmac
import tempfile
import zipfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from local.aws_program import READY_PATH, Guard, UnpackedOnce

TOKEN = "0123456789abcdef" * 3
HOST = (b"host", b"127.0.0.1:4566")
HOSTS = frozenset({b"127.0.0.1:4566", b"localhost:4566"})
BOTO3 = b"Boto3/1.43 md/Botocore#1.43 ua/2.1 os/linux lang/python#3.13 md/x app/"
AGENT = (b"user-agent", BOTO3 + TOKEN.encode())


class Aws:
    """The application behind the guard: it records the requests that reach it."""

    def __init__(self) -> None:
        self.seen: list[MutableMapping[str, Any]] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        self.seen.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"all secrets"})


def ask(
    aws: Aws, *headers: tuple[bytes, bytes], path: str = "/", kind: str = "http", token: str = TOKEN
) -> list[MutableMapping[str, Any]]:
    """Return what the guard answers to a request with these headers."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(event: MutableMapping[str, Any]) -> None:
        sent.append(event)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("the body of a refused request is not read")

    scope = {"type": kind, "path": path, "headers": list(headers)}
    asyncio.run(Guard(aws, token, HOSTS)(scope, receive, send))
    return sent


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_who_has_the_token_gets_in(host: bytes) -> None:
    """Requests with the token reach AWS, under both names of this machine."""
    aws = Aws()

    assert ask(aws, (b"host", host), AGENT)[0]["status"] == 200
    assert len(aws.seen) == 1


def test_the_token_stays_at_the_door() -> None:
    """Requests reach AWS, and so logs and functions, without the token and otherwise whole."""
    aws = Aws()
    ask(aws, HOST, AGENT, (b"authorization", b"AWS4-HMAC-SHA256 ..."))

    assert aws.seen[0]["headers"] == [
        HOST,
        (b"user-agent", BOTO3.removesuffix(b" app/")),
        (b"authorization", b"AWS4-HMAC-SHA256 ..."),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        [HOST],
        [HOST, (b"user-agent", b"")],
        [HOST, (b"user-agent", b"app/")],
        [HOST, (b"user-agent", b"app/" + TOKEN[:-1].encode())],
        [HOST, (b"user-agent", b"app/" + TOKEN.encode() + b"0")],
        [HOST, (b"user-agent", b"app/" + TOKEN.upper().encode())],
        [HOST, (b"user-agent", TOKEN.encode())],
        [HOST, (b"user-agent", b"app/\xff\xfe")],
        [HOST, (b"authorization", TOKEN.encode()), (b"user-agent", b"Mozilla/5.0")],
        [AGENT],
        [AGENT, (b"host", b"evil.example:4566")],
        [AGENT, (b"host", b"127.0.0.1")],
        [AGENT, (b"host", b"127.0.0.1:80")],
        [AGENT, (b"host", b"127.0.0.1:4566.evil.example")],
        [AGENT, (b"host", b"bucket.localhost:4566")],
        [AGENT, HOST, (b"host", b"evil.example")],
        [AGENT, HOST, (b"origin", b"https://evil.example")],
        [AGENT, HOST, (b"origin", b"null")],
        [AGENT, HOST, (b"Origin", b"http://127.0.0.1:4566")],
    ],
)
@pytest.mark.parametrize("path", ["/", READY_PATH + "nonce"])
def test_everybody_else_is_refused(headers: list[tuple[bytes, bytes]], path: str) -> None:
    """Without token, with a wrong one, by another name, from a web page: 403, and no CORS."""
    aws = Aws()

    start, body = ask(aws, *headers, path=path)

    assert (start["status"], aws.seen) == (403, [])
    assert [name for name, _ in start["headers"]] == [b"content-type", b"content-length"]
    assert b"<Code>AccessDenied</Code>" in body["body"]
    assert TOKEN.encode() not in body["body"]


def test_an_empty_token_lets_nobody_in() -> None:
    """A start without a token is closed to all, not open to all."""
    aws = Aws()

    assert ask(aws, HOST, (b"user-agent", b"curl"), token="")[0]["status"] == 403
    assert ask(aws, HOST, (b"user-agent", b"app/"), token="")[0]["status"] == 403


def test_a_web_socket_needs_the_token_too() -> None:
    """A page cannot open a web socket, which browsers allow to any host."""
    aws = Aws()

    assert ask(aws, HOST, kind="websocket") == [{"type": "websocket.close", "code": 1008}]
    assert aws.seen == []


def test_readiness_is_proven() -> None:
    """The answer to a nonce is one that only a holder of the token can give."""
    expected = hmac.new(TOKEN.encode(), b"nonce", hashlib.sha256).hexdigest()

    start, body = ask(Aws(), HOST, AGENT, path=READY_PATH + "nonce")

    assert (start["status"], body["body"]) == (200, expected.encode())


def zipped(path: Path, text: str) -> Path:
    """Write a zip of one module of a package, and return its path."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("python/package/module.py", text)
    return path


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip into a new folder, and return the module in it."""
    folder.mkdir()
    with UnpackedOnce(archive) as opened:
        opened.extractall(folder)
    return folder / "python" / "package" / "module.py"


def test_a_layer_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two functions with a layer of the same contents share its files; another one has its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first, again, other = (
        zipped(tmp_path / f"{name}.zip", text)
        for name, text in (("first", "one = 1"), ("again", "one = 1"), ("other", "one = 2"))
    )

    modules = [unpack(each, tmp_path / f"for {each.stem}") for each in (first, again, other)]
    assert [module.read_text() for module in modules] == ["one = 1", "one = 1", "one = 2"]
    assert modules[0].samefile(modules[1])


def test_what_was_half_unpacked_is_unpacked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that was full for a moment costs the function that started then, and no other."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    archive = zipped(tmp_path / "layer.zip", "one = 1")

    def full(self: zipfile.ZipFile, path: Path) -> None:
        path.mkdir(parents=True)
        raise OSError("No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(zipfile.ZipFile, "extractall", full)
        with pytest.raises(OSError, match="No space left"):
            unpack(archive, tmp_path / "refused")
    assert unpack(archive, tmp_path / "later").read_text() == "one = 1"
