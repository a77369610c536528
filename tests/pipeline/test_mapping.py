"""One run loads the whole source into the warehouse, exactly as the mapping says."""

from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected, records

HOSTILE_TEXT = (
    "O'Hara",
    'say "hello", then \\. and \\N',
    "line one\nline two\r\nline three",
    "",
    "NULL",
    "  leading and trailing  ",
    "Ωmega, naïve, 日本語, 😀",
    "'); DROP TABLE staff; --",
    "08841",
    "\t,;|$1:name%s",
)


def test_every_star_table_equals_the_mapping_in_plain_sql(functions: Functions) -> None:
    """After one run the warehouse is what the mapping says, row by row and value by value."""
    functions.run()

    assert current(functions.warehouse) == expected(functions.source)


def test_text_arrives_as_it_is(functions: Functions) -> None:
    """Nothing is cleaned, trimmed, or taken for NULL."""
    with connect(functions.source.superuser_url) as source:
        for row, text in enumerate(HOSTILE_TEXT, start=1):
            source.run(
                "UPDATE address SET address_line_2 = :text WHERE address_id = :id",
                text=text,
                id=row,
            )
            source.run(
                "UPDATE design SET design_name = :text WHERE design_id = :id", text=text, id=row
            )

    functions.run()

    assert current(functions.warehouse) == expected(functions.source)


def test_extreme_values_arrive_as_they_are(functions: Functions) -> None:
    """The largest and smallest amounts, years, times and ids come through exactly."""
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE sales_order SET unit_price = 99999999.99 WHERE sales_order_id = 1")
        source.run("UPDATE sales_order SET unit_price = -0.01 WHERE sales_order_id = 2")
        source.run("UPDATE sales_order SET units_sold = 2147483647 WHERE sales_order_id = 3")
        source.run("UPDATE payment SET created_at = '2023-01-01 00:00:00' WHERE payment_id = 1")
        source.run("UPDATE payment SET created_at = '2023-01-01 23:59:59.999' WHERE payment_id = 2")
        source.run("UPDATE payment SET payment_date = '2100-12-31' WHERE payment_id = 3")

    functions.run()

    assert current(functions.warehouse) == expected(functions.source)


def test_a_second_run_writes_nothing(functions: Functions) -> None:
    """With nothing new there is no batch, no object and no record."""
    functions.run()
    objects, history = functions.objects(), records(functions.warehouse)

    extracted = functions.run()

    assert (extracted["batch"], extracted["rows"]) == (None, {})
    assert functions.objects() == objects
    assert records(functions.warehouse) == history
