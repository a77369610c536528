"""Servers as child processes, the files that lock their folders, and their ports on loopback.

A server ends with us, even when we are killed, and a folder belongs to one server at a time. The
lock is `flock`'s, on a file that the server inherits: it also shows whether the server of a process
that was killed is still there, and no process id can go stale. (`filelock` does not let a child
inherit its lock, and empties the file in which the owner may be named.)
"""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess  # nosec B404
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from deployer.errors import DeployError
from local.private_files import open_private

HOST = "127.0.0.1"
STOP_SECONDS = 30.0
# A server whose starter was killed needs a moment to shut down before its folder is free again.
FREE_SECONDS = 10.0
POLL_SECONDS = 0.05

# Sees the end of our process, however it comes, as the end of its input, and then asks the server
# to stop: more than once, because one that is still starting may not listen. At last it ends what
# is left of the server's process group.
_STOP_WHEN_PARENT_IS_GONE = """
read -r _
n=0
while [ $n -lt 300 ] && kill -s "$2" "$1" 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
kill -s KILL -- "-$1" 2>/dev/null
"""


class PortError(DeployError):
    """A port is taken: the message says which, and what to do."""


class Server:
    """A running program, with whatever it starts; it ends with us, however we end.

    `stop_signal` asks it to end in order; Ctrl-C in our terminal does not reach it. `options` are
    those of `subprocess.Popen`.
    """

    def __init__(self, command: Sequence[str], stop_signal: signal.Signals, **options: Any) -> None:
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] = subprocess.Popen(  # nosec B603
            command, start_new_session=True, **options
        )
        name = stop_signal.name.removeprefix("SIG")
        self._watcher = subprocess.Popen(  # nosec B603
            ["/bin/sh", "-c", _STOP_WHEN_PARENT_IS_GONE, "sh", str(self.pid), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The id of its first process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its first process is running."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end, kill it if it does not, and wait until it is gone."""
        self._process.send_signal(self._stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill it with all processes of its group, and wait until it is gone."""
        # macOS refuses a group in which only zombies are left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._watcher.kill()
        self._watcher.communicate()


def lock(path: Path, seconds: float) -> TextIO | None:
    """Return the file at `path`, open and locked; None if another still has it after `seconds`.

    It stays locked for as long as a process has it open: ours, and those that inherit it.
    """
    file = open_private(path)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.close()
                return None
            time.sleep(POLL_SECONDS)
        else:
            file.truncate(0)
            return file


def bind(port: int, option: str = "") -> socket.socket:
    """Return a socket that is bound to a port of loopback, or for 0 to any that is free.

    `option` is what the port was given as. Raises PortError when it is taken.
    """
    bound = socket.socket()
    try:
        # As servers do; without it a port that was in use a moment ago counts as taken.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        hint = f" ({option}; without {option} it is any free one)" if option else ""
        raise PortError(
            f"port {port} is taken ({error.strerror}): stop what uses it, or choose another{hint}"
        ) from error
    return bound


def port_of(bound: socket.socket) -> int:
    """Return the port that a socket is bound to."""
    port: int = bound.getsockname()[1]
    return port
