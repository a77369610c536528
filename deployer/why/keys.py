"""Values of keys in one form, whether typed, in a file, in the lake or in a target table."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etl import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Integer,
    IsoDate,
    Numeric,
    SmallInteger,
    Text,
    Timestamp,
    UnixTime,
    Uuid,
)

_TRUTHS = {
    **dict.fromkeys(("true", "t", "yes", "1"), "true"),
    **dict.fromkeys(("false", "f", "no", "0"), "false"),
}
_AFTER_A_DAY = ("", "T", " ")  # the time, of what is a day with one
_INTEGERS = (SmallInteger, Integer, BigInteger)


@dataclass(frozen=True)
class Key:
    """A key: the declared types of its columns, and their values, each as a text."""

    kinds: tuple[Column, ...]
    parts: tuple[str, ...]

    @classmethod
    def of(cls, kinds: Sequence[Column], values: Sequence[Any]) -> "Key | None":
        """Return the key of some values, None if one of them is no value of its type."""
        parts = [canonical(kind, value) for kind, value in zip(kinds, values, strict=True)]
        known = tuple(part for part in parts if part is not None)
        return cls(tuple(kinds), known) if len(known) == len(parts) else None

    @property
    def text(self) -> str:
        """The whole key as one text, as transform has it for its mark."""
        if len(self.parts) == 1:
            return self.parts[0]
        return ",".join(part.replace("\\", r"\\").replace(",", r"\,") for part in self.parts)

    @property
    def value(self) -> int | str:
        """The key as a manifest has it: one integer as such, any other as text."""
        is_integer = len(self.kinds) == 1 and isinstance(self.kinds[0], _INTEGERS)
        return int(self.text) if is_integer else self.text

    def rows(
        self, path: Path, columns: Sequence[str], *, in_file: bool = False
    ) -> list[dict[str, Any]]:
        """Return the rows of a Parquet object that have the key in some columns, in order.

        Their cells are texts as they were `in_file`, before the pipeline normalized them.
        """
        places = self.places(path, columns, in_file=in_file)
        rows: list[dict[str, Any]] = (
            pq.ParquetFile(path).read().take(places).to_pylist() if places else []
        )
        return rows

    def places(self, path: Path, columns: Sequence[str], *, in_file: bool = False) -> list[int]:
        """Return where these rows are in the object, from 0."""
        file = pq.ParquetFile(path)
        if not set(columns) <= set(file.schema_arrow.names):
            return []
        found = file.read(columns=list(columns))
        mask = pa.chunked_array([pa.repeat(pa.scalar(True), found.num_rows)])
        for name, kind, part in zip(columns, self.kinds, self.parts, strict=True):
            mask = pc.and_(mask, _equal(found[name], kind, part, in_file=in_file))
        places: list[int] = pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist()
        return places


def canonical(kind: Column, value: Any) -> str | None:
    """Return a value of a key as the text that transform makes of it; None if it is none.

    The value may be that of a driver or a text, as in a file or on the command line.
    """
    if value is None:
        return None
    with suppress(ValueError, ArithmeticError, OSError):
        forms = (form for kinds, form in _FORMS.items() if isinstance(kind, kinds))
        return next(forms, _as_it_is)(kind, value)
    return None


def _as_it_is(_: Column, value: Any) -> str:
    return str(value)


def _number(kind: Column, value: Any) -> str:
    """Return a number with all decimal places of its type; one without a scale as it is."""
    if not isinstance(kind, Numeric) or kind.precision is None:
        return str(value)
    unit = Decimal(1).scaleb(-(kind.scale or 0))
    return f"{Decimal(str(value).strip()).quantize(unit):f}"


def _day(_: Column, value: Any) -> str:
    text = str(value).strip()
    if text[10:11] not in _AFTER_A_DAY:
        raise ValueError
    return date.fromisoformat(text[:10]).isoformat()


def _truth(_: Column, value: Any) -> str:
    if (truth := _TRUTHS.get(str(value).strip().lower())) is None:
        raise ValueError
    return truth


def _instant(_: Column, value: Any) -> str:
    return _moment(value).isoformat(sep=" ", timespec="microseconds")


_FORMS: Mapping[tuple[type[Column], ...], Callable[[Column, Any], str]] = {
    _INTEGERS: lambda _, value: str(int(value)),
    (Numeric,): _number,
    (Boolean,): _truth,
    (Date, IsoDate): _day,
    (Timestamp, UnixTime): _instant,
    (Uuid,): lambda _, value: str(value).strip().lower(),
}
"""Values of other types are the same text everywhere."""


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        at = value
    elif str(value).strip().lstrip("-").isdecimal():
        at = datetime.fromtimestamp(int(value), UTC)
    else:
        at = datetime.fromisoformat(str(value).strip())
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


def _equal(column: pa.ChunkedArray, kind: Column, part: str, *, in_file: bool) -> pa.Array:
    if pa.types.is_integer(column.type) and isinstance(kind, _INTEGERS):
        return pc.equal(column.cast(pa.int64()), int(part))
    normalize = getattr(kind, "normalize", None) if in_file else None
    if pa.types.is_string(column.type) and isinstance(kind, Text) and normalize is None:
        return pc.equal(column, part)
    values = column.combine_chunks().dictionary_encode()
    same = [_form(kind, each, normalize) == part for each in values.dictionary.to_pylist()]
    return pc.fill_null(pa.array(same, pa.bool_()).take(values.indices), False)


def _form(kind: Column, value: Any, normalize: Callable[[str], object] | None) -> str | None:
    if normalize is not None and value is not None:
        try:
            value = normalize(value)
        except Exception:  # a function of the pipeline, given what its check may refuse
            return None
    return canonical(kind, value)
