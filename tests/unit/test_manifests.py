"""The documents of the batch log: what is written is what is read, also by yesterday's code."""

from datetime import UTC, datetime

import msgspec
import pytest

from functions.common.loaded import (
    Evidence,
    Loaded,
    LoadedMarker,
    RefusedRows,
    TableFile,
    Warehouse,
)
from functions.common.manifests import (
    Balance,
    IngestionManifest,
    KeyPart,
    KeyParts,
    ProcessedManifest,
    Quarantine,
    Source,
    StarTable,
    TableCapture,
)
from functions.common.objects import DataFile, KeyFile

SNAPSHOT = datetime(2024, 11, 16, 9, 0, 0, 123000, tzinfo=UTC)
NOW = datetime(2024, 11, 16, 9, 0, 2, tzinfo=UTC)
SOURCE = Source("7437", 1, "totesys", SNAPSHOT)
DIGEST = "0a" * 32
FILE = DataFile("source/payment/2024-11-16/0000000007-0000000000001.parquet", 3, DIGEST)
KEYS = "keys/source/2024-11-16/0000000007-000000000000"
REFUSED = DataFile("refused/fact_payment/2024-11-16/0000000007-0000000000001.parquet", 1, DIGEST)

INGESTION = IngestionManifest(
    batch=7,
    written_at=NOW,
    run="run",
    source=SOURCE,
    tables={
        "payment": TableCapture(
            key=["payment_id"],
            columns=[("payment_id", "integer"), ("payment_amount", "numeric(10,2)")],
            fingerprint="f",
            horizon=2**40,
            seen=[(2**40 + 1, 2**40 + 5)],
            changed=2,
            companions=1,
            files=[FILE],
            deleted=1,
            tombstones=[
                DataFile(
                    "tombstones/source/payment/2024-11-16/0000000007-0000000000001.parquet",
                    1,
                    DIGEST,
                )
            ],
        ),
        "staff": TableCapture(["staff_id"], [], "", None, [], error="table staff: no right"),
    },
    missing={"design": [999]},
    keys=f"{KEYS}1.parquet",
    keys_sha256=DIGEST,
    key_parts={
        "note": KeyParts(
            digests=KeyFile(f"{KEYS}2.parquet", 3, DIGEST),
            parts=[KeyPart(f"{KEYS}3.parquet", 3, DIGEST, 2**15 - 1)],
        )
    },
)
PROCESSED = ProcessedManifest(
    batch=7,
    written_at=NOW,
    run="run",
    source=SOURCE,
    tables={
        "fact_payment": StarTable(
            2,
            [DataFile("fact_payment/2024-11-16/0000000007-0000000000001.parquet", 2, DIGEST)],
            1,
            [
                DataFile(
                    "tombstones/fact_payment/2024-11-16/0000000007-0000000000001.parquet", 1, DIGEST
                )
            ],
        )
    },
    balance={"payment": Balance(taken=3, released=1, out=2, quarantined=2)},
    quarantine={
        "payment": Quarantine(
            "quarantine/source/payment/2024-11-16/0000000007-0000000000001.parquet", 2, DIGEST
        )
    },
    absent={"staff": [5]},
)
MARKER = LoadedMarker(
    number=8,
    batch=7,
    written_at=NOW,
    run="run",
    source=SOURCE,
    warehouse=Warehouse(
        "7438", "warehouse", 16384, "public", NOW, {"fact_payment": TableFile(16390, 16395)}
    ),
    since=1,
    has={"fact_payment": 7},
    evidence={"fact_payment": Evidence(12, ["payment_id"], "0" * 64)},
    rows={"fact_payment": Loaded(staged=2, inserted=1, updated=0, refused=1)},
    age_seconds=1.877,
    refused={"fact_payment": [RefusedRows(REFUSED, {"too long": 1})]},
    tried_at=NOW,
    definitions="digest",
)
DOCUMENTS = pytest.mark.parametrize(
    "document", [INGESTION, PROCESSED, MARKER], ids=lambda document: type(document).__name__
)


@DOCUMENTS
def test_a_document_is_read_as_it_was_written(
    document: IngestionManifest | ProcessedManifest | LoadedMarker,
) -> None:
    """Nothing that a manifest says is lost or changed on the way through S3."""
    assert msgspec.json.decode(msgspec.json.encode(document), type=type(document)) == document


@DOCUMENTS
def test_a_field_that_is_not_known_is_passed_over(
    document: IngestionManifest | ProcessedManifest | LoadedMarker,
) -> None:
    """A function that is not yet updated reads what one that is has written."""
    fields = msgspec.to_builtins(document)
    fields["added"] = {"tomorrow": 1}
    fields["source"]["added"] = "tomorrow"

    body = msgspec.json.encode(fields)

    assert msgspec.json.decode(body, type=type(document)) == document


def test_a_manifest_is_json_that_a_person_can_read() -> None:
    """Times have their zone, names their words: the log can be read without our code."""
    assert msgspec.to_builtins(MARKER) == {
        "number": 8,
        "batch": 7,
        "written_at": "2024-11-16T09:00:02Z",
        "run": "run",
        "source": {
            "system_identifier": "7437",
            "timeline": 1,
            "database": "totesys",
            "snapshot_at": "2024-11-16T09:00:00.123000Z",
            "database_oid": 0,
            "end": 0,
            "position": None,
            "instances": [],
        },
        "warehouse": {
            "system_identifier": "7438",
            "database": "warehouse",
            "database_oid": 16384,
            "schema": "public",
            "started_at": "2024-11-16T09:00:02Z",
            "tables": {"fact_payment": {"oid": 16390, "file": 16395}},
        },
        "since": 1,
        "has": {"fact_payment": 7},
        "evidence": {"fact_payment": {"record": 12, "columns": ["payment_id"], "sha256": "0" * 64}},
        "rows": {
            "fact_payment": {"staged": 2, "inserted": 1, "updated": 0, "refused": 1, "deleted": 0}
        },
        "age_seconds": 1.877,
        "refused": {
            "fact_payment": [
                {
                    "file": {"key": REFUSED.key, "rows": 1, "sha256": DIGEST},
                    "reasons": {"too long": 1},
                }
            ]
        },
        "tried_at": "2024-11-16T09:00:02Z",
        "definitions": "digest",
        "settled": 0,
    }
