"""Make the rows of a target table: by the pipeline's function, or as a copy.

A function's result is checked and converted to the types that load expects, so that a mistake in it
is an error that names table and column, and no row is lost.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from etl import (
    BigInteger,
    Boolean,
    Date,
    Double,
    Integer,
    IsoDate,
    Numeric,
    Real,
    SmallInteger,
    Table,
    TargetTable,
    Time,
    Timestamp,
    UnixTime,
)
from etl import mapping as declared
from functions.common.errors import PipelineCodeError
from functions.common.keys import keys_of
from functions.transform.values import DECIMAL_DIGITS

if TYPE_CHECKING:
    from pandas import DataFrame

_TRY = "correct it, and try it with etl.testing"


def make(mapping: declared.Mapping, rows: pa.Table, joined: Mapping[str, pa.Table]) -> pa.Table:
    """Return the rows of a target table made from fit rows of its main table.

    `rows` are converted, and so are the joined ones, by parameter. Raises PipelineCodeError.
    """
    target = mapping.target
    if target.make is None:
        return rows.select(list(target.columns or mapping.main.columns))
    tables = {join.parameter: (join.table, joined[join.parameter]) for join in mapping.joins}
    given = [(mapping.main, rows), *(tables[name] for name in target.parameters[1:])]
    made = _in_target_form(target, _called(target, given))
    if made.num_rows != rows.num_rows:
        raise PipelineCodeError(
            f"{target}: its function returned {made.num_rows:,} rows for {rows.num_rows:,}: each "
            f"row of its first parameter makes one row. {_TRY.capitalize()}"
        )
    if target.key:
        _require_same_keys(target, made, keys_of(rows, mapping.main.keys))
    return made


def made_columns(target: TargetTable, given: Iterable[tuple[Table, pa.Table]]) -> pa.Schema:
    """Return the columns that a target's function makes from rows of its tables, in order.

    The keys of its rows are not checked. Raises PipelineCodeError.
    """
    return _in_target_form(target, _called(target, given)).schema


def _called(target: TargetTable, given: Iterable[tuple[Table, pa.Table]]) -> "DataFrame":
    """Return the function's result; pandas is imported for functions only."""
    from pandas import DataFrame  # noqa: PLC0415  a pipeline of copies has none

    frames = [_frame(table, rows) for table, rows in given]
    try:
        made = target(*frames)
    except Exception as error:  # a function of the pipeline may raise anything
        raise PipelineCodeError(
            f"{target}: its function raised {type(error).__name__}{_line_of(error, target)}: {_TRY}"
        ) from error
    if not isinstance(made, DataFrame):
        raise PipelineCodeError(
            f"{target}: its function returned a {type(made).__name__}, not a DataFrame: {_TRY}"
        )
    return made


def _frame(table: Table, rows: pa.Table) -> "DataFrame":
    """Return rows of a source table as a function takes them.

    No Arrow type holds every numeric, so one without a scale is carried as text. A function gets
    decimals: on text, `*` would repeat it.
    """
    from pandas import ArrowDtype, Series  # noqa: PLC0415

    frame: DataFrame = rows.to_pandas(types_mapper=ArrowDtype)
    for name, column in table.columns.items():
        if isinstance(column, Numeric) and pa.types.is_string(rows.schema.field(name).type):
            texts = rows[name].to_pylist()
            numbers = [None if text is None else Decimal(text) for text in texts]
            frame[name] = Series(numbers, frame.index, object)
    return frame


def _line_of(error: Exception, target: TargetTable) -> str:
    """Return the line of the function's file that raised an exception, as ` in line 7`."""
    file = getattr(getattr(target.make, "__code__", None), "co_filename", None)
    lines, frame = [], error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == file:
            lines.append(frame.tb_lineno)
        frame = frame.tb_next
    return f" in line {lines[-1]}" if lines else ""


def _in_target_form(target: TargetTable, made: "DataFrame") -> pa.Table:
    """Return rows in the types that load expects, columns in declared order if declared."""
    names = [str(name) for name in made.columns]
    _require_columns(target, names)
    order = names if target.columns is None else list(target.columns)
    return pa.table({name: _column(target, name, made[name]) for name in order})


def _require_columns(target: TargetTable, names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise PipelineCodeError(f"{target}: its function returned column {twice} twice: {_TRY}")
    wanted = target.key if target.columns is None else tuple(target.columns)
    if lacking := [name for name in wanted if name not in names]:
        raise PipelineCodeError(
            f"{target}: its function returned no column {', '.join(lacking)}: {_TRY}"
        )
    if target.columns is not None and (more := [name for name in names if name not in wanted]):
        raise PipelineCodeError(
            f"{target}: its function returned {', '.join(more)}, which is not declared: {_TRY}"
        )


def _column(target: TargetTable, name: str, values: Any) -> pa.ChunkedArray:
    try:
        if _are_decimals(values):
            # pandas leaves its own marks of missing values, such as NaN, where a join finds no row.
            present = zip(values, values.notna(), strict=True)
            texts = [format(value, "f") if is_there else None for value, is_there in present]
            column, is_number = pa.chunked_array([texts], pa.string()), True
        else:
            column, is_number = pa.table({name: values})[name], False
        _require_type(target, name, column, is_number=is_number)
        return column.cast(_form(column.type))
    except (pa.ArrowException, TypeError, ValueError) as error:
        # Arrow's message may quote a value.
        raise PipelineCodeError(
            f"{target}: its function returned a column {name} of values that have no type of the "
            f"warehouse ({values.dtype}): {_TRY}"
        ) from error


def _are_decimals(values: Any) -> bool:
    """Return whether a column has Python decimals, for which Arrow would use one scale."""
    return values.dtype == object and any(isinstance(value, Decimal) for value in values)


def _require_type(
    target: TargetTable, name: str, column: pa.ChunkedArray, *, is_number: bool
) -> None:
    """Raise PipelineCodeError for values of another type than declared, such as text for money."""
    if target.columns is None or column.null_count == len(column):
        return
    wanted, kind = target.columns[name], column.type
    match wanted:
        case SmallInteger() | Integer() | BigInteger():
            is_right = pa.types.is_integer(kind)
        case Numeric():
            is_right = is_number or pa.types.is_decimal(kind) or pa.types.is_integer(kind)
        case Real() | Double():
            is_right = pa.types.is_floating(kind) or pa.types.is_integer(kind)
        case Boolean():
            is_right = pa.types.is_boolean(kind)
        case Date() | IsoDate():
            is_right = pa.types.is_date(kind)
        case Timestamp() | UnixTime():
            is_right = pa.types.is_timestamp(kind)
        case Time():
            is_right = pa.types.is_time(kind) or _is_text(kind)
        case _:
            is_right = _is_text(kind)
    if not is_right:
        raise PipelineCodeError(
            f"{target}: its function returned a column {name} of {kind}, and "
            f"{type(wanted).__name__} is declared: {_TRY}"
        )


def _is_text(kind: pa.DataType) -> bool:
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(
        pa.types.is_string(text) or pa.types.is_large_string(text) or pa.types.is_string_view(text)
    )


def _form(kind: pa.DataType) -> pa.DataType:
    """Return the type that load expects for values of a type; raise TypeError if there is none."""
    if kind in _FORMS:
        return _FORMS[kind]
    match kind:
        case pa.DictionaryType():
            return _form(kind.value_type)
        case pa.TimestampType():
            return pa.timestamp("us", kind.tz and "UTC")
        case _ if pa.types.is_time(kind):
            return pa.time64("us")
        case _ if pa.types.is_decimal(kind):
            fits = kind.precision <= DECIMAL_DIGITS
            return pa.decimal128(kind.precision, kind.scale) if fits else pa.string()
    raise TypeError(f"{kind} is a type of no column")


_FORMS = {
    **{
        kind: kind
        for kind in (
            pa.bool_(),
            pa.int16(),
            pa.int32(),
            pa.int64(),
            pa.float32(),
            pa.float64(),
            pa.date32(),
            pa.string(),
        )
    },
    pa.int8(): pa.int16(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.null(): pa.string(),
}


def _require_same_keys(target: TargetTable, made: pa.Table, given: pa.Array) -> None:
    """Raise PipelineCodeError unless each given row has made one row, with its key.

    Rows with the same key are in chronological order, and must stay in it.
    """
    keys = keys_of(made, target.key)
    if keys.equals(given):
        return
    name = ", ".join(target.key)
    if keys.null_count:
        raise PipelineCodeError(f"{target}: its function returned a row without {name}: {_TRY}")
    distinct = pc.count_distinct(given).as_py()
    if pc.count_distinct(keys).as_py() < distinct:
        raise PipelineCodeError(f"{target}: its function returned the same {name} twice: {_TRY}")
    if keys.type != given.type or not keys.sort().equals(given.sort()):
        raise PipelineCodeError(
            f"{target}: its function returned rows whose {name} is not the key of the row that "
            f"they were made of: {_TRY}"
        )
    if distinct < len(given):
        raise PipelineCodeError(
            f"{target}: its function returned the rows in another order, and several may have the "
            f"same {name}: {_TRY}"
        )
