"""Shared by the tests of `deploy.py local`: a folder for it, and a look at what runs."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import deploy
from local.emulator import Emulator
from tests.memory import fast_folder


def running(text: str = "\n", pid: str = "") -> list[str]:
    """Return the processes whose command line holds a text (of one line), or that have an id."""
    ps = ["ps", "-A", "-o", "pid=", "-o", "stat=", "-o", "args="]
    shown = subprocess.run(ps, capture_output=True, text=True, check=True).stdout
    processes = [line.split(None, 2) for line in shown.splitlines()]
    return [
        args
        for number, state, args in processes
        if (text in args or number == pid) and not state.startswith("Z")
    ]


@contextmanager
def somebodys_folder() -> Iterator[Path]:
    """A folder whose name has a space and an apostrophe, and which PostgreSQL may enter."""
    with tempfile.TemporaryDirectory(prefix="somebody's things ", dir=fast_folder()) as name:
        Path(name).chmod(0o711)
        yield Path(name).resolve()


@contextmanager
def throwaway_aws(*, sparingly: bool = False) -> Iterator[Emulator]:
    """Run a local AWS that nobody starts again: to write its state takes up to half a minute."""
    with somebodys_folder() as folder:
        aws = Emulator(folder / "aws", sparingly=sparingly)
        aws.start()
        try:
            yield aws
        finally:
            aws.kill()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return an empty folder, which is gone afterwards."""
    with somebodys_folder() as folder:
        yield folder


def local(*options: object) -> int:
    """Run `deploy.py local` in this process; return its exit status."""
    return deploy.main(["local", *map(str, options)])
