"""Imported by the server that forks invocations; nothing else should import it."""

import gc
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

import functions.sources
import functions.targets
from tests.pipeline.invocation import import_lake, warm_up


def import_kinds() -> None:
    """Import what the functions and pyarrow import only where it is used.

    Each process would do it again: 0.3 s of processor time, most of it for pandas.
    """
    import_module("pandas")
    for kinds, entry in ((functions.sources, "reader"), (functions.targets, "loader")):
        for kind in iter_modules(kinds.__path__, f"{kinds.__name__}."):
            name = f"{kind.name}.{entry}"
            if kind.ispkg and find_spec(name):
                import_module(name)


warm_up()
import_kinds()
import_lake()
# Or each process searches for garbage in all of this, and copies the memory that it marks.
gc.freeze()
