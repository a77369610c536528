"""The AWS that runs on this machine: ministack, in a Python environment of its own.

It serves 127.0.0.1 only, enforces IAM, and keeps all that it writes in one directory. Nothing of
the user's own AWS configuration reaches it or the functions that it runs.
"""

import contextlib
import fcntl
import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess  # nosec B404
import sys
import tempfile
import time
import venv
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from deployer.errors import DeployError
from deployer.installer import install

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
REGION = "eu-west-2"
# An access key of twelve digits is the root user of the account of that number, and is not
# checked further: whoever reaches the port may do everything. The functions get roles.
ACCOUNT = "123456789012"
UNCHECKED = "local"
NONE = ""
START_SECONDS = 60.0
STOP_SECONDS = 30.0  # to write the state; the layers alone are 100 MB of it
# One whose starter was killed needs a moment to write its state before its directory is free again.
FREE_SECONDS = 5.0
POLL_SECONDS = 0.05

# Sees the end of our process, however it comes, as the end of its input. Then it does what `stop`
# would have done: let the state be written, then end the functions that still run.
_STOP_WHEN_PARENT_IS_GONE = """
read -r _
kill -s TERM "$1" 2>/dev/null
n=0
while [ $n -lt 300 ] && kill -s 0 "$1" 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
kill -s KILL -- "-$1" 2>/dev/null
"""


class EmulatorError(DeployError):
    """The local AWS cannot run: follow the message, then start again."""


class Emulator:
    """An AWS account on this machine, whose state outlasts a clean stop."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        """Take the directory for state, logs and temporary files, and a port (None: a free one)."""
        self.directory = directory.resolve()
        self.port = port or 0
        self.log = self.directory / "ministack.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """The URL for `AWS_ENDPOINT_URL`, known once it has started."""
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables under which boto3 acts as the account's administrator, and nowhere else.

        They also mask what a shell may have set for a real account.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": UNCHECKED,
            "AWS_SESSION_TOKEN": NONE,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_PROFILE": "default",
            "AWS_CONFIG_FILE": str(self.directory / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": HOST,
            "no_proxy": HOST,  # preferred where both are set
        }

    def start(self) -> None:
        """Start, and return when requests are answered.

        Raises EmulatorError when the port is taken, the directory is in use, or ministack ends;
        InstallError when it cannot be installed.
        """
        python = install_ministack()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # the state holds secrets
        (self.directory / "aws-config").write_text("[default]\n")
        self.port = _free_port(self.port)
        with (self.directory / "lock").open("a+") as lock:
            self._claim(lock)
            self._clean()
            self._process = self._spawn(python, lock.fileno())
            self._watcher = self._watch(self._process.pid)
            lock.truncate(0)
            lock.write(str(self._process.pid))
        try:
            self._wait_until_ready(time.monotonic() + START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let it write its state, then end it and all functions that it still runs."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        # macOS refuses a group in which only zombies are left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None
        self._clean()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop, whatever happened."""
        self.stop()

    def _spawn(self, python: Path, lock: int) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(  # nosec B603
                [str(python), "-I", "-m", "ministack"],
                cwd=self.directory,
                env=self._settings(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us, who stop it in order
                pass_fds=(lock,),  # the lock lasts as long as the process
            )

    def _watch(self, pid: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # nosec B603
            ["/bin/sh", "-c", _STOP_WHEN_PARENT_IS_GONE, "sh", str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _settings(self) -> dict[str, str]:
        """The whole environment of ministack; the functions inherit it."""
        folder = self.directory
        return {
            "PATH": os.defpath,
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",  # as on Lambda
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / "s3"),
            # Listeners that are not wanted, one of them on all addresses; and at its start
            # ministack would remove containers of others from a Docker that it can reach.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{folder}/no-docker",
        }

    def _claim(self, lock: TextIO) -> None:
        deadline = time.monotonic() + FREE_SECONDS
        while not _locked(lock):
            if time.monotonic() > deadline:
                lock.seek(0)
                raise EmulatorError(
                    f"Another local AWS is running in {self.directory}. Stop it with Ctrl-C where "
                    f"it was started (or `kill {lock.read()}`), or use another directory (--dir)."
                )
            time.sleep(POLL_SECONDS)

    def _clean(self) -> None:
        """Remove the unpacked functions, about 250 MB for each."""
        shutil.rmtree(self.directory / "tmp", ignore_errors=True)
        (self.directory / "tmp").mkdir()

    def _wait_until_ready(self, deadline: float) -> None:
        while not _answers(self.port):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                state = "ended" if ended else f"did not answer within {START_SECONDS:.0f} s"
                raise EmulatorError(f"The local AWS {state}. Its log says why: {self.log}")
            time.sleep(POLL_SECONDS)


def install_ministack(root: Path = ROOT) -> Path:
    """Return the Python of ministack's own environment, made on first use below `.build/`.

    It has this Python's version, since that is the one packages are built for. It takes its name
    only when complete, so one that was left half-made is never used. Raises InstallError.
    """
    requirements = root / "requirements" / "local-aws.txt"
    facts = f"{sys.version} {sys.base_prefix} {requirements.read_text()}"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"local-aws-py{version}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
    home = root / ".build" / name
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
            draft = Path(scratch) / name
            venv.create(draft, symlinks=True)
            install(requirements, python=draft / "bin" / "python")
            try:
                draft.rename(home)
            except OSError:
                if not home.exists():  # else somebody has finished first, and theirs is as good
                    raise
    return home / "bin" / "python"


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port(port: int) -> int:
    """Return the port if nobody has it, or for 0 one that is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise EmulatorError(
                f"Port {port} is taken ({error.strerror}). Stop what uses it, or choose another."
            ) from error
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", "/_ministack/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
