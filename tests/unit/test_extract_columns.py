"""The columns of the source: how they are carried, and what is said when the star loses one."""

import pyarrow as pa
import pytest

import etl
from functions.sources.postgres.columns import Columns
from functions.sources.postgres.sqltypes import arrow_type, is_accepted, needed
from tests.totesys import TABLES

PAYMENT_TYPE = TABLES["payment_type"]
WHOLE = (
    ("payment_type_id", "integer"),
    ("payment_type_name", 'enum "PaymentTypeName"'),
    ("created_at", "timestamp(3) without time zone"),
)
ORDER = {
    "purchase_order_id": "integer",
    "item_code": "text",
    "item_quantity": "integer",
    "item_unit_price": "numeric(10,2)",
    "staff_id": "integer",
    "counterparty_id": "integer",
    "currency_id": "integer",
    "agreed_delivery_date": "text",
    "agreed_payment_date": "text",
    "agreed_delivery_location_id": "integer",
    "created_at": "timestamp(3) without time zone",
    "last_updated": "timestamp(3) without time zone",
}


def payment_type(*types: tuple[str, str], refused: str | None = None) -> Columns:
    return Columns(PAYMENT_TYPE, types, refused)


def purchase_order(**types: str) -> Columns:
    return Columns(TABLES["purchase_order"], tuple((ORDER | types).items()))


def test_a_table_that_has_what_the_star_needs_is_read() -> None:
    """More columns than the star knows, in any order, are no drift."""
    assert payment_type(*WHOLE).drift() is None
    assert payment_type(("extra", "point"), *reversed(WHOLE)).drift() is None


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            payment_type(),
            "table payment_type is not in schema public of the source (any more)",
        ),
        (
            payment_type(*WHOLE, refused="table"),
            "table payment_type: no right to read it: GRANT SELECT ON payment_type to this role",
        ),
        (
            payment_type(*WHOLE, refused="schema"),
            "table payment_type: no right to its schema: GRANT USAGE ON SCHEMA public TO this role",
        ),
        (
            payment_type(*WHOLE, refused="rows"),
            "table payment_type: row-level security hides rows of it: give this role BYPASSRLS",
        ),
        (
            payment_type(WHOLE[0]),
            "table payment_type: column payment_type_name is gone: was it dropped or renamed?",
        ),
        (
            payment_type(WHOLE[0], ("payment_type_name", "bytea")),
            "table payment_type: column payment_type_name is now bytea, and text is declared",
        ),
        (
            payment_type(("payment_type_id", "uuid"), WHOLE[1]),
            "table payment_type: column payment_type_id is now uuid, and integer is declared",
        ),
    ],
    ids=["gone", "no right", "schema", "rows", "column gone", "column retyped", "key retyped"],
)
def test_drift_is_reported_with_table_column_and_next_step(columns: Columns, message: str) -> None:
    """Each way in which a table can become unusable has its own message."""
    assert columns.drift() == message


@pytest.mark.parametrize(
    ("column", "types"),
    [
        ("item_quantity", ["smallint", "bigint"]),
        ("item_unit_price", ["numeric(12,4)", "numeric", "numeric(10,-2)"]),
        ("item_code", ["character varying(40)", "character varying", "character(9)", "enum x"]),
        ("created_at", ["timestamp without time zone", "timestamp(6) without time zone"]),
        (
            "agreed_payment_date",
            ["date", "text", "character varying(10)", "timestamp(3) without time zone"],
        ),
    ],
)
def test_a_wider_type_of_the_same_family_is_accepted(column: str, types: list[str]) -> None:
    """A column that can hold more than before stops nothing."""
    assert [purchase_order(**{column: sql_type}).drift() for sql_type in types] == [None] * len(
        types
    )


@pytest.mark.parametrize(
    ("column", "types"),
    [
        ("item_quantity", ["numeric(10,0)", "text", "real", "integer[]"]),
        ("item_unit_price", ["money", "double precision", "integer", "numeric(10,2)[]"]),
        ("item_code", ["integer", "json", "text[]", "citex"]),
        ("created_at", ["timestamp(3) with time zone", "date", "text"]),
        ("agreed_payment_date", ["timestamp(3) with time zone", "integer", "enum x"]),
    ],
)
def test_another_family_of_types_is_drift(column: str, types: list[str]) -> None:
    """A type that would have to be guessed at stops the table and is named."""
    for sql_type in types:
        message = purchase_order(**{column: sql_type}).drift()

        assert message is not None
        assert message.startswith(f"table purchase_order: column {column} is now {sql_type}, and ")


@pytest.mark.parametrize(
    ("sql_type", "expected"),
    [
        ("smallint", pa.int32()),
        ("integer", pa.int32()),
        ("bigint", pa.int64()),
        ("boolean", pa.bool_()),
        ("numeric(10,2)", pa.decimal128(10, 2)),
        ("numeric(38,38)", pa.decimal128(38, 38)),
        ("numeric(39,2)", pa.string()),
        ("numeric(2,4)", pa.string()),
        ("numeric(4,-2)", pa.string()),
        ("numeric", pa.string()),
        ("timestamp(0) without time zone", pa.timestamp("ms")),
        ("timestamp(3) without time zone", pa.timestamp("ms")),
        ("timestamp(4) without time zone", pa.timestamp("us")),
        ("timestamp without time zone", pa.timestamp("us")),
        ("timestamp(3) with time zone", pa.timestamp("ms", "UTC")),
        ("timestamp with time zone", pa.timestamp("us", "UTC")),
        ("time(3) without time zone", pa.string()),
        ("date", pa.string()),
        ("text", pa.string()),
        ("character varying(3)", pa.string()),
        ('enum "PaymentTypeName"', pa.string()),
        ("double precision", pa.float64()),
        ("real", pa.float64()),
        ("jsonb", pa.string()),
        ("integer[]", pa.string()),
    ],
)
def test_a_type_is_carried_exactly_or_as_text(sql_type: str, expected: pa.DataType) -> None:
    """No value is rounded: what Arrow cannot hold exactly stays PostgreSQL's own text."""
    assert arrow_type(sql_type) == expected


@pytest.mark.parametrize(
    ("column", "types", "others"),
    [
        (etl.SmallInteger(), ["smallint", "bigint"], ["numeric", "boolean"]),
        (etl.Real(), ["real", "double precision"], ["numeric", "integer"]),
        (etl.Text(), ["citext", "my schema.citext", "name", "bpchar"], ["citext[]", "xml"]),
        (etl.Time(), ["time without time zone"], ["time with time zone", "interval"]),
        (etl.Time(timezone=True), ["time(3) with time zone"], ["time without time zone"]),
        (etl.Timestamp(timezone=True), ["timestamp(0) with time zone"],
         ["timestamp without time zone", "date"]),
        (etl.UnixTime(), ["integer", "bigint"], ["numeric", "timestamp with time zone"]),
        (etl.Interval(), ["interval", "interval day to second(3)"], ["text"]),
        (etl.Uuid(), ["uuid"], ["text"]),
        (etl.Json(), ["json", "jsonb"], ["text"]),
        (etl.Bytes(), ["bytea"], ["text"]),
        (etl.Array(etl.Text()), ["text[]", "enum x (a, b)[]", "character(3)[][]"],
         ["text", "integer[]"]),
        (etl.Array(etl.Timestamp()), ["timestamp(3) without time zone[]"],
         ["timestamp with time zone[]"]),
        (etl.Other("inet"), ["inet"], ["cidr", "inet[]"]),
        (etl.Other("geometry"), ["gis.geometry", "gis.geometry(Point,4326)"], ["geometry2"]),
        (etl.Other("bit varying(5)"), ["bit varying(5)"], ["bit varying(6)", "bit(5)"]),
    ],
)  # fmt: skip
def test_each_declared_type_has_types_that_it_accepts(
    column: etl.Column, types: list[str], others: list[str]
) -> None:
    """The others stop the table: their values would have to be guessed at."""
    assert [sql_type for sql_type in types if not is_accepted(column, sql_type)] == []
    assert [sql_type for sql_type in others if is_accepted(column, sql_type)] == []


def test_no_declared_type_is_forgotten() -> None:
    """Whatever `etl` offers can be read from a source."""
    kinds = set(etl.Column.__subclasses__()) - {etl.Array, etl.Other}
    columns = [*(kind() for kind in kinds), etl.Array(etl.Text()), etl.Other("inet")]

    assert all(name and pattern for name, pattern in map(needed, columns))


def test_a_fingerprint_shows_every_change_of_the_columns() -> None:
    """Added, dropped, renamed, retyped and moved columns all give another fingerprint."""
    key, name, stamp = WHOLE
    tables = [
        (key, name, stamp),
        (key, name, stamp, ("extra", "text")),
        (key, name),
        (key, name, ("made_at", stamp[1])),
        (("payment_type_id", "bigint"), name, stamp),
        (name, key, stamp),
    ]

    assert len({payment_type(*types).fingerprint for types in tables}) == len(tables)
    assert payment_type(*WHOLE).fingerprint == payment_type(*WHOLE).fingerprint


def test_rows_have_a_place_for_values_that_fit_no_type() -> None:
    """It is no column of the source, and comes last."""
    assert payment_type(*WHOLE).schema.names == [
        "payment_type_id",
        "payment_type_name",
        "created_at",
        "_unfit",
    ]
