"""What a pipeline may have for runs on one machine: a source that is made up, and changes in it.

It is the package `pipelines/<name>/sample`, which is never deployed.
"""

from datetime import datetime
from importlib import import_module
from random import Random
from typing import Protocol, cast

import pg8000.native

from etl.loading import folder


class Sample(Protocol):
    """The functions of such a package."""

    def fill(self, connection: pg8000.native.Connection, now: datetime, scale: float) -> None:
        """Make the source's tables in an empty database, and fill them.

        `now` is in UTC, without a zone. `scale` is 1 for the usual size, and 0 for no rows. Part of
        the caller's transaction, with all rights.
        """

    def trade(self, connection: pg8000.native.Connection, rng: Random, now: datetime) -> object:
        """Change what a minute of business would, with the right to select, insert and update."""

    def delete(self, connection: pg8000.native.Connection) -> None:
        """Delete a row, and what refers to it. Part of the caller's transaction, with all rights.

        Done once, where the warehouse has a table of deleted rows.
        """


def has_sample(pipeline: str) -> bool:
    """Tell whether a pipeline has a sample."""
    return (folder(pipeline) / "sample" / "__init__.py").is_file()


def sample_of(pipeline: str) -> Sample:
    """Return the sample of a pipeline that has one."""
    return cast("Sample", import_module(f"pipelines.{pipeline}.sample"))
