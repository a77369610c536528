"""Manifests that are damaged or made up: one clear error that names the object."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError
from functions.common.loaded import LoadedMarker
from functions.common.manifests import IngestionManifest, ProcessedManifest
from tests.unit.fake_bucket import FakeBucket
from tests.unit.test_manifests import DOCUMENTS, INGESTION, MARKER, PROCESSED

Document = IngestionManifest | ProcessedManifest | LoadedMarker
KEY = "batches/source/0000000007.json"
JUNK: list[Any] = [None, True, -1, 0, 1.5, 10**30, "", "../x", "\x00", [], [[]], {}, {"a": 1}]
NOT_JSON = [
    b"",
    b" ",
    b"null",
    b"7",
    b'"batch 7"',
    b"[]",
    b"{}",
    b"{",
    b"\x00",
    b"\xff\xfe{}",
    b'{"batch": 7, "run": "\xff"}',
    b'{"batch": 7, "unknown": ' + b"[" * 100_000,
    b'{"batch": 7, "unknown": ' + b'{"a":' * 100_000,
    b"[" * 30_000_000,
]


def read(body: bytes, document: type[Document]) -> Document:
    return BatchLog(FakeBucket({KEY: body}), "source", document).read(7)


def refusal(body: bytes, document: type[Document]) -> str:
    """Return the message with which a body is refused."""
    with pytest.raises(CorruptLogError) as failure:
        read(body, document)
    message = str(failure.value)
    assert message.startswith(f"s3://lake/{KEY} ")
    assert len(message) < 500
    return message


def is_read_or_refused(body: bytes, document: type[Document]) -> bool:
    """Return whether a body is one of these two; any other error is raised."""
    try:
        return isinstance(read(body, document), document)
    except CorruptLogError as error:
        return KEY in str(error)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every value within a JSON document."""
    items: Any = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for name, inner in items:
        yield (*path, name)
        yield from places(inner, (*path, name))


def changed(document: Document, path: tuple[Any, ...], value: Any) -> bytes:
    fields = json.loads(msgspec.json.encode(document))
    inner = fields
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return json.dumps(fields).encode()


def every(document: Document, *path: Any) -> Any:
    return pytest.param(document, path, id=".".join(map(str, (type(document).__name__, *path))))


@DOCUMENTS
@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[:30]))
def test_what_is_no_manifest_is_refused(document: Document, body: bytes) -> None:
    """No JSON, other JSON, other encodings and endless nesting are refused as no manifest."""
    assert "is not a manifest" in refusal(body, type(document))


@DOCUMENTS
def test_a_manifest_that_was_cut_is_refused(document: Document) -> None:
    """No beginning of a manifest is taken for one."""
    body = msgspec.json.encode(document)

    for length in range(len(body)):
        refusal(body[:length], type(document))


@DOCUMENTS
def test_a_flipped_bit_is_refused_or_harmless_to_read(document: Document) -> None:
    """Whatever a flip makes of a manifest, it is read as one or refused, and never a bare error."""
    body = msgspec.json.encode(document)

    for place in range(len(body)):
        for bit in (0x01, 0x10, 0x80):
            flipped = body[:place] + bytes([body[place] ^ bit]) + body[place + 1 :]
            assert is_read_or_refused(flipped, type(document))


@DOCUMENTS
def test_a_part_of_another_kind_is_refused_or_harmless_to_read(document: Document) -> None:
    """Every part of a manifest, replaced by every kind of JSON, is read as its type or refused."""
    for path in places(json.loads(msgspec.json.encode(document))):
        for junk in JUNK:
            assert is_read_or_refused(changed(document, path, junk), type(document))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_any_other_json_is_refused(value: Any) -> None:
    """A document that is no manifest is refused."""
    for document in (IngestionManifest, ProcessedManifest, LoadedMarker):
        refusal(json.dumps(value).encode(), document)


@DOCUMENTS
def test_a_field_that_is_needed_is_missed(document: Document) -> None:
    """A manifest that lacks one of its fields is refused, and the message names the field."""
    fields = json.loads(msgspec.json.encode(document))
    optional = {"replay_of", "schemas", "drift", "targets", "files", "known", "refusals", "settled"}
    optional |= {"previous_sha256", "ingested_sha256", "processed_sha256"}
    optional |= {"index", "elsewhere", "absent_files", "form", "keys", "reasons", "reached"}

    for name in fields.keys() - optional:
        rest = {field: value for field, value in fields.items() if field != name}
        assert f"`{name}`" in refusal(json.dumps(rest).encode(), type(document))


PAYMENT = ("tables", "payment")
FACT = ("tables", "fact_payment")


@pytest.mark.parametrize(
    ("document", "path"),
    [
        every(INGESTION, "batch"),
        every(INGESTION, "replay_of"),
        every(INGESTION, *PAYMENT, "horizon"),
        every(INGESTION, *PAYMENT, "seen", 0, 1),
        every(INGESTION, *PAYMENT, "changed"),
        every(INGESTION, *PAYMENT, "companions"),
        every(INGESTION, *PAYMENT, "deleted"),
        every(INGESTION, *PAYMENT, "files", 0, "rows"),
        every(INGESTION, *PAYMENT, "tombstones", 0, "rows"),
        every(PROCESSED, "batch"),
        every(PROCESSED, *FACT, "rows"),
        every(PROCESSED, *FACT, "deleted"),
        every(PROCESSED, *FACT, "files", 0, "rows"),
        every(PROCESSED, "balance", "payment", "taken"),
        every(PROCESSED, "quarantine", "payment", "rows"),
        every(MARKER, "batch"),
        every(MARKER, "rows", "fact_payment", "staged"),
    ],
)
def test_a_number_that_cannot_be_is_refused(document: Document, path: tuple[Any, ...]) -> None:
    """Fewer than no rows, half a row or a batch -1 are no manifest of ours."""
    for number in (-1, -(10**30), 0.5, True, "1"):
        refusal(changed(document, path, number), type(document))


@pytest.mark.parametrize(
    ("document", "path"),
    [
        every(INGESTION, *PAYMENT, "files", 0, "key"),
        every(INGESTION, *PAYMENT, "tombstones", 0, "key"),
        every(INGESTION, "keys"),
        every(PROCESSED, *FACT, "files", 0, "key"),
        every(PROCESSED, *FACT, "tombstones", 0, "key"),
        every(PROCESSED, "quarantine", "payment", "file"),
    ],
)
def test_a_path_to_elsewhere_is_refused(document: Document, path: tuple[Any, ...]) -> None:
    """A manifest names objects of its tables, and no others."""
    for key in (
        "",
        "/",
        "..",
        "source/payment/../staff/2024-11-16/0000000007-0000000000001.parquet",
        "source/../payment/2024-11-16/0000000007-0000000000001.parquet",
        "/source/payment/2024-11-16/0000000007-0000000000001.parquet",
        "source/staff/2024-11-16/0000000007-0000000000001.parquet",
        "dim_staff/2024-11-16/0000000007-0000000000001.parquet",
        "tombstones/source/staff/2024-11-16/0000000007-0000000000001.parquet",
        "tombstones/dim_staff/2024-11-16/0000000007-0000000000001.parquet",
        "batches/source/0000000007.json",
        "quarantine/source/staff/2024-11-16/0000000007-0000000000001.parquet",
        "quarantine/source/../keys/2024-11-16/0000000007.parquet",
        "keys/../quarantine/0000000007.parquet",
        "source/payment/2024-11-16/0000000007-0000000000001.parquet\n",
        "source/payment/2024-11-16/0000000007-0000000000001.parquet\x00",
        "source/payment/2024-11-16/" + "0" * 2000,
        "s3://elsewhere/payment/2024-11-16/0000000007-0000000000001.parquet",
    ):
        refusal(changed(document, path, key), type(document))


@pytest.mark.parametrize(
    ("document", "path"), [every(INGESTION, *PAYMENT, "files"), every(PROCESSED, *FACT, "files")]
)
def test_an_object_that_is_named_twice_is_refused(
    document: Document, path: tuple[Any, ...]
) -> None:
    """Rows that would be counted twice are found before they are."""
    table = json.loads(msgspec.json.encode(document))["tables"][path[1]]
    body = changed(document, path, table["files"] * 2)

    assert "is named twice" in refusal(body, type(document))


@DOCUMENTS
def test_a_moment_without_a_zone_is_refused(document: Document) -> None:
    """The age of a batch cannot be computed without the zone of the clock."""
    for path in (("written_at",), ("source", "snapshot_at")):
        refusal(changed(document, path, "2024-11-16T09:00:00"), type(document))


def test_tables_that_are_not_declared_any_more_make_no_manifest_malformed() -> None:
    """A log outlives changes of the declaration: a table that is not named has no rows."""
    bucket = FakeBucket({KEY: msgspec.json.encode(INGESTION)})

    manifest = BatchLog(bucket, "source", IngestionManifest).read(7)

    assert manifest.capture("payment") == INGESTION.tables["payment"]
    assert (manifest.capture("refund").files, manifest.capture("refund").horizon) == ([], None)


@pytest.mark.parametrize("source", ["source", "other"])
def test_rows_and_keys_are_of_one_source(source: str) -> None:
    """A batch that names the rows of another source is refused, with deletions alone too."""
    body = msgspec.json.encode(INGESTION).replace(b"source/payment/", f"{source}/payment/".encode())
    deletions = json.loads(body)
    deletions["tables"]["payment"]["files"] = []

    for each in (body, json.dumps(deletions).encode()):
        if source == "source":
            assert read(each, IngestionManifest)
        else:
            assert "other/payment/2024-11-16" in refusal(each, IngestionManifest)
