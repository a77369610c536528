"""Show a verification of the ledger to a person, within 80 columns."""

from collections.abc import Iterator
from textwrap import wrap

from rich.table import Table
from rich.text import Text

from deployer.operations.verified import Verified
from deployer.terminal import printable, table

SHOWN = 20  # faults; --json has all
UNITS = ("B", "kB", "MB", "GB")
THOUSAND = 1000


def verified_view(found: Verified) -> Iterator[Table | Text]:
    """Yield the chains, the number of objects, the faults, and what could not be verified."""
    shown = table("log", "documents", "newest", "linked from", numbers=frozenset({"documents"}))
    for name, chain in found.logs.items():
        begins = "" if chain.linked_from is None else str(chain.linked_from)
        shown.add_row(name, f"{chain.documents:,}", str(chain.newest), begins)
    yield shown
    yield Text(f"{found.objects:,} objects, {_size(found.bytes)}, compared with their digests")
    bucket = ""
    for url, fault in list(found.faults.items())[:SHOWN]:
        [_, _, name, key] = url.split("/", 3)
        if name != bucket:
            yield Text(printable(f"s3://{name}/"))
        bucket = name
        yield Text(printable(f"  {fault.what}: {key}"), "red", overflow="fold")
        yield Text(printable(f"    {fault.why}"), overflow="fold")
    if len(found.faults) > SHOWN:
        yield Text(f"and {len(found.faults) - SHOWN:,} more: --json lists all of them")
    for note in found.remarks():
        yield Text("\n".join(wrap(printable(note), 80, subsequent_indent="  ")))
    yield Text("nothing is missing or changed" if not found.faults else _sum(len(found.faults)))


def _sum(faults: int) -> str:
    return f"{faults:,} {'object is' if faults == 1 else 'objects are'} not as they should be"


def _size(size: float) -> str:
    for unit in UNITS[:-1]:
        if size < THOUSAND:
            return f"{size:,.1f} {unit}" if unit != "B" else f"{size} B"
        size /= THOUSAND
    return f"{size:,.1f} {UNITS[-1]}"
