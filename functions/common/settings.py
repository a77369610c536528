"""Read a function's settings from its environment.

Anyone who may view a Lambda function can read its environment variables, so none is a secret: they
name databases by the ids of their secrets.
"""

from collections.abc import Mapping

from functions.common.errors import SettingsError


def required(environment: Mapping[str, str], name: str) -> str:
    """Return the variable `name`; raise SettingsError when it is missing or empty."""
    value = environment.get(name, "").strip()
    if not value:
        raise SettingsError(
            f"environment variable {name} of this function is not set: run deploy.py again"
        )
    return value


def switched_on(environment: Mapping[str, str], name: str) -> bool:
    """Return whether the variable `name` is `true`; unset is `false`.

    Raises SettingsError for anything else.
    """
    value = environment.get(name, "").strip() or "false"
    if value not in ("true", "false"):
        raise SettingsError(
            f"environment variable {name} of this function is neither true nor false: "
            "run deploy.py again"
        )
    return value == "true"
