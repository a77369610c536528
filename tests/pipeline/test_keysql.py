"""The key of a row is the same in the source's SQL and in Arrow, for every type it may have."""

import pg8000.native
import pyarrow as pa
import pytest

from functions.common.copy import copy_out
from functions.common.keys import keys_of
from functions.sources.postgres import unfit
from functions.sources.postgres.keysql import hashed, key_sql
from functions.sources.postgres.snapshot import SESSION_PARAMETERS
from functions.sources.postgres.sqltypes import arrow_type
from local.connection import connect
from local.postgres import PostgresServer

# By SQL type: what its column may hold, as literals.
VALUES = {
    "smallint": ["-32768", "0", "32767"],
    "integer": ["-2147483648", "7"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "numeric(10,2)": ["0", "-0.01", "99999999.99"],
    "numeric(20,10)": ["0", "0.0000000001", "-1234567890.0000000001"],
    "numeric": ["0", "1.50", "1e40", "-1e-40"],
    "text": ["", "a,b", r"a\,b", "\\", "ü", "a\nb", '"', "'", "%s", ":name", "  ", "NULL", "𝕏"],
    "character varying(5)": ["", "a b  "],
    "character(5)": ["a", "a,", "üü"],
    "boolean": ["true", "false"],
    "date": ["2024-02-29", "0001-01-01", "infinity", "0044-03-15 BC"],
    "time without time zone": ["00:00", "24:00", "12:34:56.000001"],
    "time with time zone": ["12:34:56+02"],
    "timestamp without time zone": ["2024-02-29 12:34:56.000001", "0001-01-01", "9999-12-31 23:59"],
    "timestamp(3) without time zone": ["2024-02-29 12:34:56.789", "1066-10-14"],
    "timestamp with time zone": ["2024-02-29 12:34:56.000001+02", "2024-01-01 00:00Z"],
    "interval": ["1 day", "-1 mon 2.5 sec"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "bytea": [r"\x00ff"],
    "jsonb": ['{"b": 1, "a": [2, 3]}'],
    "integer[]": ["{1,2,NULL}"],
    "inet": ["10.0.0.1/8"],
}
WRITABLE = {"default_transaction_read_only": "off"}
NO_VALUE_IN_ARROW = ["infinity", "-infinity", "0044-03-15 BC", "12024-01-01"]


@pytest.fixture(scope="module")
def session(postgres: PostgresServer) -> pg8000.native.Connection:
    with connect(postgres.superuser_url()) as connection:
        for name, setting in (SESSION_PARAMETERS | WRITABLE).items():
            connection.run("SELECT set_config(:name, :setting, false)", name=name, setting=setting)
        yield connection


def assert_same(
    session: pg8000.native.Connection, types: list[str], rows: list[list[str | None]]
) -> None:
    """Assert that both sides make the same key of each row."""
    names = [f'Spalte "{place}" :x %' for place in range(len(types))]
    columns = ", ".join(
        f"{pg8000.native.identifier(name)} {sql_type}"
        for name, sql_type in zip(names, types, strict=True)
    )
    values = ", ".join(
        "(" + ", ".join(str(pg8000.native.literal(value)) for value in row) + ")" for row in rows
    )
    session.run("DROP TABLE IF EXISTS keyed")
    session.run(f"CREATE TEMPORARY TABLE keyed ({columns})")
    session.run(f"INSERT INTO keyed VALUES {values}")
    key = key_sql({name: arrow_type(kind) for name, kind in zip(names, types, strict=True)})
    carried = pa.schema(
        [*((name, arrow_type(kind)) for name, kind in zip(names, types, strict=True)),
         ("_unfit", pa.string()), ("key", pa.string())]
    )  # fmt: skip
    selected = ", ".join(map(pg8000.native.identifier, names))
    query = f"SELECT {selected}, {key} FROM keyed"
    found = pa.Table.from_batches(copy_out(session, query, carried, unfit.parse))

    assert keys_of(found, names).cast(pa.string()).to_pylist() == found["key"].to_pylist()
    assert found.num_rows == len(rows)


@pytest.mark.parametrize("sql_type", VALUES)
def test_a_key_of_one_column(session: pg8000.native.Connection, sql_type: str) -> None:
    """A value looks in SQL as it does when it was carried, and NULL is no key."""
    assert_same(session, [sql_type], [[value] for value in [*VALUES[sql_type], None]])


@pytest.mark.parametrize("sql_type", VALUES)
def test_a_key_of_several_columns(session: pg8000.native.Connection, sql_type: str) -> None:
    """Beside others, a value looks the same; without one of its values there is no key."""
    rows = [[value, "1", "a,b"] for value in [*VALUES[sql_type], None]]
    assert_same(session, [sql_type, "integer", "text"], [*rows, [rows[0][0], None, "a"]])


@pytest.mark.parametrize("sql_type", ["timestamp", "timestamp with time zone"])
def test_what_arrow_cannot_hold_is_no_key(session: pg8000.native.Connection, sql_type: str) -> None:
    """Such a row is in quarantine, under no key, on both sides."""
    assert_same(session, [f"{sql_type}"], [[value] for value in NO_VALUE_IN_ARROW])


def test_columns_of_different_collations_make_a_key(session: pg8000.native.Connection) -> None:
    """A key's texts are compared byte by byte, whatever order each column has."""
    session.run('CREATE TEMPORARY TABLE names (a text COLLATE "C", b text COLLATE "POSIX")')
    session.run("INSERT INTO names VALUES ('a,', 'x'), ('A', 'x')")
    key = key_sql({"a": pa.string(), "b": pa.string()})
    rows = session.run(f"SELECT key, hash FROM {hashed(key, 'names')} AS keys ORDER BY key")

    assert [key for key, _ in rows] == ["A,x", r"a\,,x"]
    assert len({value for _, value in rows}) == 2
