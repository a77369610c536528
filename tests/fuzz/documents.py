"""Fuzz targets for what comes from S3 and from events: manifests, and what an event asks for."""

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from functions.common.batchlog import BatchLog
from functions.common.errors import (
    CorruptLogError,
    RepairRequestError,
    SettingsError,
    UnknownBatchError,
)
from functions.common.loaded import LoadedMarker
from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.extract.requests import request_of
from pipelines.totesys.pipeline import PIPELINE
from tests.fuzz.mutations import JSON, damaged, rewritten
from tests.fuzz.target import Target
from tests.unit.fake_bucket import FakeBucket
from tests.unit.test_manifests import INGESTION, MARKER, PROCESSED

Document = IngestionManifest | ProcessedManifest | LoadedMarker
EXAMPLES: dict[type[Document], Document] = {
    type(document): document for document in (INGESTION, PROCESSED, MARKER)
}
MESSAGE_CHARACTERS = 1000


def _bodies(example: Document) -> st.SearchStrategy[tuple[type[Document], bytes]]:
    body = msgspec.json.encode(example)
    changed = rewritten(json.loads(body)) | damaged(st.just(body)) | st.binary()
    return st.tuples(st.just(type(example)), changed)


def manifests(written: tuple[type[Document], bytes]) -> None:
    """Whatever lies under a manifest's key is read as one, or refused in one line that names it."""
    kind, body = written
    log = BatchLog(FakeBucket({"batches/source/0000000007.json": body}), "source", kind)
    try:
        manifest = log.read(7)
    except CorruptLogError as error:
        message = str(error)
        assert message.startswith("s3://lake/batches/source/0000000007.json ")
        assert message.isprintable()
        assert len(message) < MESSAGE_CHARACTERS
        return
    assert manifest.batch == 7
    again = FakeBucket({"batches/source/0000000007.json": msgspec.json.encode(manifest)})
    assert BatchLog(again, "source", kind).read(7) == manifest


def events(event: Any) -> None:
    """An event asks for a batch that there may be, for tables that there are, or for nothing."""
    try:
        asked = request_of(event, (PIPELINE.source("source"),))
    except (UnknownBatchError, RepairRequestError, SettingsError) as error:
        assert str(error).isprintable()
        assert len(str(error)) < MESSAGE_CHARACTERS
    else:
        assert asked.replay is None or type(asked.replay) is int
        assert asked.repair.tables <= {table.id for table in PIPELINE.source("source").tables}


TARGETS = (
    Target(manifests, st.one_of([_bodies(example) for example in EXAMPLES.values()])),
    Target(
        events,
        JSON
        | st.fixed_dictionaries({"replay": JSON | st.integers()})
        | st.fixed_dictionaries({}, optional=dict.fromkeys(("source", "read", "absent"), JSON)),
    ),
)
