"""A database that does not know the encoding of its text: a byte that is wrong costs one row."""

from collections.abc import Callable, Iterator

from pg8000.native import identifier

from local.connection import connect
from local.databases import create_source, source_writer_url
from local.postgres import PostgresServer
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected
from tests.pipeline.test_quarantine import open_rows, quarantined
from tests.postgres_fixtures import SAMPLE_NOW, SAMPLE_SCALE, Source, Warehouse

LATIN1 = "convert_from('\\x636166e9', 'SQL_ASCII')"  # café, as no UTF-8 has it


def sql_ascii_source(postgres: PostgresServer, name: str) -> Source:
    with connect(postgres.superuser_url()) as server:
        server.run(
            f"CREATE DATABASE {identifier(name)} TEMPLATE template0 ENCODING 'SQL_ASCII'"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        server.run(f"ALTER DATABASE {identifier(name)} SET client_encoding = 'UTF8'")
    url = create_source(postgres, "totesys", now=SAMPLE_NOW, scale=SAMPLE_SCALE, database=name)
    return Source(name, url, source_writer_url(postgres, name), postgres.superuser_url(name))


def test_a_byte_that_is_not_utf_8_costs_its_row_and_no_other(
    postgres: PostgresServer,
    database_numbers: Iterator[int],
    functions_on: Callable[[Source, Warehouse], Functions],
    new_warehouse: Callable[[], Warehouse],
) -> None:
    """Only a row whose text the star needs waits, its bytes readable, until it is corrected."""
    source = sql_ascii_source(postgres, f"totesys {next(database_numbers)}")
    functions = functions_on(source, new_warehouse())
    functions.run()
    with connect(source.superuser_url) as shop:
        [[address]] = shop.run(
            "SELECT min(address_id) FROM address"
            " WHERE address_id NOT IN (SELECT legal_address_id FROM counterparty)"
        )
        shop.run(f"UPDATE design SET design_name = {LATIN1} WHERE design_id = 1")
        shop.run(f"UPDATE address SET address_line_2 = {LATIN1} WHERE address_id = {address}")
        shop.run(f"UPDATE department SET manager = {LATIN1} WHERE department_id = 1")
        shop.run("UPDATE department SET department_name = 'Cafe' WHERE department_id = 1")

        extracted = functions.run()

        assert extracted["stopped"] == {}
        assert open_rows(functions, 2) == {"address": 1, "design": 1}
        assert quarantined(functions, "design", 2) == {1: "design_name caf\\xe9 is not valid UTF-8"}
        assert quarantined(functions, "address", 2) == {
            address: "address_line_2 caf\\xe9 is not valid UTF-8"
        }
        assert "Cafe" in {row[3] for row in current(functions.warehouse)["dim_staff"]}

        shop.run("UPDATE design SET design_name = 'Cafe' WHERE design_id = 1")
        shop.run(f"UPDATE address SET address_line_2 = NULL WHERE address_id = {address}")
        functions.run()

    assert current(functions.warehouse) == expected(source)
    assert open_rows(functions, 3) == {}
