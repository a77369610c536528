"""The settings that a pipeline declares for itself, beside those that every pipeline has."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from etl.errors import DeclarationError

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_PERIOD = re.compile(r"(\d{1,4}) (minute|hour|day)s?")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%|([01](?:\.\d{1,8})?)", re.ASCII)
_OPTION = re.compile(r"[^\x00-\x1f\x7f]{0,200}")


@dataclass(frozen=True)
class Setting:
    """An environment variable of a pipeline's functions and models; never a secret.

    It is read when the pipeline is deployed, and given to its Lambda functions. `check` returns
    whether a value is accepted; `reason` describes one that is not, such as "is no country". A
    model refers to it as `:NAME`.
    """

    name: str
    default: str
    check: Callable[[str], object] | None = None
    reason: str = "is not valid"

    def __post_init__(self) -> None:
        """Raise DeclarationError for an invalid name, or an invalid default."""
        if not _NAME.fullmatch(self.name):
            raise DeclarationError(
                f"setting {self.name}: its name is made of A to Z, 0 to 9 and _, as in SHOP_COUNTRY"
            )
        if not self.is_valid(self.default):
            raise DeclarationError(f"setting {self.name}: its default {self.reason}")

    def is_valid(self, value: str) -> bool:
        """Return whether a value is accepted."""
        return bool(_OPTION.fullmatch(value)) and (self.check is None or bool(self.check(value)))

    def value(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the value of the environment, or the default."""
        return environment.get(self.name) or self.default


def period(text: str) -> timedelta | None:
    """Return the time of a text such as `1 day` or `90 minutes`; None for any other text."""
    found = _PERIOD.fullmatch(text)
    return timedelta(**{f"{found[2]}s": int(found[1])}) if found else None


def share(text: str) -> float | None:
    """Return the share of a text such as `5%`, `0.05` or `off`; None for any other text.

    `off` is 1.0, which as a limit is none.
    """
    if text == "off":
        return 1.0
    if not (found := _SHARE.fullmatch(text)):
        return None
    value = float(found[1]) / 100 if found[1] else float(found[2])
    return value if value <= 1 else None


def at_most(name: str, default: str = "1 day") -> Setting:
    """Return the setting that limits how often a source is read: at most once in that time."""
    return Setting(name, default, period, "is no time: write 1 day, 12 hours or 30 minutes")
