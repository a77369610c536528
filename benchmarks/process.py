"""The inside of a measured process: what it measures of itself, and how it runs one function.

`python -m benchmarks.process extract` has the environment of that Lambda function. Each line on
standard input is an event; each gets a line back with the function's result and cost. The process
lasts until its input ends: the first call is a cold one and the others are warm. With `ready` the
function's AWS clients are made before the first call, as those of the other tools are.

The other tools measure themselves with this module too, so it imports no library.
"""

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO
from uuid import uuid4

# Not in the layers of these functions; pyarrow would import it where it is installed.
ABSENT = {"extract": ("numpy", "pandas"), "load": ("numpy", "pandas")}
MILLISECONDS = 3_600_000  # no measurement is to be cut short by Lambda's limit
LIMIT = "FUNCTION_SECONDS"
"""The variable by which a function is held to a limit after all."""


def cpu_seconds() -> float:
    """Return the CPU seconds of this process since it began, and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_bytes() -> int:
    """Return the most memory that this process has had resident."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss there: that of a child begins with what its parent had when it forked.
        [line] = [row for row in status.read_text().splitlines() if row.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measured(work: Callable[[], int]) -> dict[str, Any]:
    """Run something that returns how many rows it moved; return that, seconds, CPU and peak."""
    cpu, started = cpu_seconds(), time.perf_counter()
    rows = work()
    return {
        "rows": rows,
        "seconds": time.perf_counter() - started,
        "cpu": cpu_seconds() - cpu,
        "peak": peak_bytes(),
    }


def take_over_stdout() -> TextIO:
    """Return standard output, for answers alone; what others print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def answer(to: TextIO, what: dict[str, Any]) -> None:
    """Write one line of JSON."""
    to.write(json.dumps(what) + "\n")
    to.flush()


@dataclass(frozen=True)
class Context:
    """The invocation context that Lambda passes to a function."""

    function_name: str
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-west-2:123456789012:function:benchmark"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))

    began_at: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still run."""
        if (limit := os.environ.get(LIMIT)) is None:
            return MILLISECONDS
        return round((float(limit) - (time.monotonic() - self.began_at)) * 1000)


def main(use: str, *, ready: bool) -> None:
    """Import the function, then answer events."""
    answers = take_over_stdout()
    importlib.import_module("pipelines").__path__.append(str(Path(__file__).parent / "pipelines"))
    for name in ABSENT.get(use, ()):
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails
    started = time.perf_counter()
    module = importlib.import_module(f"functions.{use}.handler")
    cold = {"import_seconds": time.perf_counter() - started, "import_cpu": cpu_seconds()}
    if use != "transform":
        _note_first_query(cold)
    if ready:
        _make_clients(use, module)
    for line in sys.stdin:
        answer(answers, _invoke(module.handler, use, json.loads(line)) | cold)


def _invoke(handler: Any, use: str, event: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}

    def work() -> int:
        result.update(handler(event, Context(use)))
        rows = result.get("rows", {})
        return sum(rows.values()) if isinstance(rows, dict) else 0

    return measured(work) | {"result": result, "process_cpu": cpu_seconds()}


def _make_clients(use: str, module: ModuleType) -> None:
    """Make what a function keeps between its calls, and import its pipeline's kinds."""
    for kept in vars(module).values():
        if hasattr(kept, "cache_clear") and kept.__module__ == module.__name__:
            kept(*("source" for _ in signature(kept).parameters))
    # Imported in a function's first call otherwise, because a pipeline names the kind.
    pipeline = importlib.import_module("etl.loading").load(os.environ["PIPELINE"])
    kinds = {
        "extract": [f"sources.{source.kind}.reader" for source in pipeline.sources],
        "load": [f"targets.{target.kind}.loader" for target in pipeline.targets],
    }
    for kind in kinds.get(use, []):
        importlib.import_module(f"functions.{kind}")


def _note_first_query(cold: dict[str, float]) -> None:
    """Note the CPU that the process had used when it sent its first query."""
    native = importlib.import_module("pg8000.native")
    run = native.Connection.run

    def noting(self: Any, *arguments: Any, **options: Any) -> Any:
        cold.setdefault("first_query_cpu", cpu_seconds())
        native.Connection.run = run
        return run(self, *arguments, **options)

    native.Connection.run = noting


if __name__ == "__main__":
    main(sys.argv[1], ready="ready" in sys.argv[2:])
