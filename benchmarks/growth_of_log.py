"""Growth of the log: what an idle minute costs when there have been 100,000 batches.

The manifests of a real run are multiplied on the disk of the local AWS while that is down, as links
to one file: of a log, only the newest manifest is ever read. Listing so many
keys is work of the local AWS, so CPU seconds say more here than elapsed ones.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.databases import CONSTRAINED, Database
from benchmarks.lake import Call, Lake
from benchmarks.measuring import say
from benchmarks.plan import Plan
from benchmarks.results import Record, record
from benchmarks.workshop import Workshop, reach_only
from local.emulator import Emulator

SIZES = (1_000, 10_000, 100_000)
ROWS = 10_000
FUNCTIONS = ("extract", "transform", "load")
COLD, WARM = "log, cold", "log, warm"
WARM_CALLS = 3
LINKS = 30_000  # a file may have 65,000 names on ext4

Calls = Mapping[str, list[Call]]


def measure(workshop: Workshop, plan: Plan) -> Iterator[Record]:
    """Yield a record for each idle function at each length of the log; `rows` are batches."""
    source = workshop.databases.source(ROWS)
    template = workshop.databases.template(CONSTRAINED)
    with (
        tempfile.TemporaryDirectory(dir=workshop.scratch) as name,
        workshop.databases.warehouse(template) as warehouse,
    ):
        aws = Emulator(Path(name))
        with aws:
            reach_only(aws)
            lake = Lake(aws, workshop.databases, source)
            _call_all(lake, warehouse)
        for length in plan.rows or (SIZES[:1] if plan.quick else SIZES):
            for bucket, prefix in _logs(lake):
                _lengthen(aws.bucket_folder(bucket) / prefix, length)
            with aws:
                yield from _records(length, _call_all(lake, warehouse))
        reach_only(workshop.aws)


def _logs(lake: Lake) -> list[tuple[str, str]]:
    return [
        (lake.ingestion, "batches/source"),
        (lake.processed, "batches/source"),
        (lake.processed, "loaded/source"),
    ]


def _call_all(lake: Lake, warehouse: Database) -> Calls:
    """Call each function in a new process, and then again while it is warm."""
    calls = {}
    for use in FUNCTIONS:
        with lake.function(use, warehouse) as function:
            calls[use] = [function.call() for _ in range(1 + WARM_CALLS)]
    return calls


def _lengthen(log: Path, length: int) -> None:
    """Extend a log on disk to so many manifests, the last of which knows its number."""
    first = log / f"{1:010d}.json"
    manifest = json.loads(first.read_bytes())
    model = first
    for number in range(2, length):
        path = log / f"{number:010d}.json"
        if number % LINKS == 0:
            path.unlink(missing_ok=True)
            path.write_bytes(first.read_bytes())
            model = path
        elif not path.exists():
            os.link(model, path)
    last = log / f"{length:010d}.json"
    last.unlink(missing_ok=True)
    manifest["batch"] = length
    if "has" in manifest:  # a marker, which says what the warehouse has
        manifest |= {"number": length, "has": dict.fromkeys(manifest["has"], length)}
    last.write_text(json.dumps(manifest))


def _records(length: int, calls: Calls) -> Iterator[Record]:
    for use, (first, *others) in calls.items():
        say(f"growth: {length:,} batches, {use}: {first.measurement.seconds:.2f} s cold")
        yield record(COLD, length, use, [first.measurement])
        yield record(WARM, length, use, [call.measurement for call in others])
