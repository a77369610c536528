"""The local AWS is closed to other users of this machine, and to web pages open in its browser."""

import http.client
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.emulator import ACCOUNT, Emulator
from local.ministack import install_ministack, reachable_python
from local.processes import HOST
from local.system_account import SystemAccount, server_account
from tests.pipeline.local_function import BUCKET, client, function, invoke
from tests.pipeline.local_process import somebodys_folder


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with somebodys_folder() as folder:
        yield folder / "aws"


@pytest.fixture
def aws(local_aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The local AWS of the session, and a process that has its settings."""
    for name, value in local_aws.environment.items():
        monkeypatch.setenv(name, value)
    return local_aws


SIGNED = (
    f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/eu-west-2/lambda/aws4_request, "
    "SignedHeaders=host, Signature=made-up"
)


def ask(port: int, *headers: tuple[str, str], path: str = "/", method: str = "POST") -> Any:
    """Return the answer to a request with just these headers; the body asks for all secrets."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in (*headers, ("Content-Length", "2")):
        connection.putheader(name, value)
    connection.endheaders(b"{}")
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def test_a_web_page_and_another_user_are_refused(aws: Emulator) -> None:
    """Nothing that a page may send, or that lacks the token, gets as far as AWS."""
    host, agent = ("Host", f"{HOST}:{aws.port}"), ("User-Agent", f"app/{aws.token}")
    target = ("X-Amz-Target", "secretsmanager.ListSecrets")
    signed = ("Authorization", SIGNED)

    assert ask(aws.port, host, agent, target, signed).status == 200
    for headers in (
        [host],
        [host, ("Content-Type", "text/plain"), ("Origin", "https://evil.example")],
        [host, target, signed],
        [host, target, signed, ("User-Agent", "app/" + "0" * 48)],
        [host, target, signed, agent, ("Origin", "null")],
        [("Host", f"evil.example:{aws.port}"), target, signed, agent],
        [("Host", f"s3.localhost:{aws.port}"), target, signed, agent],
        [host, ("Upgrade", "websocket"), ("Connection", "Upgrade")],
    ):
        answer = ask(aws.port, *headers)
        assert answer.status == 403, headers
        assert [name for name in answer.headers if name.lower().startswith("access-")] == []
        assert b"AccessDenied" in answer.body
    for path in ("/_ministack/ready", "/_ministack/health", "/2015-03-31/functions", "/bucket/key"):
        for method in ("GET", "POST", "OPTIONS", "PUT"):
            assert ask(aws.port, host, signed, path=path, method=method).status == 403


def test_another_user_cannot_run_code(aws: Emulator) -> None:
    """Credentials that anybody knows are no way in: a function is neither created nor invoked."""
    function()
    stranger = Config(user_agent_appid="", retries={"total_max_attempts": 1})  # type: ignore[call-arg]
    theirs = boto3.session.Session().client("lambda", config=stranger)

    for attempt in (
        lambda: theirs.invoke(FunctionName="a-function", Payload="{}"),
        lambda: theirs.create_function(
            FunctionName="theirs", Role="arn:aws:iam::1:role/a", Code={"ZipFile": b"code"}
        ),
    ):
        with pytest.raises(ClientError) as error:
            attempt()
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    listed = client("lambda").list_functions()["Functions"]
    assert "theirs" not in [entry["FunctionName"] for entry in listed]


def test_functions_never_run_as_root(aws: Emulator) -> None:
    """Code in a function can read nothing that is only ours, also when root has started it."""
    function()
    seen = invoke(bucket=BUCKET, key="own/3")
    assert seen["uid"] == str(server_account().uid or os.geteuid())
    assert seen["uid"] != "0"
    if os.geteuid() == 0:
        ours = aws.directory.parent / "ours"
        ours.touch(mode=0o600)
        assert "Permission denied" in invoke(bucket=BUCKET, key="own/4", read=str(ours))[
            "errorMessage"
        ]  # fmt: skip


def test_the_token_is_of_one_start_and_written_nowhere(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start has a new token, which is in no argument of a process, no log and no state."""
    tokens = []
    for _ in range(2):
        with Emulator(directory) as emulator:
            for name, value in emulator.environment.items():
                monkeypatch.setenv(name, value)
            invoke(bucket=BUCKET, key="own/5")
            tokens.append(emulator.token)
            ps = ["ps", "-A", "-ww", "-o", "args="]
            arguments = subprocess.run(ps, capture_output=True, text=True, check=True).stdout
    written = [path.read_text(errors="replace") for path in directory.rglob("*") if path.is_file()]
    assert len({*tokens}) == 2
    assert min(len(token) for token in tokens) == 48
    assert [t for t in tokens if any(t in text for text in (arguments, *written))] == []


def test_only_its_account_can_read_its_files(directory: Path) -> None:
    """Folders and files are closed to others, whatever the umask is."""
    before = os.umask(0)
    try:
        with Emulator(directory):
            modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in directory.rglob("*")}
            modes[directory] = stat.S_IMODE(directory.stat().st_mode)
    finally:
        os.umask(before)
    # As root, others may pass through the outermost folder, because nobody has to.
    passage = server_account().passage
    open_to_others = {path for path, mode in modes.items() if mode & 0o077}
    assert open_to_others == ({directory} if passage == 0o711 else set())
    assert modes[directory] == passage
    assert directory / "data" / "state" in modes


def test_nobody_can_take_the_port_meanwhile(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From before ministack starts nobody else can listen on its port and be taken for it."""
    spawn = Emulator._spawn
    refusals = []

    def squat(self: Emulator, *arguments: Any) -> Any:
        with socket.socket() as squatter:
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use") as refused:
                squatter.bind((HOST, self.port))
            refusals.append(refused.value)
        return spawn(self, *arguments)

    monkeypatch.setattr(Emulator, "_spawn", squat)
    with Emulator(directory):
        assert len(refusals) == 1


@pytest.mark.parametrize("body", [b"ready", b"", b"0" * 64])
def test_who_cannot_prove_to_be_ours_is_not_ready(tmp_path: Path, body: bytes) -> None:
    """A server that answers "ready" to everything is not taken for the local AWS."""
    with socket.create_server((HOST, 0)) as other:
        emulator = Emulator(tmp_path, other.getsockname()[1])
        emulator.token = "1" * 48
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

        def serve() -> None:
            peer, _ = other.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer)

        server = Thread(target=serve)
        server.start()
        assert emulator._answers() is False
        server.join()


class Stranger(SystemAccount):
    """A user who can reach nothing below a folder that is called private."""

    def can_reach(self, path: Path) -> bool:
        """Return whether the path is elsewhere."""
        return "private" not in str(path)


def test_a_python_that_the_account_cannot_reach_is_copied(directory: Path) -> None:
    """Root's own Python stays private: a copy runs ministack, made once and whole."""
    python = install_ministack()
    private = directory.parent / "private" / "environment"
    private.mkdir(parents=True)
    (private / "bin").symlink_to(python.parent)
    (private / "lib").symlink_to(python.parent.parent / "lib")

    copy = reachable_python(private / "bin" / "python", directory, Stranger(None, None))

    assert copy == directory / "environment-copy" / "bin" / "python"
    assert server_account().can_reach(copy)
    shown = subprocess.run(
        [copy, "-I", "-c", "import ministack, hypercorn, sys; print(sys.prefix)"],
        env={"LD_LIBRARY_PATH": str(copy.parent.parent / "lib")},
        capture_output=True,
        text=True,
        check=True,
        **server_account().identity,
    )
    assert shown.stdout == f"{copy.parent.parent}\n"
    assert reachable_python(private / "bin" / "python", directory, Stranger(None, None)) == copy
