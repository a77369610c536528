"""A sandbox in its own process, as a person starts it, and commands in another terminal."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import deploy
from tests.pipeline.ground import wait_until
from tests.pipeline.local_process import running

PROGRAM = Path(deploy.__file__)
UP = "Ctrl-C stops everything."
PATIENCE = 300.0


class Started:
    """A sandbox in its own process; it runs `program` in the folder above its own."""

    def __init__(
        self, directory: Path, *options: str, program: Path = PROGRAM, **variables: str
    ) -> None:
        self.directory = directory
        self.document: dict[str, Any] = {}
        self._program = program
        self.out, self.err = directory.with_suffix(".out"), directory.with_suffix(".err")
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, program, "local", "--json", "--dir", directory, *options],
                stdout=out,
                stderr=err,
                cwd=directory.parent,
                env={**os.environ, **variables},
                start_new_session=True,
            )

    def wait_until_up(self) -> None:
        """Wait for the document that it prints, and for what it says after that."""

        def is_up() -> bool:
            return UP in self.err.read_text() or self.process.poll() is not None

        wait_until(is_up, "the sandbox is up", PATIENCE)
        assert self.process.poll() is None, self.err.read_text()
        self.document = json.loads(self.out.read_text())

    def rows(self) -> dict[str, int]:
        """Return how many rows each target table had when it was up."""
        return {table["table"]: table["rows"] for table in self.document["tables"]}

    def end(self, number: signal.Signals) -> int:
        """Send a signal to the whole foreground group, as a terminal does; return the status."""
        os.killpg(self.process.pid, number)
        return self.process.wait(PATIENCE)

    def processes(self) -> list[str]:
        """Return the command lines of what still runs: in its folder, or as its local AWS."""
        return running(str(self.directory), (self.directory / "aws" / "lock").read_text())

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line in another terminal, in the folder above, with the settings it offers."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        program = f"{shlex.quote(sys.executable)} {shlex.quote(str(self._program))}"
        settings = shlex.quote(str(self.directory / "env"))
        return subprocess.run(
            ["/bin/sh", "-ec", f'. {settings}; deploy() {{ {program} "$@"; }}; {line}'],
            env={**env, "DIRECTORY": str(self.directory)},
            cwd=self.directory.parent,
            capture_output=True,
            text=True,
            check=False,
        )

    def command(self, line: str, status: int = 0) -> Any:
        """Run a command of `deploy.py` in another terminal; return its document."""
        done = self.shell(f"deploy {line} --json")
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout)


@contextmanager
def started(
    directory: Path, *options: str, program: Path = PROGRAM, **variables: str
) -> Iterator[Started]:
    """Start a sandbox and yield it when it is up; Ctrl-C ends it afterwards, if nothing has."""
    sandbox = Started(directory, *options, program=program, **variables)
    try:
        sandbox.wait_until_up()
        yield sandbox
    finally:
        if sandbox.process.poll() is None:
            sandbox.end(signal.SIGINT)
