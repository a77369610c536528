"""The documents of the batch log: what is written is what is read, also by yesterday's code."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from etl.product import LOG_FORM
from functions.common.accounts import FileRead, FileVersion, KnownFiles
from functions.common.keyparts import KeyPart, KeyParts
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
    ProcessedManifest,
    Source,
    StarTable,
    TableCapture,
)
from functions.common.objects import DataFile, KeyFile
from functions.common.quarantined import Quarantine

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
            2, "quarantine/source/payment/2024-11-16/0000000007-0000000000001.parquet", DIGEST
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
        "reached": 0,
        "processed_sha256": None,
        "previous_sha256": None,
    }


def test_a_batch_knows_all_of_its_objects() -> None:
    """What a manifest names is kept; anything else of its batch may be removed."""
    [removed] = INGESTION.tables["payment"].tombstones
    partner = DataFile(FILE.key.replace("0001.", "0002."), 1, DIGEST)
    tables = {"payment": replace(INGESTION.tables["payment"], partners=[partner])}
    manifest = replace(INGESTION, tables=tables)

    assert manifest.objects == {FILE.key, removed.key, partner.key}
    assert manifest.key_objects == {f"{KEYS}{number}.parquet" for number in (1, 2, 3)}
    assert PROCESSED.objects == {
        f"{prefix}fact_payment/2024-11-16/0000000007-0000000000001.parquet"
        for prefix in ("", "tombstones/")
    }


def test_a_batch_of_files_knows_its_copies_and_the_files_that_were_read() -> None:
    """Files have no keys; what is known of them is an object like the keys of a table."""
    copy = "files/source/2024-11-16/0000000007-0000000000001"
    file = FileVersion("drop", "a.csv", None, "e", 1, NOW)
    reads = [
        FileRead("payment", file, [], 3, [FILE.key], copy=copy),
        FileRead("staff", file, [], 0, []),
    ]
    known = KnownFiles(1, KeyFile(f"{KEYS}9.parquet", 1, DIGEST))
    tables = {name: TableCapture([], [], "", None, []) for name in ("payment", "staff")}
    tables["payment"] = replace(tables["payment"], files=[FILE])
    manifest = replace(
        INGESTION,
        tables=tables,
        keys=None,
        keys_sha256=None,
        key_parts={},
        files=reads,
        known=known,
    )

    assert manifest.objects == {FILE.key, copy}
    assert manifest.key_objects == {f"{KEYS}9.parquet"}
    assert replace(manifest, known=KnownFiles(1)).key_objects == set()
    with pytest.raises(ValueError, match="the objects of payment are not those of its files"):
        replace(manifest, files=reads[1:])
    with pytest.raises(ValueError, match="it lacks one of `keys` and `keys_sha256`"):
        replace(manifest, known=None)


def test_a_batch_brings_what_changes_a_table() -> None:
    """Rows, deletions, or a snapshot without rows; not a table that is only named."""
    [file], [removed] = (
        getattr(PROCESSED.tables["fact_payment"], name) for name in ("files", "tombstones")
    )
    entries = {
        "rows": StarTable(1, [file]),
        "deleted": StarTable(0, [], 1, [removed]),
        "empty": StarTable(0, [], snapshot=True),
        "named": StarTable(0, []),
    }
    brought = {
        name
        for name, entry in entries.items()
        if replace(PROCESSED, tables={"fact_payment": entry}).brings("fact_payment")
    }

    assert brought == {"rows", "deleted", "empty"}
    assert not PROCESSED.brings("another")


def test_accounts_of_rows_add_up() -> None:
    """Each number is the sum of the same numbers."""
    assert Balance(1, 2, 3, 4) + Balance(10, 20, 30, 40) == Balance(11, 22, 33, 44)


@pytest.mark.parametrize("key", ["other/2024-11-16/0000000007-1.parquet", None])
def test_a_table_names_its_own_objects_once(key: str | None) -> None:
    """Objects of another table, or one that counts twice, would be rows that never were."""
    entry = PROCESSED.tables["fact_payment"]
    files = [*entry.files, replace(entry.files[0], key=key or entry.files[0].key)]
    said = "is not under fact_payment/" if key else "is named twice"

    with pytest.raises(ValueError, match=said):
        replace(PROCESSED, tables={"fact_payment": replace(entry, files=files)})
    with pytest.raises(ValueError, match="is not under tombstones/fact_payment/"):
        replace(PROCESSED, tables={"fact_payment": replace(entry, tombstones=entry.files)})
    with pytest.raises(ValueError, match="is not under quarantine/source/other/"):
        replace(PROCESSED, quarantine={"other": PROCESSED.quarantine["payment"]})


# The digest of what manifests consist of, in the form of that number.
FORMS = {2: "3954e5a0850799bc"}


def test_another_form_of_the_log_has_another_number() -> None:
    """Whoever changes a manifest decides whether earlier code reads it: `etl.product.LOG_FORM`.

    If it does, the digest here changes alone; if not, the number too.
    """
    schemas = [msgspec.json.schema(each) for each in (IngestionManifest, ProcessedManifest)]
    found = {"properties": _without_texts(schemas)}

    assert {LOG_FORM: hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]} == FORMS


def _without_texts(schema: Any) -> Any:
    """Return a schema without its descriptions."""
    if isinstance(schema, dict):
        kept = {name: value for name, value in schema.items() if name != "description"}
        return {name: _without_texts(value) for name, value in sorted(kept.items())}
    return [_without_texts(each) for each in schema] if isinstance(schema, list) else schema
