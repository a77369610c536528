"""Read a function's settings from its environment.

Environment variables of a Lambda function can be read by anyone who may view the function, so
none of them is a secret: a database is named by the id of its secret.
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
    """Return whether the variable `name` is `true`; one that is not set is `false`.

    Raises SettingsError for anything else.
    """
    value = environment.get(name, "").strip() or "false"
    if value not in ("true", "false"):
        raise SettingsError(
            f"environment variable {name} of this function is neither true nor false: "
            "run deploy.py again"
        )
    return value == "true"
