"""The parameters of reports: their types, values as text, and defaults."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from etl import columns as types
from etl.columns import Column
from etl.errors import DeclarationError

LONGEST = 1_000  # characters of a value

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,100}(\.\d{1,100})?", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_BITS: dict[type[Column], int] = {
    types.SmallInteger: 16,
    types.Integer: 32,
    types.BigInteger: 64,
}


class InvalidValueError(Exception):
    """A text is not a value of a type: the message says why, without the text."""


@dataclass(frozen=True)
class Today:
    """The current date in a time zone, such as `Europe/London`."""

    zone: str = "UTC"

    def __post_init__(self) -> None:
        """Raise DeclarationError for a time zone that is not known."""
        if not _is_zone(self.zone) and _is_zone("Etc/UTC"):  # else none is known here
            raise DeclarationError(f"there is no time zone {self.zone!r}")

    def day(self, now: datetime) -> date:
        """Return the date there at a time, which has a time zone."""
        return now.astimezone(ZoneInfo(self.zone)).date()


@dataclass(frozen=True)
class Parameter:
    """A parameter, which is required unless it has a `default`.

    `says` describes it in the API's documentation.
    """

    type: Column
    default: str | Today | None = None
    says: str = ""

    def __post_init__(self) -> None:
        """Raise DeclarationError for a type that a parameter cannot have, or an invalid default."""
        if type(self.type) not in _READERS:
            raise DeclarationError(f"a parameter cannot be {type(self.type).__name__}()")
        if isinstance(self.default, Today):
            if not isinstance(self.type, types.Date):
                raise DeclarationError("only a parameter of the type Date() is today by default")
        elif self.default is not None:
            try:
                self.value(self.default)
            except InvalidValueError as error:
                raise DeclarationError(f"the default {self.default!r} {error}") from None

    def value(self, text: str) -> str:
        """Return a text in the form that SQL reads; raise InvalidValueError for an invalid one."""
        if len(text) > LONGEST:
            raise InvalidValueError(f"has more than {LONGEST:,} characters")
        return _READERS[type(self.type)](self.type, text)

    def default_at(self, now: datetime) -> str | None:
        """Return the default; None if the parameter is required."""
        if isinstance(self.default, Today):
            return self.default.day(now).isoformat()
        return None if self.default is None else self.value(self.default)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return False
    return True


def _date(_: Column, text: str) -> str:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise InvalidValueError("is no day: write it as 2026-11-30")


def _integer(column: Column, text: str) -> str:
    limit = 1 << _BITS[type(column)] - 1
    if not _INTEGER.fullmatch(text):
        raise InvalidValueError("is no whole number")
    if not -limit <= int(text) < limit:
        raise InvalidValueError(f"is not between {-limit} and {limit - 1}")
    return str(int(text))


def _numeric(column: Column, text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise InvalidValueError("is no decimal number: write it as 12.50")
    if isinstance(column, types.Numeric) and column.precision is not None:
        scale = column.scale or 0
        before, _, after = text.lstrip("-").partition(".")
        if len(before.lstrip("0")) > column.precision - scale or len(after) > scale:
            raise InvalidValueError(
                f"has more than {column.precision - scale} digits before the point, or more than "
                f"{scale} after it"
            )
    return format(Decimal(text), "f")


def _text(_: Column, text: str) -> str:
    if "\0" in text or not _is_unicode(text):
        raise InvalidValueError("has characters that no text has")
    return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _boolean(_: Column, text: str) -> str:
    if text not in ("true", "false"):
        raise InvalidValueError("is neither true nor false")
    return text


def _uuid(_: Column, text: str) -> str:
    if not _UUID.fullmatch(text):
        raise InvalidValueError("is no UUID")
    return str(UUID(text))


_READERS: dict[type[Column], Callable[[Column, str], str]] = {
    types.SmallInteger: _integer,
    types.Integer: _integer,
    types.BigInteger: _integer,
    types.Numeric: _numeric,
    types.Text: _text,
    types.Boolean: _boolean,
    types.Date: _date,
    types.Uuid: _uuid,
}
