"""Files as they really come, dropped for the functions, the local AWS and a real PostgreSQL."""

import csv
import io
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from pg8000.native import identifier

import pipelines
from etl.loading import load
from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.hostile_cells import JSON_FILES, TYPED_FILES
from tests.pipeline.hostile_files import CSV_FILES, NAMED_FILES, Hostile
from tests.pipeline.reconciling import reconcile
from tests.pipeline.strangers import FOLDER, SAME
from tests.postgres_fixtures import NOWHERE, Source, Warehouse

CANARY = "canary"
TARGETS = ["texts", "western", "quoted", "headless", "named", "strict", "lines", "typed"]
TARGETS += ["documents"]
# No word of a library or of Python may be in a reason: whoever wrote the file reads it.
FOREIGN = re.compile(
    r"arrow|csv|codec|python|none\b|traceback|errno|exception|expecting|invalid |unterminated"
    r"|int64|str\b|dict\b|bytes-like|decimal\.",
    re.IGNORECASE,
)

csv.field_size_limit(1 << 27)


@pytest.fixture
def functions(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> Functions:
    """The functions between a drop bucket and an empty warehouse that is theirs to shape."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(FOLDER / "pipelines")])
    monkeypatch.setenv("PIPELINE", "hostile")
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    monkeypatch.setenv("MAX_REJECTS", "5%")
    functions = functions_on(NOWHERE, new_managed_warehouse())
    drop = functions.ingestion.replace("ingestion", "drop")
    functions.s3.create_bucket(
        Bucket=drop, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    functions.s3.put_bucket_versioning(Bucket=drop, VersioningConfiguration={"Status": "Enabled"})
    monkeypatch.setenv("DROP_BUCKET", drop)
    return functions


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """All that is logged, by whichever library, with the text of exceptions."""
    records: list[str] = []
    handle = logging.Logger.handle

    def recording(logger: logging.Logger, record: logging.LogRecord) -> None:
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        records.append(f"{record.getMessage()} {record.__dict__} {trace}")
        handle(logger, record)

    monkeypatch.setattr(logging.Logger, "handle", recording)
    yield records
    assert records
    assert [record for record in records if CANARY in record] == []


@pytest.mark.parametrize(
    "files",
    [CSV_FILES, TYPED_FILES, JSON_FILES, NAMED_FILES],
    ids=["CSV", "cells", "JSON", "names"],
)
def test_whatever_is_dropped_each_good_row_is_in_and_each_bad_one_in_errors(
    functions: Functions, logged: list[str], files: Sequence[Hostile]
) -> None:
    """With its line and the reason; nothing else is in a table, and no value in a log."""
    manifest = dropped(functions, files)

    assert _unequal(_tables(functions), _wanted(files)) == []
    accounts = {each["file"]["key"]: each for each in manifest["files"]}
    assert sorted(accounts) == sorted(file.key for file in files)
    assert _differences(functions, files, accounts) == []
    assert reconcile()["agrees"]


def dropped(functions: Functions, files: Sequence[Hostile]) -> dict[str, Any]:
    """Drop files and run the functions; return the manifest of the batch."""
    for file in files:
        functions.s3.put_object(Bucket=os.environ["DROP_BUCKET"], Key=file.key, Body=file.body)
    functions.run()
    return functions.document(functions.processed, "batches/source/0000000001.json")


def _wanted(files: Sequence[Hostile]) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {name: [] for name in TARGETS}
    for file in files:
        rows[_table_of(file)] += file.good
    return {name: sorted(found, key=str) for name, found in rows.items()}


def _table_of(file: Hostile) -> str:
    return file.key.lstrip("/").partition("/")[0]


def _tables(functions: Functions) -> dict[str, list[Any]]:
    """Return all rows of all tables, as texts."""
    tables = {mapping.target.name: mapping.target for mapping in load("hostile").mappings("source")}
    found = {}
    with connect(functions.warehouse.superuser_url) as connection:
        connection.run(SAME)
        for name in TARGETS:
            columns = ", ".join(f"{identifier(each)}::text" for each in tables[name].columns or ())
            where = f"{identifier(functions.warehouse.schema)}.{identifier(name)}"
            rows = connection.run(f"SELECT {columns} FROM {where}") or []
            found[name] = sorted(map(tuple, rows), key=str)
    return found


def _differences(
    functions: Functions, files: Sequence[Hostile], accounts: dict[str, Any]
) -> list[str]:
    """Return in what the account of a file, or what is in `errors/` of it, is not as it should."""
    return [
        f"{file.key[:60]!r}: {what}"
        for file in files
        for what in _wrong(functions, file, accounts[file.key])
    ]


def _wrong(functions: Functions, file: Hostile, account: dict[str, Any]) -> Iterator[str]:
    reason = account.get("reason") or ""
    if account["rows"] != account["out"] + account["refused"]:
        yield f"rows do not add up: {account}"
    if file.refused not in reason or bool(reason) != bool(file.refused) or FOREIGN.search(reason):
        yield f"{file.refused!r} is the reason to refuse it, and {reason!r} is given"
    if not reason and account["refused"] != len(file.bad):
        yield f"{len(file.bad)} rows are bad, and {account['refused']} refused"
    lines = _errors(functions, account.get("errors"))
    if file.refused and not file.bad:
        if [(line, row) for line, _, row in lines] != [(1, "")]:
            yield f"a file that is refused has no line that says so: {lines}"
        return
    found = {line: (why, row) for line, why, row in lines}
    if len(found) < len(lines) or found.keys() != file.bad.keys():
        yield f"lines {sorted(file.bad)} are bad, and {[line for line, *_ in lines]} in errors"
    for line in found.keys() & file.bad.keys():
        (why, row), (wanted, came) = found[line], file.bad[line]
        if wanted not in why or FOREIGN.search(why.replace(came, "")):
            yield f"line {line}: {wanted!r} is wrong with it, and {why[:200]!r} is said"
        if row != came:
            yield f"line {line}: it came as {came[:200]!r}, and {row[:200]!r} is shown"


def _errors(functions: Functions, key: str | None) -> list[tuple[int, str, str]]:
    if key is None:
        return []
    text = functions.body(functions.processed, key).decode()
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert head == ["line", "reasons", "row"]
    return [(int(line), reasons, row) for line, reasons, row in rows]


def _unequal(found: dict[str, list[Any]], wanted: dict[str, list[Any]]) -> list[str]:
    """Return the rows that are in the tables and should not be, and those that should."""
    return [
        f"{name}: {str(row)[:300]} {what}"
        for name in TARGETS
        for rows, others, what in (
            (found[name], wanted[name], "is there"),
            (wanted[name], found[name], "is wanted"),
        )
        for row, count in (Counter(rows) - Counter(others)).items()
        for _ in range(count)
    ]
