"""The settings of a function: each is there, and one of two words where it is a switch."""

import pytest

from functions.common.errors import SettingsError
from functions.common.settings import required, switched_on


@pytest.mark.parametrize("environment", [{}, {"NAME": ""}, {"NAME": " "}])
def test_a_setting_that_is_missing_is_named(environment: dict[str, str]) -> None:
    """What to do is said with it."""
    with pytest.raises(SettingsError, match="variable NAME of this function is not set: run dep"):
        required(environment, "NAME")


def test_a_setting_has_no_space_around_it() -> None:
    """A line of a file may end with one."""
    assert required({"NAME": " value "}, "NAME") == "value"


def test_a_switch_is_true_or_false() -> None:
    """Unset is off, and no other word is a guess."""
    assert switched_on({"NAME": "true "}, "NAME")
    assert not any(switched_on(each, "NAME") for each in ({}, {"NAME": ""}, {"NAME": "false"}))
    for word in ("True", "1", "yes"):
        with pytest.raises(SettingsError, match="NAME of this function is neither true nor false"):
            switched_on({"NAME": word}, "NAME")
