"""The parts of a query that need no database: moments, types of columns, the cache, answers."""

import io
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployer.errors import OperationError, SettingsError
from deployer.query import answers
from deployer.query.cache import IN_USE_SECONDS, Cache
from deployer.query.columns import NUMBER, columns_of, number_type, type_of
from deployer.query.moments import parse_as_of, standing
from etl import ddl, mysqlddl
from etl.loading import folder, load

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def marker(batch: int, minutes: int, **tables: int) -> dict[str, Any]:
    at = NOON + timedelta(minutes=minutes)
    return {"batch": batch, "written_at": at.isoformat(), "has": tables}


MARKERS = {1: marker(1, 0, t=1), 2: marker(3, 5, t=3), 3: marker(4, 9, t=4, new=2)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12", 12),
        ("2026-11-22", NOON.replace(hour=0)),
        ("2026-11-22T12:00", NOON),
        ("2026-11-22T12:00:00Z", NOON),
        ("2026-11-22 14:00+02:00", NOON),
    ],
)
def test_digits_are_a_batch_and_anything_else_a_time(text: str, found: Any) -> None:
    """A time without a zone is in UTC."""
    assert parse_as_of(text) == found


@pytest.mark.parametrize("text", ["", "-1", "yesterday", "2026-13-01", "1.5"])
def test_what_is_neither_is_refused(text: str) -> None:
    """The message shows both forms."""
    with pytest.raises(SettingsError, match="neither a batch nor a time: write 12, 2026-11-22"):
        parse_as_of(text)


def test_a_batch_counts_from_when_it_was_loaded() -> None:
    """Now is the newest marker, a time the last one until then, a batch the last one up to it."""
    now = standing(MARKERS, "s", None)
    then = standing(MARKERS, "s", NOON + timedelta(minutes=8))
    quiet = standing(MARKERS, "s", 2)  # it changed nothing, so it has no marker

    assert (now.batch, now.marker, now.has("t"), now.has("new")) == (4, 3, 4, 2)
    assert (then.batch, then.has("t")) == (3, 3)
    assert standing(MARKERS, "s", NOON + timedelta(minutes=5)).batch == 3
    assert standing(MARKERS, "s", NOON - timedelta(seconds=1)).batch == 0
    assert (quiet.batch, quiet.marker, quiet.has("t")) == (2, 1, 2)


def test_a_batch_is_meant_as_it_was_loaded_first() -> None:
    """With what a retry accepted before the next one, not as a restored warehouse got it again."""
    order = [1, 2, 2, 4, 2, 4, 5]
    markers = {number: marker(batch, number) for number, batch in enumerate(order, 1)}

    assert [standing(markers, "s", batch).marker for batch in range(1, 6)] == [1, 3, 3, 4, 7]


@pytest.mark.parametrize("batch", [0, 5])
def test_a_batch_that_is_not_loaded_is_no_moment(batch: int) -> None:
    """The message says which batches are."""
    with pytest.raises(OperationError, match="loaded are 1 to 4"):
        standing(MARKERS, "s", batch)
    with pytest.raises(OperationError, match="no batch is loaded yet"):
        standing({}, "s", 1)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("numeric(10, 2) NOT NULL", "DECIMAL(10, 2)"),
        ("decimal(5)", "DECIMAL(5, 0)"),
        ("numeric", NUMBER),
        ("decimal(65,30)", NUMBER),
        ("integer PRIMARY KEY", "INTEGER"),
        ("INT NOT NULL", "INTEGER"),
        ("bigint", "BIGINT"),
        ("integer[]", "VARCHAR"),
        ("interval", "VARCHAR"),
        ("tinyint(1)", "BOOLEAN"),
        ("timestamp(3) with time zone", "TIMESTAMP WITH TIME ZONE"),
        ("timestamp without time zone", "TIMESTAMP"),
        ("time with time zone", "VARCHAR"),
        ("time without time zone NOT NULL", "TIME"),
        ("datetime(6)", "TIMESTAMP"),
        ("date NOT NULL REFERENCES dim_date (date_id)", "DATE"),
        ("double precision", "DOUBLE"),
        ("varchar(16)", "VARCHAR"),
        ("point", "VARCHAR"),
        ("jsonb", "VARCHAR"),
    ],
)
def test_a_type_of_the_warehouse_has_one_in_duckdb(sql: str, kind: str) -> None:
    """Types that DuckDB has not, or holds less of, are text, as in the objects."""
    assert type_of(sql) == kind


def test_columns_are_those_of_the_statement() -> None:
    """Names are unquoted, and neither constraints, comments nor record numbers are columns."""
    found = columns_of(
        'CREATE TABLE "s"."t" (\n'
        '    "a ""b"", c" text DEFAULT \'x, y)\' NOT NULL,  -- a comment, with a comma\n'
        "    n serial PRIMARY KEY, price numeric(10, 2) CHECK (price > 0 AND price < 10),\n"
        '    key_ int, `x` int, CONSTRAINT c UNIQUE (key_), PRIMARY KEY ("a ""b"", c")\n'
        ") PARTITION BY RANGE (key_);"
    )

    assert found.record_id == "n"
    assert found.types == {
        'a "b", c': "VARCHAR",
        "price": "DECIMAL(10, 2)",
        "key_": "INTEGER",
        "x": "INTEGER",
    }


@pytest.mark.parametrize("pipeline", ["totesys", "retail", "stripe", "zipster"])
def test_the_columns_of_each_pipeline_are_those_that_it_declares(pipeline: str) -> None:
    """Also where they are in a file of DDL."""
    for target in load(pipeline).targets:
        make: Any = {"postgres": ddl.postgres, "mysql": mysqlddl.mysql}[target.kind]
        statements = make(target, "public", folder(pipeline))
        for table in target.tables:
            found = columns_of(statements[table.name])
            assert set(table.key) <= {*found.types}
            assert (found.record_id is not None) == (table.way == "history")
            if table.columns is not None:
                assert list(found.types) == list(table.columns)


def test_a_number_of_any_size_is_exact() -> None:
    """Beyond what a decimal holds it stays text."""
    assert number_type(3, 2) == "DECIMAL(18, 2)"
    assert number_type(20, 18) == "DECIMAL(38, 18)"
    assert number_type(21, 18) == "VARCHAR"


def test_the_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    """Over its bound it removes the oldest files, and none that a run may be using."""
    now = [0.0]
    cache = Cache(tmp_path, at_most=25, clock=lambda: now[0])
    for name in ("old", "used", "new"):
        cache.keep(name, bytes(10))
        cache.find(name)
        now[0] += 1
    cache.find("used")
    now[0] += IN_USE_SECONDS / 2
    cache.trim()
    assert {path.name for path in tmp_path.iterdir()} == {"old", "used", "new"}

    now[0] += IN_USE_SECONDS
    cache.trim()
    assert {path.name for path in tmp_path.iterdir()} == {"used", "new"}
    assert cache.find("old") is None


@pytest.mark.parametrize("left", [b"", b"PA", bytes(100), b"PAR1" + bytes(96)])
def test_a_parquet_file_without_its_ends_is_fetched_again(tmp_path: Path, left: bytes) -> None:
    """A machine that stopped leaves a name without all bytes: that is no object."""
    cache = Cache(tmp_path)
    path = cache.keep("object.parquet", b"PAR1" + b"rows" + b"PAR1")
    assert cache.find("object.parquet") == path

    path.write_bytes(left)
    assert cache.find("object.parquet") is None


def test_csv_tells_null_from_an_empty_text() -> None:
    """And quotes what would be read as something else."""
    to = io.StringIO()

    rows = [(None, ""), ("a,b", 'say "x"'), (" a", "line\nbreak")]
    assert answers.write_csv(to, ["a", "b,c"], rows) == 3
    assert to.getvalue() == 'a,"b,c"\n,""\n"a,b","say ""x"""\n" a","line\nbreak"\n'


def test_json_has_numbers_that_json_can_hold() -> None:
    """Decimals and what is no number in JSON are texts; no column hides another."""
    rows = [("1", "1.50", "nan", "true", None), ("-2", "0.1", "0.5", "false", "x")]
    found = answers.as_json(
        ["n", "d", "f", "b", "n"], ["HUGEINT", "DECIMAL(9,2)", "DOUBLE", "BOOLEAN", "VARCHAR"], rows
    )

    assert found == [
        {"n": 1, "d": "1.50", "f": "nan", "b": True, "n_2": None},
        {"n": -2, "d": "0.1", "f": 0.5, "b": False, "n_2": "x"},
    ]
    json.dumps(found, allow_nan=False)


def test_a_table_that_is_too_wide_has_one_column_a_line() -> None:
    """And more rows than a person reads are counted, not shown."""
    wide = answers.as_table(["name", "text"], ["VARCHAR"] * 2, iter([("a", "b" * 80)]), 80)
    assert [str(part) for part in wide] == ["- 1", "name  a", f"text  {'b' * 80}", "(1 row)"]

    rows = (("1",) for _ in range(answers.SHOWN + 5))
    *_, count, more = answers.as_table(["n"], ["INTEGER"], rows, 80)
    assert (count, more) == (
        "(1,005 rows)",
        "The first 1,000 are shown: --format csv has all of them",
    )


def one_row() -> pa.RecordBatchReader:
    return pa.table({"n": [1]}).to_reader()


def test_parquet_replaces_no_device_and_no_link(tmp_path: Path) -> None:
    """A device or a pipe stays what it is, and of a link the file that it names is replaced."""
    file, link, pipe = (tmp_path / name for name in ("file", "link", "pipe"))
    link.symlink_to(file)
    assert answers.write_parquet(link, one_row()) == 1
    assert link.is_symlink()
    assert pq.read_table(file).to_pylist() == [{"n": 1}]

    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert answers.write_parquet(pipe, one_row()) == 1
    assert pipe.is_fifo()
    assert pq.read_table(io.BytesIO(os.read(reader, 65_536))).to_pylist() == [{"n": 1}]
    os.close(reader)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link", "pipe"}

    with pytest.raises(OperationError, match=r"Is a directory"):
        answers.write_parquet(tmp_path, one_row())
