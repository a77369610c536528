"""The rates of totesys: the declaration of the bank's API, and the sample that stands in for it."""

import csv
import io
import re
from datetime import date, datetime

import pytest
import urllib3

import etl.testing
from deployer.configuration.settings import Settings
from local.stand_ins import SampleApis
from pipelines.totesys.pipeline import PIPELINE
from pipelines.totesys.sample.rates import answer
from tests.ecb import COLUMNS

SUNDAY = datetime(2026, 11, 22, 12)
DATABASES = {
    "SOURCE_DATABASE_URL": "postgresql://reader:one@localhost/totesys",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:two@localhost/warehouse",
}
RATE = {"TIME_PERIOD": "2026-11-20", "CURRENCY_DENOM": "EUR", "CURRENCY": "GBP"}


def rows_of(query: dict[str, str], now: datetime = SUNDAY) -> list[dict[str, str]]:
    _, body = answer("rates", query, now)
    return list(csv.DictReader(io.StringIO(body.decode())))


def test_rates_are_optional() -> None:
    """Without RATES_URL the pipeline is what it was."""
    settings = Settings.read(DATABASES)
    assert "rates" in [source.name for source in settings.left_out]
    assert settings.own == {"RATES_AT_MOST": "1 hour"}
    assert not settings.reads_files


def test_a_rate_is_kept_with_each_of_its_digits() -> None:
    """Exactly as published; a holiday has none."""
    made = etl.testing.made(
        PIPELINE,
        "fx_reference_rate",
        exr=[
            RATE | {"OBS_VALUE": "0.83695"},
            RATE | {"TIME_PERIOD": "2026-12-25", "OBS_VALUE": "NaN"},
        ],
    )
    assert made.rows == [
        {
            "published_date": day,
            "base": "EUR",
            "quote": "GBP",
            "rate": rate,
        }
        for day, rate in ((date(2026, 11, 20), "0.83695"), (date(2026, 12, 25), None))
    ]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"TIME_PERIOD": "2026-11"}, "TIME_PERIOD is not a date"),
        ({"CURRENCY": "pounds"}, "CURRENCY is not in ISO 4217"),
        ({"OBS_VALUE": "0,83695"}, "OBS_VALUE is not a number"),
        ({"OBS_VALUE": "inf"}, "OBS_VALUE is not a number"),
    ],
)
def test_a_wrong_rate_is_put_aside(wrong: dict[str, str], reason: str) -> None:
    """With its reason; those of other days go on."""
    rows = [RATE | {"OBS_VALUE": "0.8"} | wrong]
    made = etl.testing.made(PIPELINE, "fx_reference_rate", exr=rows)
    [refused] = made.refused.values()
    assert reason in refused


def test_the_sample_has_the_form_of_the_banks() -> None:
    """Working days alone, the decimals that are published, and the same each time."""
    found = rows_of({"startPeriod": "2026-11-01"})

    assert set(found[0]) <= set(COLUMNS)
    assert {row["CURRENCY"] for row in found} == {"USD", "GBP"}
    days = [date.fromisoformat(row["TIME_PERIOD"]) for row in found]
    assert (min(days), max(days), len(days)) == (date(2026, 11, 2), date(2026, 11, 20), 30)
    for row in found:
        decimals = {"USD": 4, "GBP": 5}[row["CURRENCY"]]
        assert re.fullmatch(rf"[01]\.\d{{{decimals}}}", row["OBS_VALUE"])
    assert found == rows_of({"startPeriod": "2026-11-01"})
    assert rows_of({})[0]["TIME_PERIOD"] == "2022-01-03"


def test_a_weekend_without_a_rate_is_an_empty_answer() -> None:
    """As the bank answers; today's rate comes in the afternoon."""
    assert answer("rates", {"startPeriod": "2026-11-21"}, SUNDAY) == ("text/csv", b"")
    today = {"startPeriod": "2026-11-20"}
    assert rows_of(today, datetime(2026, 11, 20, 14, 59)) == []
    assert len(rows_of(today, datetime(2026, 11, 20, 15))) == 2


def test_the_sample_answers_on_loopback_while_it_is_up() -> None:
    """At its own URL; nobody who comes by another name gets anything."""
    apis = SampleApis("totesys", {}, stand_in=True)
    with apis:
        url = apis.settings["RATES_URL"]
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/rates")
        status, body = _get(f"{url}?startPeriod=2026-11-02&format=csvdata")
        assert status == 200
        assert body.startswith(b"KEY,FREQ,CURRENCY")
        assert _get(f"{url}/x")[0] == 404
        assert _get(f"{url}?startPeriod=soon")[0] == 400
        assert _get(url, {"Host": "evil.example.com"})[0] == 404
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        _get(url)


def test_the_sample_stands_in_for_an_api_that_is_not_set() -> None:
    """One of the environment stays as it is; beside a source of the user's own there is none."""
    theirs = {"RATES_URL": "https://api.example.com/v1"}
    assert SampleApis("totesys", theirs, stand_in=True).settings["RATES_URL"] == theirs["RATES_URL"]
    assert SampleApis("totesys", {}, stand_in=False).settings["RATES_URL"] == ""
    assert SampleApis("stripe", {}, stand_in=True).settings == {}


def _get(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    answer = urllib3.request("GET", url, headers=headers, retries=False, timeout=5)
    return answer.status, answer.data
