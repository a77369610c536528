"""The settings of a pipeline whose warehouse is MySQL: its URL, its database, its layer."""

from pathlib import Path

import pytest

import pipelines
from deployer.configuration.databases import DatabaseAddress
from deployer.configuration.settings import Settings, read_schema
from deployer.errors import SettingsError
from deployer.resources.environments import function_environment
from deployer.resources.names import Names
from deployer.resources.specs import layers_of, parts
from etl import DeclarationError, MysqlWarehouse
from etl.loading import load

URL = "mysql://loader:s3cret@db.example.com/harbour"
REQUIRED = {"PIPELINE": "harbour", "WAREHOUSE_DATABASE_URL": URL}
EXAMPLE = "mysql://user:password@host:3306/database"
FOLDER = Path(__file__).parent.parent / "pipelines"


@pytest.fixture(autouse=True)
def harbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])


def problems(**changed: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.read({**REQUIRED, **changed})
    return list(caught.value.problems)


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_a_url_says_where_the_warehouse_is(scheme: str) -> None:
    """The port is MySQL's unless it is given, and TLS is checked unless the URL says otherwise."""
    url = f"{scheme}://loader:s3cret%40@db.example.com/harbour"

    settings = Settings.read({**REQUIRED, "WAREHOUSE_DATABASE_URL": url})

    assert settings.databases["warehouse"] == DatabaseAddress(
        host="db.example.com",
        port=3306,
        username="loader",
        password="s3cret@",
        dbname="harbour",
        sslmode="verify-full",
    )


def test_the_schema_is_the_database_of_the_url() -> None:
    """Unless WAREHOUSE_SCHEMA names another database of the server, of a length that MySQL has."""
    names = Names("harbour-etl", "dev", "123456789012", "eu-west-2")

    for changed, schema in (({}, "harbour"), ({"WAREHOUSE_SCHEMA": "d" * 64}, "d" * 64)):
        settings = Settings.read({**REQUIRED, **changed})
        assert settings.warehouse_schema == schema
        assert function_environment("load", names, settings)["WAREHOUSE_SCHEMA"] == schema
    [problem] = problems(WAREHOUSE_SCHEMA="d" * 65)
    assert problem.startswith("WAREHOUSE_SCHEMA is malformed: 'ddd")


def test_the_ddl_is_for_a_database_that_is_named() -> None:
    """By either setting; with neither it says what to set."""
    declared = load("harbour")

    assert read_schema({"WAREHOUSE_DATABASE_URL": URL}, declared) == "harbour"
    assert read_schema({"WAREHOUSE_SCHEMA": "Team 7"}, declared) == "Team 7"
    with pytest.raises(SettingsError, match="WAREHOUSE_SCHEMA is not set, and the warehouse's URL"):
        read_schema({}, declared)


def test_the_url_of_another_kind_of_database_is_one_line() -> None:
    """It says what is declared and shows a URL of that kind, and never the password."""
    assert problems(WAREHOUSE_DATABASE_URL="postgresql://loader:s3cret@host/db") == [
        (
            "WAREHOUSE_DATABASE_URL is the URL of a PostgreSQL database, but MySQL is declared. "
            f"Example: WAREHOUSE_DATABASE_URL={EXAMPLE}"
        )
    ]
    assert problems(WAREHOUSE_DATABASE_URL="") == [
        f"WAREHOUSE_DATABASE_URL is not set. Example: WAREHOUSE_DATABASE_URL={EXAMPLE}"
    ]


def test_models_and_exports_are_refused_when_they_are_declared() -> None:
    """Not at night, when load would come to them; the line says what to do instead."""
    [ships, *_] = load("harbour").targets[0].tables

    with pytest.raises(DeclarationError) as error:
        MysqlWarehouse("warehouse", (ships,), exports=(ships,))
    assert str(error.value) == (
        "target warehouse: a MySQL target has no models and no exports: write a view, or declare a "
        "PostgresWarehouse"
    )


def test_functions_get_the_driver_that_they_use() -> None:
    """Load and reconcile have MySQL's, and none of a pipeline without it has PostgreSQL's."""
    declared = load("harbour")

    assert parts("load", declared) == ["targets/mysql"]
    assert layers_of("extract", "harbour", declared) == ("arrow",)
    assert layers_of("transform", "harbour", declared) == ("arrow", "pandas")
    assert layers_of("load", "harbour", declared) == ("arrow", "mysql")
    assert layers_of("reconcile", "harbour", declared) == ("arrow", "mysql", "pandas")
