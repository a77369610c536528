"""Sample data that a pipeline may have for runs on one machine: made-up sources, and changes.

It is the package `pipelines/<name>/sample`, which is never deployed.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from random import Random
from typing import Protocol, cast

import pg8000.native

from etl.loading import folder


class Sample(Protocol):
    """The functions of the package of a pipeline with a database as a source."""

    def fill(self, connection: pg8000.native.Connection, now: datetime, scale: float) -> None:
        """Create and fill the source's tables in an empty database.

        `now` is in UTC, without a zone. `scale` is 1 for the usual size, and 0 for no rows. Part of
        the caller's transaction, with all rights.
        """

    def trade(self, connection: pg8000.native.Connection, rng: Random, now: datetime) -> object:
        """Change rows as a minute of business does, with the right to select, insert and update."""

    def delete(self, connection: pg8000.native.Connection) -> None:
        """Delete a row and the rows that refer to it, in the caller's transaction, with all rights.

        Called once, where the warehouse has a table of deleted rows.
        """


class FilesSample(Protocol):
    """The functions of the package of a pipeline with files as a source; `now` as in `Sample`."""

    def files(self, source: str, now: datetime) -> Mapping[str, bytes]:
        """Return the files of a source, by key, in the order in which they arrive."""

    def bad_files(self, source: str, now: datetime) -> Mapping[str, bytes]:
        """Return a later drop in which some rows are rejected."""


Post = tuple[Mapping[str, str], bytes, int]
"""A request: its headers, its body, and the status with which it should be answered."""


Question = tuple[str, Sequence[str], str]
"""A question to the warehouse: a title, the columns of the answer, and the SELECT."""


class AskingSample(Protocol):
    """The function of the package of a pipeline with questions to its warehouse."""

    def questions(self) -> Sequence[Question]:
        """Return questions whose SQL finds the tables and views of the warehouse by their names."""


class EventsSample(Protocol):
    """The function of the package of a pipeline with events as a source; `now` as in `Sample`."""

    def posts(self, source: str, secrets: Sequence[str], now: datetime) -> Sequence[Post]:
        """Return what the provider of a source posts, in this order, signed with the secrets."""


class RestSample(Protocol):
    """The function of the package of a pipeline with an API as a source; `now` as in `Sample`."""

    def answer(self, source: str, query: Mapping[str, str], now: datetime) -> tuple[str, bytes]:
        """Return the content type and the body with which the API of a source answers."""


def has_sample(pipeline: str, function: str) -> bool:
    """Return whether a pipeline has a sample with a function of this name."""
    there = (folder(pipeline) / "sample" / "__init__.py").is_file()
    return there and hasattr(sample_of(pipeline), function)


def files_of(pipeline: str, source: str, *, bad: bool = False) -> Mapping[str, bytes]:
    """Return the files that a sample has for a source, or the bad ones; none without a sample."""
    function = "bad_files" if bad else "files"
    if not has_sample(pipeline, function):
        return {}
    sample = cast("FilesSample", sample_of(pipeline))
    make = sample.bad_files if bad else sample.files
    return make(source, datetime.now(UTC).replace(tzinfo=None))


def posts_of(pipeline: str, source: str, secrets: Sequence[str]) -> Sequence[Post]:
    """Return what a sample has that is posted to a source; nothing without a sample."""
    if not has_sample(pipeline, "posts"):
        return []
    sample = cast("EventsSample", sample_of(pipeline))
    return sample.posts(source, secrets, datetime.now(UTC).replace(tzinfo=None))


def questions_of(pipeline: str) -> Sequence[Question]:
    """Return the questions of a sample; none without a sample."""
    if not has_sample(pipeline, "questions"):
        return []
    return cast("AskingSample", sample_of(pipeline)).questions()


def answer_of(pipeline: str, source: str, query: Mapping[str, str]) -> tuple[str, bytes]:
    """Return the answer of a sample's API of a source."""
    sample = cast("RestSample", sample_of(pipeline))
    return sample.answer(source, query, datetime.now(UTC).replace(tzinfo=None))


def sample_of(pipeline: str) -> Sample:
    """Return the sample of a pipeline that has one."""
    return cast("Sample", import_module(f"pipelines.{pipeline}.sample"))
