"""The checks of retail's settings, and its holidays."""

import subprocess
import sys
from datetime import date

import pytest

import etl.testing
from pipelines.retail.pipeline import PIPELINE, RETAIL_AT_MOST, RETAIL_COUNTRY, RETAIL_UNDELIVERED


@pytest.mark.parametrize(
    ("code", "is_valid"),
    [("NG", True), ("GB", True), ("ZZ", False), ("Nigeria", False), ("ng", False), (" NG", False)],
)
def test_a_country_is_one_whose_holidays_are_known(code: str, is_valid: bool) -> None:
    """A mistake in RETAIL_COUNTRY is found before anything is deployed."""
    assert RETAIL_COUNTRY.is_valid(code) == is_valid


def test_without_the_package_a_country_is_known_by_its_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The machine that deploys needs nothing that functions alone need."""
    monkeypatch.setitem(sys.modules, "holidays", None)

    assert RETAIL_COUNTRY.is_valid("GB")
    assert not RETAIL_COUNTRY.is_valid("Nigeria")


def test_settings_have_defaults_and_refuse_anything_else() -> None:
    """Once a day, 15 days or more, Nigeria: as the shop has it."""
    assert {each.name: each.value({}) for each in PIPELINE.settings} == {
        "RETAIL_COUNTRY": "NG",
        "RETAIL_UNDELIVERED": "at-least",
        "RETAIL_AT_MOST": "1 day",
    }
    assert RETAIL_UNDELIVERED.is_valid("exactly")
    assert not RETAIL_UNDELIVERED.is_valid("about")
    assert RETAIL_AT_MOST.is_valid("12 hours")
    assert not RETAIL_AT_MOST.is_valid("daily")


def test_the_declaration_imports_nothing_heavy() -> None:
    """Every function and every command imports it, and most need no holidays and no pandas."""
    code = (
        "import sys, pipelines.retail.pipeline; "
        "sys.exit(bool({'holidays', 'pandas', 'pyarrow'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("day", "holiday"),
    [
        (date(2022, 10, 1), "National Day"),
        (date(2022, 10, 3), "National Day (observed)"),
        (date(2022, 10, 4), None),
        (date(1, 1, 1), None),
        (date(9999, 12, 31), None),
        (None, None),
    ],
)
def test_an_order_has_the_holiday_of_its_day(day: date | None, holiday: str | None) -> None:
    """No day that a file may have, and no missing one, stops the others."""
    order = {
        "order_id": 1, "customer_id": 1, "order_date": day, "product_id": 1,
        "unit_price": 1, "quantity": 1, "total_price": 1,
    }  # fmt: skip

    made = etl.testing.made(PIPELINE, "order_holidays", orders=[order])

    assert made.rows == [{"order_id": 1, "order_date": day, "holiday": holiday}]
