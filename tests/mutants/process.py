"""Tests in a process that is forked where their libraries are imported already, and bounded."""

import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import IntEnum
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event

import pytest
from hypothesis import settings

from tests.mutants.measuring import Measurement

# To import them takes a second, and most tests of a mutant take less.
_LIBRARIES = [
    *("aws_lambda_powertools", "boto3", "coverage", "hypothesis", "moto", "msgspec", "pandas"),
    *("pg8000.native", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "pymysql", "pytest"),
    __name__,
]
_BYTES = 4 << 30  # a defect in a size could take all of the machine's
_SECONDS_TO_STOP = 20  # for fixtures to stop their servers
_COMPUTED_AT_LEAST = 0.05  # seconds, by whatever looks now and then whether something is there
_PROFILE = "mutants"

_context = get_context("forkserver")
_context.set_forkserver_preload(_LIBRARIES)


class Exit(IntEnum):
    """How tests end, beside what pytest has."""

    OUT_OF_TIME = 100


def measured(
    tree: Path, arguments: Sequence[str], modules: Collection[str]
) -> AbstractContextManager[ForkServerProcess]:
    """Start pytest in a tree, shown, with a Measurement of modules; at last stop it."""
    return _started(_measured, tree, arguments, modules)


def bounded(
    tree: Path, arguments: Sequence[str], cpu_seconds: int, idle_seconds: int
) -> AbstractContextManager[ForkServerProcess]:
    """Start pytest in a tree, until it has computed, or computed nothing, for a time; stop it.

    Its exit code is that of the process, or one of Exit.
    """
    return _started(_bounded, tree, arguments, cpu_seconds, idle_seconds)


@contextmanager
def _started(target: Callable[..., None], *args: object) -> Iterator[ForkServerProcess]:
    """Start a process, and at last stop it, with all that it started."""
    process = _context.Process(target=target, args=args)
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


def _measured(tree: Path, arguments: Sequence[str], modules: Collection[str]) -> None:
    _enter(tree)
    _run(arguments, Measurement(modules))


def _bounded(tree: Path, arguments: Sequence[str], cpu_seconds: int, idle_seconds: int) -> None:
    _hide()
    _bound(cpu_seconds)
    _bound_idling(idle_seconds)
    _enter(tree)
    _run(arguments)


def _run(arguments: Sequence[str], *plugins: object) -> None:
    os.setsid()  # an interrupt in the terminal is passed on once, by our parent
    gc.freeze()  # to look through all libraries for garbage takes a third of the time
    settings.register_profile(_PROFILE, deadline=None, derandomize=True, database=None)
    try:
        code = pytest.main([*arguments, f"--hypothesis-profile={_PROFILE}"], plugins)
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


def _bound_idling(seconds: int) -> None:
    """Limit how long nothing is computed: a defect may leave threads that wait for each other."""
    used = time.process_time()

    def look(number: int, frame: object) -> None:
        nonlocal used
        before, used = used, time.process_time()
        if used - before < _COMPUTED_AT_LEAST:
            _interrupt(number, frame)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)


def _interrupt(number: int, frame: object) -> None:
    _out_of_time.set()
    raise KeyboardInterrupt
