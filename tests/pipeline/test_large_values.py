"""A value that is too large to carry costs its row at most, and never the run."""

import io
import json
import subprocess
import sys
from typing import Any

import pyarrow.parquet as pq
from pg8000.native import identifier

from functions.sources.postgres.columns import read_columns
from functions.sources.postgres.large import columns_to_measure, storing_apart
from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected
from tests.pipeline.reconciling import disagreements
from tests.pipeline.test_quarantine import open_rows, quarantined
from tests.totesys import TABLES

AT_MOST = 400 << 20  # bytes of memory, of the 1 GB that the function has
HUGE = "repeat('x', 128 * 1024 * 1024)"  # little when it is compressed
RANDOM = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 655360) AS n)"  # 20 MB
# A few bytes as they are stored, in the row itself, and 131 MB when they are written as text.
MANY_DIGITS = "(SELECT jsonb_agg(1e131071::numeric) FROM generate_series(1, 1000))"
HOSTILE = 'it\'s "a" \\ :n é'

INVOKE = """
import json
from benchmarks.process import peak_bytes
from functions.{function} import handler
from tests.pipeline.conftest import Context, invoke
result = invoke(handler.handler, Context("{function}"))
print(json.dumps([result, peak_bytes()]))
"""


def invoke_alone(function: str) -> dict[str, Any]:
    """Invoke a function in a process that does nothing else, and check the memory it took."""
    command = [sys.executable, "-c", INVOKE.format(function=function)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any]
    result, peak = json.loads(done.stdout.splitlines()[-1])  # after what it logged
    assert peak < AT_MOST, f"{function} took {peak >> 20} MB"
    return result


def alter(functions: Functions, *statements: str) -> None:
    with connect(functions.source.superuser_url) as source:
        for statement in statements:
            source.run(statement)


def extracted_rows(functions: Functions, table: str, batch: int) -> dict[int, dict[str, Any]]:
    """Return the rows of a table in a batch, as extract wrote them."""
    manifest = functions.document(functions.ingestion, f"batches/source/{batch:010d}.json")
    rows: list[dict[str, Any]] = []
    for file in manifest["tables"][table]["files"]:
        body = functions.body(functions.ingestion, file["key"])
        rows += pq.read_table(io.BytesIO(body)).to_pylist()
    return {row[f"{table}_id"]: row for row in rows}


def test_a_needed_value_that_is_too_large_waits_outside_with_its_reason(
    functions: Functions,
) -> None:
    """Its row is in quarantine, all others are loaded, and it comes once it is small enough."""
    star = expected(functions.source)
    at = "'2024-11-15 10:00'"
    alter(
        functions,
        "ALTER TABLE address ALTER COLUMN address_line_2 SET STORAGE EXTERNAL",
        f"INSERT INTO design VALUES (901, {at}, 'huge', {HUGE}, 'file', {at})",
        "INSERT INTO address (address_id, address_line_1, address_line_2, city, postal_code,"
        f" country, phone, created_at, last_updated) VALUES (902, 'Street', {RANDOM}, 'Town',"
        f" '1234', 'Land', '123', {at}, {at})",
    )
    extracted = invoke_alone("extract")
    functions.transform()
    functions.load()

    assert (extracted["batch"], extracted["stopped"]) == (1, {})
    assert current(functions.warehouse) == star
    assert quarantined(functions, "design", 1) == {
        901: "file_location is larger than 1,048,576 bytes"
    }
    assert quarantined(functions, "address", 1) == {
        902: "address_line_2 is larger than 1,048,576 bytes"
    }
    objects = functions.objects()
    assert functions.run()["batch"] is None
    assert functions.objects() == objects

    alter(
        functions,
        "UPDATE design SET file_location = repeat('x', 1024 * 1024) WHERE design_id = 901",
        "UPDATE address SET address_line_2 = NULL WHERE address_id = 902",
    )
    assert functions.run()["rows"] == {"address": 1, "design": 1}
    assert open_rows(functions, 2) == {}
    assert current(functions.warehouse) == expected(functions.source)


def test_a_value_that_no_target_needs_is_left_out_if_it_is_too_large(functions: Functions) -> None:
    """Its row is loaded with all that is needed, and what else there is of it is kept."""
    hostile = identifier(HOSTILE)
    alter(
        functions,
        "ALTER TABLE staff ADD COLUMN photo bytea, ADD COLUMN words text[], ADD COLUMN more jsonb,"
        f" ADD COLUMN {hostile} character varying",
        "ALTER TABLE staff ALTER COLUMN photo SET STORAGE EXTERNAL",
        f"UPDATE staff SET photo = {RANDOM}::bytea, words = ARRAY[{HUGE}],"
        f" more = jsonb_build_object('a', {HUGE}), {hostile} = {HUGE} WHERE staff_id = 1",
        "UPDATE staff SET photo = 'abc', words = '{a,NULL}', more = '[1]',"
        f" {hostile} = repeat('x', 1024 * 1024) WHERE staff_id = 2",
        f"UPDATE staff SET words = ARRAY[{HUGE}], more = '{{}}' WHERE staff_id = 3",
        "ALTER TABLE department ADD COLUMN digits jsonb",
        f"UPDATE department SET digits = {MANY_DIGITS} WHERE department_id = 1",
    )
    with connect(functions.source.superuser_url) as source:
        assert storing_apart(source, TABLES.values()) == {"staff"}
    invoke_alone("extract")
    functions.transform()
    functions.load()

    assert current(functions.warehouse) == expected(functions.source)
    rows = extracted_rows(functions, "staff", 1)
    added = ("photo", "words", "more", HOSTILE)
    at_most = 1_048_576
    assert [rows[1][name] for name in added] == [None] * 4
    assert json.loads(rows[1]["_unfit"]) == dict.fromkeys(added, at_most)
    assert [rows[2][name] for name in added] == ["\\x616263", "{a,NULL}", "[1]", "x" * at_most]
    assert rows[2]["_unfit"] is None
    assert (rows[3]["words"], rows[3]["more"]) == (None, "{}")
    assert json.loads(rows[3]["_unfit"]) == {"words": at_most}
    assert extracted_rows(functions, "department", 1)[1]["digits"] is None
    assert disagreements(invoke_alone("reconcile")) == {}


def test_only_tables_that_store_values_apart_are_asked_for_sizes(functions: Functions) -> None:
    """A large value is found in every part of a table, and usual tables are read as ever."""
    with connect(functions.source.superuser_url) as source:
        assert storing_apart(source, TABLES.values()) == set()
        assert not any(
            columns_to_measure(columns, apart=False)
            for columns in read_columns(source, TABLES.values()).values()
        )

    alter(
        functions,
        "CREATE TABLE currency_of_old () INHERITS (currency)",
        "CREATE TABLE currency_of_long_ago (c text) INHERITS (currency_of_old)",
        "ALTER TABLE currency_of_long_ago ALTER COLUMN c SET STORAGE EXTERNAL",
        "INSERT INTO currency_of_long_ago VALUES"
        " (99, 'GBP', '2024-11-15 10:00', '2024-11-15 10:00', repeat('x', 10000))",
    )
    with connect(functions.source.superuser_url) as source:
        assert storing_apart(source, TABLES.values()) == {"currency"}
        assert columns_to_measure(
            read_columns(source, TABLES.values())["currency"], apart=True
        ) == ["currency_code"]
