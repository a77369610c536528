"""The AWS that runs on this machine: ministack, in its own Python environment.

It serves 127.0.0.1 only, and only clients with the token of this start (`local.aws_program`), never
runs as root, enforces IAM, and keeps its files in one directory. Nothing of the user's own AWS
configuration reaches it or the functions that it runs.
"""

import hmac
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess  # nosec B404
import time
from pathlib import Path
from typing import Self, TextIO

from deployer.errors import DeployError
from local import aws_program, processes
from local.ministack import install_ministack, reachable_python
from local.private_files import make_private_folder, open_private, write_private
from local.processes import HOST, POLL_SECONDS
from local.system_account import SystemAccount, reachable_home, server_account

REGION = "eu-west-2"
# An access key of twelve digits is the root user of the account of that number, and is not
# checked further: the token allows everything. The functions get roles.
ACCOUNT = "123456789012"
UNCHECKED = "local"
NONE = ""
START_SECONDS = 60.0
RUNS_AT_A_TIME = 16  # of all functions
S3_FOLDER = Path("data") / "s3"
TOKEN_BYTES = 24  # 48 digits: an application id has 50 characters at most
BACKLOG = 100  # as hypercorn's own


class EmulatorError(DeployError):
    """The local AWS cannot run: the message says why, and the next step."""


class Emulator:
    """An AWS account on this machine, whose state is kept across starts."""

    def __init__(
        self, directory: Path, port: int | None = None, *, sparingly: bool = False
    ) -> None:
        """Take the directory for state, logs and temporary files, and a port (None: a free one).

        Functions that run `sparingly` run one at a time each, and get whole batches of messages.
        As root, state and temporary files are in `home`, which is another folder where the
        account that runs functions cannot reach `directory`.
        """
        self.directory = directory.resolve()
        self.home = self.directory
        self.port = port or 0
        self._sparingly = sparingly
        self.token = NONE
        self.log = self.directory / "ministack.log"
        self._server: processes.Server | None = None

    @property
    def endpoint(self) -> str:
        """The URL for `AWS_ENDPOINT_URL`, known once it has started."""
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which boto3 acts as administrator of this account alone.

        They also override what a shell may have set for a real account.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            aws_program.TOKEN: self.token,
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

    def bucket_folder(self, bucket: str) -> Path:
        """Return the folder that holds a bucket's objects, under their keys."""
        return self.home / S3_FOLDER / ACCOUNT / bucket

    def start(self) -> None:
        """Start, and return when requests are answered.

        Each start has a new token. Raises EmulatorError when the port is taken, the directory is
        in use, or ministack ends; InstallError when it cannot be installed; AccountError when no
        account may run it.
        """
        python, account = install_ministack(), server_account()
        make_private_folder(self.directory, account.passage)
        # Listening now means that no other process can take the port before ministack has started.
        with processes.bind(self.port) as listener, self._claim_folder() as lock:
            listener.listen(BACKLOG)
            self.port = processes.port_of(listener)
            self.token = secrets.token_hex(TOKEN_BYTES)
            self.home = reachable_home(self.directory, account)
            self._prepare(account)
            self._server = self._spawn(
                reachable_python(python, self.home, account), account, listener, lock
            )
            lock.write(str(self._server.pid))
        try:
            self._wait_until_ready(time.monotonic() + START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let it write its state, then end it and the functions that still run."""
        if self._server is not None:
            self._server.stop()
            self._server = None
            self._clean()

    def kill(self) -> None:
        """End it and the functions that run, at once: what it has not written is lost."""
        if self._server is not None:
            self._server.kill()
            self._server = None
            self._clean()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop, whatever happened."""
        self.stop()

    def _prepare(self, account: SystemAccount) -> None:
        write_private(self.directory / "aws-config", "[default]\n")
        self._clean()
        for name in ("data", "tmp"):
            account.make_folder(self.home / name)

    def _spawn(
        self, python: Path, account: SystemAccount, listener: socket.socket, lock: TextIO
    ) -> processes.Server:
        self.log.unlink(missing_ok=True)
        how = [aws_program.SPARINGLY] if self._sparingly else []
        # Its account need not be able to read our files: it has the program as its input.
        with open_private(self.log) as log, Path(aws_program.__file__).open("rb") as program:
            return processes.Server(
                [str(python), "-I", "-", str(listener.fileno()), *how],
                signal.SIGTERM,
                cwd=self.home,
                env=self._settings(python),
                stdin=program,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(listener.fileno(), lock.fileno()),  # the lock lasts as long as it
                umask=0o077,
                **account.identity,
            )

    def _settings(self, python: Path) -> dict[str, str]:
        """The whole environment of ministack; the functions inherit it."""
        folder = self.home
        return {
            "PATH": os.defpath,
            # For a copied Python whose program says where its library was.
            "LD_LIBRARY_PATH": str(python.parent.parent / "lib"),
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",  # as on Lambda
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "AUTH": "true",
            aws_program.TOKEN: self.token,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            # Each run at a time is a process with an unpacked copy of the function: of a thousand
            # files at once, each of which wakes one, most are throttled, as they are on AWS.
            "LAMBDA_ACCOUNT_CONCURRENCY": str(RUNS_AT_A_TIME),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(folder / "data" / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / S3_FOLDER),
            # Listeners that are not needed, one of them on all addresses; and its start would
            # remove other containers from a Docker that it can reach.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{folder}/no-docker",
        }

    def _claim_folder(self) -> TextIO:
        path = self.directory / "lock"
        if (lock := processes.lock(path, processes.FREE_SECONDS)) is None:
            raise EmulatorError(
                f"Another local AWS is running in {self.directory}. Stop it with Ctrl-C where it "
                f"was started (or `kill {path.read_text()}`), or use another directory (--dir)."
            )
        return lock

    def _clean(self) -> None:
        """Remove the unpacked functions, about 250 MB for each."""
        shutil.rmtree(self.home / "tmp", ignore_errors=True)

    def _wait_until_ready(self, deadline: float) -> None:
        while not self._answers():
            ended = self._server is None or not self._server.is_running
            if ended or time.monotonic() > deadline:
                state = "ended" if ended else f"did not answer within {START_SECONDS:.0f} s"
                raise EmulatorError(f"The local AWS {state}. Its log says why: {self.log}")
            time.sleep(POLL_SECONDS)

    def _answers(self) -> bool:
        """Return whether the server on the port is ready, and proves that it has the token."""
        nonce = secrets.token_hex(TOKEN_BYTES)
        expected = aws_program.proof(self.token, nonce)
        connection = http.client.HTTPConnection(HOST, self.port, timeout=1)
        try:
            agent = {"User-Agent": f"app/{self.token}"}
            connection.request("GET", f"{aws_program.READY_PATH}{nonce}", headers=agent)
            answer = connection.getresponse().read(len(expected) + 1)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return hmac.compare_digest(answer, expected.encode())
