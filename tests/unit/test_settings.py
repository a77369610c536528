"""Reading the settings: what is accepted, the defaults, and how mistakes are reported."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import pipelines
from deployer.configuration.apis import ReportSettings
from deployer.configuration.databases import DatabaseAddress
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from deployer.resources.environments import function_environment
from deployer.resources.names import Names
from deployer.resources.specs import FUNCTIONS
from tests.unit.reading_settings import EXAMPLE, REQUIRED, problems


def test_only_the_databases_are_required() -> None:
    """Two addresses make a deployment; everything else has a default."""
    assert Settings.read(REQUIRED) == Settings(
        pipeline="totesys",
        databases={
            "source": DatabaseAddress(
                host="localhost",
                port=5432,
                username="reader",
                password="s3cret",
                dbname="totesys",
                sslmode="disable",
                ca=None,
            ),
            "warehouse": DatabaseAddress(
                host="db.example.com",
                port=6543,
                username="loader",
                password="s3cret",
                dbname="warehouse",
                sslmode="verify-full",
                ca=None,
            ),
        },
        own={"RATES_AT_MOST": "1 hour"},
        reports=ReportSettings(
            "warehouse", why_off="REPORTS_TOKEN is not set, and REPORTS_AUTH is not iam"
        ),
        warehouse_schema="public",
        warehouse_managed=False,
        alert_email=None,
        notify="failures",
        project="totesys-etl",
        stage="dev",
        extract_schedule="rate(1 minute)",
        load_schedule="rate(2 minutes)",
        expires_at=None,
        runtime="python3.13",
        architecture="arm64",
    )


def test_everything_can_be_set() -> None:
    """Each setting ends where it belongs; a time without a zone is UTC."""
    settings = Settings.read(
        {
            **REQUIRED,
            "WAREHOUSE_SCHEMA": "Team 7",
            "WAREHOUSE_MANAGED": "true",
            "ALERT_EMAIL": "team@example.com",
            "NOTIFY": "every-batch",
            "PROJECT": "shop",
            "STAGE": "prod",
            "EXTRACT_SCHEDULE": "rate(5 minutes)",
            "LOAD_SCHEDULE": "cron(0/10 8-18 ? * MON-FRI *)",
            "SANDBOX_EXPIRES_AT": "2025-01-31T18:00:00",
            "LAMBDA_RUNTIME": "python3.12",
            "LAMBDA_ARCHITECTURE": "x86_64",
        }
    )

    assert settings == Settings(
        pipeline="totesys",
        databases=settings.databases,
        own={"RATES_AT_MOST": "1 hour"},
        reports=settings.reports,
        warehouse_schema="Team 7",
        warehouse_managed=True,
        alert_email="team@example.com",
        notify="every-batch",
        project="shop",
        stage="prod",
        extract_schedule="rate(5 minutes)",
        load_schedule="cron(0/10 8-18 ? * MON-FRI *)",
        expires_at=datetime(2025, 1, 31, 18, tzinfo=UTC),
        runtime="python3.12",
        architecture="x86_64",
    )


def test_an_empty_variable_is_not_set() -> None:
    """`STAGE=` in a .env file means the default, as if the line were not there."""
    assert Settings.read({**REQUIRED, "STAGE": "", "ALERT_EMAIL": ""}) == Settings.read(REQUIRED)


@pytest.mark.parametrize("value", ["True", "yes", "1", " true", "off"])
def test_a_switch_is_true_or_false(value: str) -> None:
    """Nobody has to guess how anything else is read: it is refused."""
    assert problems(WAREHOUSE_MANAGED=value) == [
        "WAREHOUSE_MANAGED must be one of false, true. Example: WAREHOUSE_MANAGED=false"
    ]


@pytest.mark.parametrize("value", ["true", "false"])
def test_load_gets_the_setting_of_a_warehouse_of_ours(value: str) -> None:
    """It goes to load, which makes what is missing, and to reconcile, which looks for it."""
    settings = Settings.read({**REQUIRED, "WAREHOUSE_MANAGED": value})
    names = Names(settings.project, settings.stage, "123456789012", "eu-west-2")

    given = {
        spec.use: function_environment(spec.use, names, settings).get("WAREHOUSE_MANAGED")
        for spec in FUNCTIONS
    }

    others = dict.fromkeys(("extract", "transform", "page"))
    assert given == {**others, "load": value, "reconcile": value}


def test_extract_gets_how_changed_rows_of_a_source_are_found() -> None:
    """By a scan, unless the owner of the source allows its log to be read."""
    logged = Settings.read({**REQUIRED, "SOURCE_CAPTURE": "wal"})
    names = Names(logged.project, logged.stage, "123456789012", "eu-west-2")

    given = {
        spec.use: function_environment(spec.use, names, logged).get("SOURCE_CAPTURE")
        for spec in FUNCTIONS
    }

    assert given == {**dict.fromkeys(given), "extract": "wal"}
    assert Settings.read({**REQUIRED, "SOURCE_CAPTURE": "scan"}) == Settings.read(REQUIRED)
    assert problems(SOURCE_CAPTURE="log") == [
        "SOURCE_CAPTURE must be one of scan, wal. Example: SOURCE_CAPTURE=scan"
    ]


def test_all_problems_are_reported_at_once() -> None:
    """Everything that is missing or malformed is named in one run, one line each."""
    with pytest.raises(SettingsError) as caught:
        Settings.read({"STAGE": "Prod!", "LAMBDA_ARCHITECTURE": "mips"})

    assert str(caught.value).splitlines() == [
        f"SOURCE_DATABASE_URL is not set. Example: SOURCE_DATABASE_URL={EXAMPLE}",
        f"WAREHOUSE_DATABASE_URL is not set. Example: WAREHOUSE_DATABASE_URL={EXAMPLE}",
        "STAGE is malformed: 'Prod!'. Example: STAGE=dev",
        "LAMBDA_ARCHITECTURE must be one of arm64, x86_64. Example: LAMBDA_ARCHITECTURE=arm64",
    ]


@pytest.mark.parametrize("name", ["WAREHOUSE_SCHEMA", "STAGE", "LOAD_SCHEDULE", "ALERT_EMAIL"])
def test_an_address_in_the_wrong_variable_is_not_shown(name: str) -> None:
    """Mixing up two lines of `.env` puts no password into the log of a build."""
    shown = problems(**{name: f"postgresql://reader:s3cret@db.example.com/{'x' * 64}"})

    assert "s3cret" not in shown[0]
    assert "(a URL)" in shown[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROJECT", "Shop"),
        ("PROJECT", "shop-"),
        ("STAGE", "a b"),
        ("ALERT_EMAIL", "team"),
        ("NOTIFY", "always"),
        ("EXTRACT_SCHEDULE", "rate(1 minutes)"),
        ("EXTRACT_SCHEDULE", "rate(5 minute)"),
        ("LOAD_SCHEDULE", "cron(* * *)"),
        ("LOAD_SCHEDULE", "every minute"),
        ("SANDBOX_EXPIRES_AT", "friday"),
        ("LAMBDA_RUNTIME", "python2.7"),
        ("LAMBDA_RUNTIME", "python3.11"),
        ("WAREHOUSE_SCHEMA", "s" * 64),
    ],
)
def test_a_malformed_setting_is_one_line_with_its_name(name: str, value: str) -> None:
    """A value that AWS or PostgreSQL would refuse later is refused before anything is touched."""
    lines = problems(**{name: value})

    assert [line.split()[0] for line in lines] == [name]


def test_a_runtime_that_cannot_load_the_wheels_is_refused_with_the_reason() -> None:
    """Its functions would be deployed, and fail at their first import."""
    [line] = problems(LAMBDA_RUNTIME="python3.11")

    assert line == (
        "LAMBDA_RUNTIME is too old: python3.11 runs on Amazon Linux 2, whose glibc 2.26 cannot "
        "load the layers' wheels. Example: LAMBDA_RUNTIME=python3.13"
    )


@pytest.fixture
def other_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pipeline with two sources, one of which need not be there."""
    declaration = """
from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest

item = Table("item", key="id", columns={"id": Integer()})

@latest(key="id")
def kept(item):
    return item

PIPELINE = Pipeline(
    sources=[Postgres("shop", (item,)), Postgres("books", (), optional=True)],
    targets=[PostgresWarehouse("archive", (kept,))],
)
"""
    folder = tmp_path / "corner_shop"
    folder.mkdir()
    (folder / "pipeline.py").write_text(declaration)
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(tmp_path)])
    return folder.name


def test_each_pipeline_has_databases_under_its_own_names(other_pipeline: str) -> None:
    """Which addresses are needed, and what the project is called, follows from the pipeline."""
    settings = Settings.read(
        {
            "PIPELINE": other_pipeline,
            "SHOP_DATABASE_URL": REQUIRED["SOURCE_DATABASE_URL"],
            "BOOKS_DATABASE_URL": REQUIRED["SOURCE_DATABASE_URL"],
            "ARCHIVE_DATABASE_URL": REQUIRED["WAREHOUSE_DATABASE_URL"],
        }
    )
    names = Names(settings.project, settings.stage, "123456789012", "eu-west-2")

    assert (settings.project, list(settings.databases)) == (
        "corner-shop-etl",
        ["shop", "books", "archive"],
    )
    assert {
        name: value
        for name, value in function_environment("reconcile", names, settings).items()
        if name.endswith("SECRET_ID")
    } == {
        "SHOP_SECRET_ID": "corner-shop-etl/dev/shop",
        "BOOKS_SECRET_ID": "corner-shop-etl/dev/books",
        "ARCHIVE_SECRET_ID": "corner-shop-etl/dev/archive",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.read({"PIPELINE": other_pipeline})
    assert caught.value.problems == tuple(
        f"{name}_DATABASE_URL is not set. Example: {name}_DATABASE_URL={EXAMPLE}"
        for name in ("SHOP", "ARCHIVE")
    )


def test_an_optional_source_without_an_address_is_left_out(other_pipeline: str) -> None:
    """It gets no secret, and no function the name of one; everything else goes on."""
    settings = Settings.read(
        {
            "PIPELINE": other_pipeline,
            "SHOP_DATABASE_URL": REQUIRED["SOURCE_DATABASE_URL"],
            "BOOKS_DATABASE_URL": "",
            "ARCHIVE_DATABASE_URL": REQUIRED["WAREHOUSE_DATABASE_URL"],
        }
    )
    names = Names(settings.project, settings.stage, "123456789012", "eu-west-2")

    assert list(settings.databases) == ["shop", "archive"]
    assert [source.name for source in settings.left_out] == ["books"]
    assert "BOOKS_SECRET_ID" not in function_environment("extract", names, settings)


def test_a_pipeline_that_is_not_there_is_one_line() -> None:
    """The line names the pipelines that there are; nothing else is read."""
    [problem] = problems(PIPELINE="totsys", STAGE="no stage")

    assert problem == (
        "there is no pipelines/totsys/pipeline.py: PIPELINE may be retail, stripe, totesys, zipster"
    )


def test_a_warehouse_that_load_creates_has_to_be_declared(other_pipeline: str) -> None:
    """A table of which nobody says what columns it has is found before anything is deployed."""
    settings = {
        "PIPELINE": other_pipeline,
        "SHOP_DATABASE_URL": REQUIRED["SOURCE_DATABASE_URL"],
        "ARCHIVE_DATABASE_URL": REQUIRED["WAREHOUSE_DATABASE_URL"],
    }
    Settings.read(settings)

    with pytest.raises(SettingsError, match=r"^target table kept cannot be created"):
        Settings.read({**settings, "WAREHOUSE_MANAGED": "true"})
