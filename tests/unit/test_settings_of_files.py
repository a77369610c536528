"""The settings of a pipeline of files: whose they are, how much may be refused, and its own."""

from collections.abc import Mapping
from pathlib import Path

import pytest

import pipelines
from deployer.configuration.reader import RemoteBucket
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from deployer.resources.costs import monthly_cost
from deployer.resources.environments import function_environment
from deployer.resources.names import FunctionUse, Names
from deployer.resources.specs import layers_of, parts

REQUIRED = {
    "PIPELINE": "market",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:s3cret@db.example.com/warehouse",
}
THEIRS = {"STALLS_BUCKET": "their-bucket", "STALLS_PREFIX": "out/", "STALLS_REGION": "eu-west-1"}
FOLDER = Path(__file__).parent.parent / "pipelines"


@pytest.fixture(autouse=True)
def market(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])


def environment(use: FunctionUse, settings: Settings) -> dict[str, str]:
    """Return the environment of a function, without that of every function."""
    names = Names(settings.project, settings.stage, "123456789012", "eu-west-2")
    variables = function_environment(use, names, settings)
    return {name: value for name, value in variables.items() if not name.startswith("POWERTOOLS")}


def problems(**changed: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.read({**REQUIRED, **changed})
    return list(caught.value.problems)


def test_a_pipeline_of_files_needs_the_warehouse_alone() -> None:
    """No database is a source; schema and notices are what the declaration says."""
    settings = Settings.read(REQUIRED)

    assert list(settings.databases) == ["warehouse"]
    assert (settings.warehouse_schema, settings.notify) == ("staging", "every-batch")
    assert settings.own == {"MARKET_TAX": "5", "MARKET_AT_MOST": "1 day"}
    assert (settings.takes_files, settings.max_rejects) == (True, "5%")


def test_somebody_elses_bucket_is_named_by_settings() -> None:
    """It may have a prefix and a region; without its name the optional source is left out."""
    settings = Settings.read({**REQUIRED, **THEIRS})
    without = Settings.read({**REQUIRED, **THEIRS, "STALLS_BUCKET": ""})

    assert settings.buckets == {"stalls": RemoteBucket("their-bucket", "out/", "eu-west-1")}
    assert settings.left_out == []
    assert (without.buckets, [each.name for each in without.left_out]) == ({}, ["stalls"])


def test_each_function_gets_what_it_goes_by() -> None:
    """Extract finds the files and its last batch, transform what may be refused, all their own."""
    settings = Settings.read({**REQUIRED, **THEIRS, "MAX_REJECTS": "off", "MARKET_TAX": "20"})
    ingestion, processed, drop = (
        f"market-etl-dev-123456789012-eu-west-2-{use}" for use in ("ingestion", "processed", "drop")
    )
    common = {
        "PROJECT": "market-etl",
        "STAGE": "dev",
        "PIPELINE": "market",
        "MARKET_TAX": "20",
        "MARKET_AT_MOST": "1 day",
    }

    assert environment("extract", settings) == {
        **common,
        **THEIRS,
        "INGESTION_BUCKET": ingestion,
        "PROCESSED_BUCKET": processed,
        "DROP_BUCKET": drop,
    }
    assert environment("transform", settings) == {
        **common,
        "INGESTION_BUCKET": ingestion,
        "PROCESSED_BUCKET": processed,
        "MAX_REJECTS": "off",
        "STALLS_PREFIX": THEIRS["STALLS_PREFIX"],
    }
    assert environment("load", settings).items() >= {**common, "NOTIFY": "every-batch"}.items()
    assert environment("reconcile", settings).items() >= {**common, **THEIRS}.items()


def test_a_source_that_is_left_out_is_in_no_environment() -> None:
    """Functions know of its bucket only where there is one."""
    found = environment("extract", Settings.read(REQUIRED))

    assert not [name for name in found if name.startswith("STALLS")]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"STALLS_BUCKET": "s3://a/b"}, "STALLS_BUCKET is malformed: (a URL). Example: "),
        (
            {**THEIRS, "STALLS_PREFIX": "*"},
            "STALLS_PREFIX is malformed: '*'. Example: STALLS_PREFIX=exports/",
        ),
        (
            {**THEIRS, "STALLS_REGION": "Ireland"},
            "STALLS_REGION is malformed: 'Ireland'. Example: STALLS_REGION=eu-west-1",
        ),
        ({"MAX_REJECTS": "a few"}, "MAX_REJECTS is not a share: 'a few'. Example: MAX_REJECTS=5%"),
        ({"MARKET_AT_MOST": "often"}, "MARKET_AT_MOST is no time: write 1 day, 12 hours or 30"),
    ],
)
def test_a_malformed_setting_is_one_line(changed: Mapping[str, str], problem: str) -> None:
    """It names the setting, and what it may be."""
    [said] = problems(**changed)

    assert said.startswith(problem)


def test_the_pipeline_says_what_is_wrong_with_a_setting_of_its_own() -> None:
    """The reason is that of its declaration, the example its default."""
    assert problems(MARKET_TAX="high") == [
        "MARKET_TAX is no whole number of percent: 'high'. Example: MARKET_TAX=5"
    ]


def test_functions_get_the_kinds_and_layers_that_they_use() -> None:
    """Extract has no database driver where no source is a database."""
    declared = Settings.read(REQUIRED).declared

    assert parts("extract", declared) == ["sources/files"]
    assert parts("load", declared) == ["targets/postgres"]
    assert layers_of("extract", "market", declared) == ("arrow",)
    assert layers_of("transform", "market", declared) == ("arrow", "pandas")
    assert layers_of("load", "market", declared) == ("arrow", "postgres")


def test_what_a_pipeline_imports_itself_is_a_layer_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its requirements.txt is for the functions that run its code, and not for extract."""
    declared = Settings.read(REQUIRED).declared
    monkeypatch.setattr("deployer.resources.specs.requirements", lambda _: Path(__file__))

    assert layers_of("extract", "market", declared) == ("arrow",)
    for use in ("transform", "load", "reconcile"):
        assert layers_of(use, "market", declared)[-1] == "pipeline"


def test_without_databases_as_sources_extract_costs_no_secret() -> None:
    """Only load and reconcile look up where the warehouse is; what files add is counted."""
    lines = monthly_cost(Settings.read(REQUIRED)).text().splitlines()

    assert "    0.51  Secrets Manager     1 secret, 21,660 reads" in lines
    assert "    1.60  CloudWatch alarms   16 alarms" in lines
    assert "    6.60  CloudWatch metrics  12 custom, 1 dashboard" in lines


@pytest.mark.parametrize(
    ("notify", "writers"),
    [
        ("failures", set()),
        ("daily", {"reconcile"}),
        ("every-batch", {"load"}),
        ("every-file", {"load"}),
        ("steps", {"extract", "transform", "load"}),
    ],
)
def test_functions_that_write_the_chosen_notices_know_of_it(
    notify: str, writers: set[FunctionUse]
) -> None:
    """And no others: who writes nothing has no topic."""
    settings = Settings.read({**REQUIRED, "NOTIFY": notify})
    uses: tuple[FunctionUse, ...] = ("extract", "transform", "load", "reconcile")

    assert {use for use in uses if environment(use, settings).get("NOTIFY")} == writers
    assert {use for use in uses if "NOTICE_TOPIC_ARN" in environment(use, settings)} == writers


@pytest.mark.parametrize("notify", ["every-file", "steps"])
def test_a_pipeline_without_files_has_no_notices_of_them(notify: str) -> None:
    """Whoever chooses them would wait for mails that never come."""
    stripe = {"PIPELINE": "stripe", "STRIPE_WEBHOOK_SECRET": "whsec_1"}

    assert problems(**stripe, NOTIFY=notify) == [
        "NOTIFY must be one of failures, daily, every-batch. Example: NOTIFY=failures"
    ]


def test_each_step_of_a_file_costs_a_mail() -> None:
    """Five times as many as a mail for each file."""
    mails = {
        notify: monthly_cost(Settings.read({**REQUIRED, "NOTIFY": notify})).text()
        for notify in ("every-file", "steps")
    }

    assert "1,330 e-mails" in mails["every-file"]
    assert "6,610 e-mails" in mails["steps"]
