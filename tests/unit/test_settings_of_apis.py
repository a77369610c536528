"""What a deployment needs to ask APIs: a URL, a key where they want one, and rights for them."""

from pathlib import Path

import pytest

import pipelines
from deployer.configuration.declaration import read_secrets
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from deployer.resources.environments import function_environment
from deployer.resources.names import FunctionUse, Names
from deployer.resources.specs import parts

NAMES = Names("exchange-etl", "dev", "123456789012", "eu-west-2")
INGESTION, PROCESSED = NAMES.bucket_arn("ingestion"), NAMES.bucket_arn("processed")
FOLDER = Path(__file__).parent.parent / "pipelines"
KEY, URL = "k3y-abc", "https://exchange.example.com/v2?plan=s3cret"
SETTINGS = {
    "PIPELINE": "exchange",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:secret@db.example.com/warehouse",
    "EXCHANGE_URL": URL,
    "EXCHANGE_API_KEY": KEY,
}
USES: tuple[FunctionUse, ...] = ("extract", "transform", "load", "reconcile")


@pytest.fixture(autouse=True)
def exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])


def test_those_that_ask_know_where_and_with_which_secret() -> None:
    """The key itself is in Secrets Manager alone, and nobody else knows where."""
    settings = Settings.read(SETTINGS)

    assert settings.secrets["exchange-api"] == {"key": KEY}
    assert KEY not in repr(settings)
    assert "s3cret" not in repr(settings)
    for use in USES:
        found = function_environment(use, NAMES, settings)
        asks = use in ("extract", "reconcile")
        assert found.get("EXCHANGE_URL") == (URL if asks else None)
        assert found.get("EXCHANGE_API_SECRET_ID") == (
            NAMES.secret("exchange-api") if asks else None
        )
        assert KEY not in found.values()
        assert ("sources/rest" in parts(use, settings.declared)) == asks
    assert read_secrets(SETTINGS) == ["warehouse", "exchange-api"]


def test_an_optional_api_is_left_out_while_its_url_is_empty() -> None:
    """And what it alone would need."""
    settings = Settings.read(SETTINGS)
    assert [source.name for source in settings.left_out] == ["press"]
    assert settings.urls == {"exchange": URL}
    assert settings.reads_files

    both = Settings.read(SETTINGS | {"PRESS_URL": "http://localhost:8000/"})
    assert both.left_out == []
    assert function_environment("extract", NAMES, both)["PRESS_URL"] == "http://localhost:8000/"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("EXCHANGE_URL", "", "EXCHANGE_URL is not set. Example: EXCHANGE_URL=https://api."),
        ("EXCHANGE_URL", "http://example.com/a?s3cret", "does not begin with https://"),
        ("EXCHANGE_URL", "https://me:s3cret@example.com", "EXCHANGE_URL has a user in it"),
        ("EXCHANGE_API_KEY", "", "EXCHANGE_API_KEY is not set"),
        ("EXCHANGE_API_KEY", "s3cret and more", "EXCHANGE_API_KEY is not a key"),
        ("EXCHANGE_API_KEY", "s3cret\r\nX-Other:1", "EXCHANGE_API_KEY is not a key"),
        ("EXCHANGE_AT_MOST", "often", "EXCHANGE_AT_MOST is no time"),
    ],
)
def test_a_wrong_setting_is_named_and_not_shown(name: str, value: str, said: str) -> None:
    """One clear line, before anything is touched."""
    with pytest.raises(SettingsError) as raised:
        Settings.read(SETTINGS | {name: value})
    assert said in str(raised.value)
    assert "s3cret" not in str(raised.value)
