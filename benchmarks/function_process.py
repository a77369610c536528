"""One Lambda function in its own process: `python -m benchmarks.function_process extract`.

The environment is the function's. Each line on standard input is an event; each gets a line back
with what the function returned and what it took. The process lasts until its input ends, so that
the first call is a cold one and the others are warm. With `ready` its clients of AWS are made
before the first call: then what that takes is work, as with the peers.
"""

import importlib
import json
import sys
import time
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pipelines
from benchmarks.process import answer, cpu_seconds, measured, take_over_stdout

# Not in the layers of these functions; pyarrow would import it where it is installed.
ABSENT = {"extract": ("numpy", "pandas"), "load": ("numpy", "pandas")}
# Imported in a function's first call, because a pipeline names the kind.
KINDS = {
    "extract": ("functions.sources.postgres.reader", "functions.sources.files.reader"),
    "load": ("functions.targets.postgres.loader",),
}
MILLISECONDS = 3_600_000  # no measurement is to be cut short by Lambda's limit


@dataclass(frozen=True)
class Context:
    """The invocation context that Lambda passes to a function."""

    function_name: str
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-west-2:123456789012:function:benchmark"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still run."""
        return MILLISECONDS


def main(use: str, *, ready: bool) -> None:
    """Import the function, then answer events."""
    answers = take_over_stdout()
    pipelines.__path__.append(str(Path(__file__).parent / "pipelines"))
    for name in ABSENT.get(use, ()):
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails
    started = time.perf_counter()
    module = importlib.import_module(f"functions.{use}.handler")
    handler = module.handler
    cold = {"import_seconds": time.perf_counter() - started, "import_cpu": cpu_seconds()}
    if use != "transform":
        _note_first_query(cold)
    if ready:
        _make_clients(use, module)
    for line in sys.stdin:
        answer(answers, _invoke(handler, use, json.loads(line), cold))


def _invoke(handler: Any, use: str, event: dict[str, Any], cold: dict[str, float]) -> Any:
    result: dict[str, Any] = {}

    def work() -> int:
        result.update(handler(event, Context(use)))
        rows = result.get("rows", {})
        return sum(rows.values()) if isinstance(rows, dict) else 0

    return measured(work) | {"result": result, "process_cpu": cpu_seconds(), **cold}


def _make_clients(use: str, module: ModuleType) -> None:
    """Make what a function keeps between its calls, and import its kinds of databases."""
    for kept in vars(module).values():
        if hasattr(kept, "cache_clear") and kept.__module__ == module.__name__:
            kept(*("source" for _ in signature(kept).parameters))
    for kind in KINDS.get(use, ()):
        importlib.import_module(kind)


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
