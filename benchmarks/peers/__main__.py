"""Run one peer once: `python -m benchmarks.peers extract.dlt_pyarrow`, arguments as JSON on stdin.

What it took comes back as one line of JSON. Imports are not part of it: they are measured where
they matter, at a cold start.
"""

import importlib
import json
import os
import sys

from benchmarks.process import answer, measured, take_over_stdout


def main(task: str) -> None:
    """Prepare a peer with the arguments, then measure it."""
    answers = take_over_stdout()
    subject, name = task.split(".")
    arguments = json.load(sys.stdin)
    # Before dlt is imported: it sends no telemetry, whatever the user has configured.
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    peers = importlib.import_module(f"benchmarks.peers.{subject}")
    work = getattr(peers, name)(**arguments)
    answer(answers, measured(work))


if __name__ == "__main__":
    main(sys.argv[1])
