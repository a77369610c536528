"""Tests in a process that is forked where their libraries are imported already, and bounded."""

import gc
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event

import pytest
from hypothesis import settings

# To import them takes a second, and most tests of a mutant take less.
_LIBRARIES = [
    *("aws_lambda_powertools", "boto3", "coverage", "hypothesis", "moto", "msgspec", "pandas"),
    *("pg8000.native", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "pymysql", "pytest"),
    __name__,
]
_BYTES = 4 << 30  # a defect in a size could take all of the machine's
_SECONDS_TO_STOP = 20  # for fixtures to stop their servers
_PROFILE = "mutants"

_context = get_context("forkserver")
_context.set_forkserver_preload(_LIBRARIES)


class Exit(IntEnum):
    """How tests end, beside what pytest has."""

    OUT_OF_TIME = 100


@contextmanager
def started(
    tree: Path, arguments: Sequence[str], cpu_seconds: int | None = None
) -> Iterator[ForkServerProcess]:
    """Start pytest in a tree, and at last stop it, with all that it started.

    Its exit code is that of the process, or one of Exit. Without a limit it is shown.
    """
    process = _context.Process(target=_run, args=(tree, arguments, cpu_seconds))
    process.start()
    assert process.pid is not None
    try:
        yield process
    finally:
        if process.is_alive():
            os.kill(process.pid, signal.SIGINT)
            process.join(_SECONDS_TO_STOP)
        if process.is_alive():
            process.kill()
        process.join()


def _run(tree: Path, arguments: Sequence[str], cpu_seconds: int | None) -> None:
    os.setsid()  # an interrupt in the terminal is passed on once, by our parent
    gc.freeze()  # to look through all libraries for garbage takes a third of the time
    if cpu_seconds is not None:
        _hide()
        _bound(cpu_seconds)
    _enter(tree)
    settings.register_profile(_PROFILE, deadline=None, derandomize=True, database=None)
    try:
        code = pytest.main([*arguments, f"--hypothesis-profile={_PROFILE}"])
    except KeyboardInterrupt:  # while pytest reads a conftest.py
        code = pytest.ExitCode.INTERRUPTED
    sys.stdout.flush()
    os._exit(Exit.OUT_OF_TIME if _out_of_time.is_set() else code)


def _hide() -> None:
    """Leave no trace: neither output, nor compiled code.

    That is found by second and size, which two mutants may share.
    """
    sys.dont_write_bytecode = True
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _enter(tree: Path) -> None:
    """Import from a tree what is imported from now on."""
    original = str(Path.cwd())
    os.chdir(tree)
    sys.path[:] = [str(tree), *(each for each in sys.path if each not in {"", original})]
    for name in [each for each in sys.modules if each.partition(".")[0] == "tests"]:
        del sys.modules[name]


_out_of_time = Event()


def _bound(cpu_seconds: int) -> None:
    """Limit memory, and computing: a defect may leave a loop without an end."""
    resource.setrlimit(resource.RLIMIT_DATA, (_BYTES, _BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + _SECONDS_TO_STOP))
    signal.signal(signal.SIGXCPU, _interrupt)


def _interrupt(number: int, frame: object) -> None:
    _out_of_time.set()
    raise KeyboardInterrupt
