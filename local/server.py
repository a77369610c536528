"""What the database servers on this machine have in common, whatever their kind.

Such a server listens on 127.0.0.1 only, ends when we end (even when we are killed), and does not
wait for the disk, so a power cut may cost its data. It must never get data that exists nowhere
else, and it knows nothing of the databases inside it.
"""

import signal
import subprocess  # nosec B404
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Self, TextIO
from urllib.parse import quote

from deployer.errors import DeployError
from local import processes
from local.private_files import make_private_folder, password_of
from local.system_account import SystemAccount, reachable_home, server_account

READY_SECONDS = 60.0


class LocalServer(ABC):
    """A server whose files and passwords live in one folder, so that a second start finds them.

    `directory` holds the passwords (mode 0600), the log, and the data, or the data is in `home`, a
    folder that root had to make elsewhere (`local.system_account`). One process at a time has it.
    """

    host = processes.HOST

    product: ClassVar[str]
    """Its name in messages."""
    name: ClassVar[str]
    """The name of its log."""
    scheme: ClassVar[str]
    error: ClassVar[type[DeployError]]
    stop_signal: ClassVar[signal.Signals]
    """The signal on which it ends all sessions and shuts down in order."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        """Remember where the files are; with `port` None any free one is chosen, and kept."""
        self.directory = directory.absolute()
        self.home = self.directory
        self.port = port or 0
        self._any_port = port is None
        self._log: TextIO | None = None
        self._server: processes.Server | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the server."""
        self.stop()

    @property
    def log_path(self) -> Path:
        """The server's log since its last start."""
        return self.directory / f"{self.name}.log"

    @property
    def data(self) -> Path:
        """The folder of the databases, which the server alone may enter."""
        return self.home / "data"

    def start(self) -> None:
        """Create the data folder if there is none, start the server and wait until it answers.

        Raises PortError when the port is taken, and `error` when another process has the folder or
        the server does not come up (with the end of its log).
        """
        account = server_account()
        make_private_folder(self.directory, account.passage)
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._log = self._claim_folder()
            with processes.bind(0 if self._any_port else self.port) as bound:
                self.port = processes.port_of(bound)
            self.home = reachable_home(self.directory, account)
            command = self._prepare(account)
            self._server = processes.Server(command, self.stop_signal, **self._options(account))
            self._wait_until_ready()
            undo.pop_all()
        self._any_port = False  # it has the same one when it starts again

    def stop(self) -> None:
        """End all sessions and the server, and wait until it is gone. Idempotent."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def kill(self) -> None:
        """End the server as a crash does; it recovers at the next `start`."""
        if self._server is not None:
            self._server.kill()
            self._server = None
        self.stop()

    def url(self, user: str, password: str, database: str) -> str:
        """Return the URL of a database on this server, percent-encoded."""
        account = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"{self.scheme}://{account}@{self.host}:{self.port}/{quote(database, safe='')}"

    def password(self, role: str) -> str:
        """Return the password of `role`, a random one that is kept."""
        return password_of(role, self.directory / "passwords.json")

    @abstractmethod
    def _prepare(self, account: SystemAccount) -> Sequence[str]:
        """Create the data folder unless it exists, and return the server's command."""

    @abstractmethod
    def _is_ours(self) -> bool:
        """Return whether our server listens on the port, without sending anything there."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether the server accepts our password; raise `error` where it refuses it."""

    def _owner(self) -> str:
        """Return which process has the folder, where the server writes it down."""
        return ""

    @property
    def _variables(self) -> Mapping[str, str]:
        """Further environment variables of the server."""
        return {}

    def _claim_folder(self) -> TextIO:
        """Return the emptied log, locked for as long as a process of the server has it open.

        All of them inherit it as their standard output. So the lock also shows whether a server of
        a process that was killed is still there, with no process id to go stale.
        """
        log = processes.lock(self.log_path, processes.FREE_SECONDS)
        if log is None:
            raise self.error(
                f"The {self.product} in {self.directory} is in use{self._owner()}: "
                "stop that one first, or choose another folder."
            )
        return log

    def _run(self, account: SystemAccount, *command: str, stdin: int = subprocess.DEVNULL) -> None:
        """Run a program that creates the server's files, to its end."""
        options = {**self._options(account), "stdin": stdin}
        # Ctrl-C in our terminal ends us, and we end the program.
        with subprocess.Popen(command, start_new_session=True, **options) as program:  # nosec B603
            status = program.wait()
        if status != 0:
            raise self.error(
                f"{self.product} cannot create its files in {self.data}: {self._tail()}"
            )

    def _options(self, account: SystemAccount) -> dict[str, Any]:
        return {
            "stdin": subprocess.DEVNULL,
            "stdout": self._log,
            "stderr": self._log,
            "cwd": "/",
            # None of the caller's variables; C also keeps the messages that we show in English.
            "env": {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", **self._variables},
            **account.identity,
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        # Nothing is sent to the port before it is known to be ours: another server might have it.
        while not (self._is_ours() and self._answers()):
            ended = self._server is None or not self._server.is_running
            if ended or time.monotonic() > deadline:
                raise self.error(
                    f"{self.product} did not come up, see {self.log_path}: {self._tail()}"
                )
            time.sleep(processes.POLL_SECONDS)

    def _login_refused(self, reason: str) -> DeployError:
        return self.error(
            f"The {self.product} in {self.directory} refuses the login ({reason}): "
            "remove that folder to start again without its data."
        )

    def _tail(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()
        return " / ".join(line.strip() for line in lines[-5:]) or "its log is empty"
