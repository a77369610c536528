"""Try a pipeline's functions on a few rows, in a unit test: no database, no bucket.

Rows are converted, checked and refused as the engine does with rows of a source.

    made = etl.testing.made(PIPELINE, "dim_staff", staff=[ann], department=[sales])
    assert made.rows == [{"staff_id": 1, ..., "department_name": "Sales"}]
    assert made.refused == {}

The one module of `etl` that uses the engine, because a copy of its rules could differ. It is
imported when something is tried, so that a declaration never needs it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import DeclarationError
from etl.files import Csv
from etl.pipeline import Pipeline
from etl.sources import Postgres

if TYPE_CHECKING:
    from etl.mapping import Mapping as TableMapping

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Made:
    """The result for some rows: `rows` of the target table, and why others were `refused`, by key.

    A row of a file without a key is identified by its position, from 0, among those given.
    """

    rows: list[dict[str, Any]]
    refused: dict[int | str, str]


def made(pipeline: Pipeline, target: str, **tables: Rows) -> Made:
    """Return the rows of a target table made from rows of its source tables.

    Tables are named as the parameters of functions. A row is {column: value}, with Python values:
    int, str, Decimal, float, bool, date, datetime, or the text that the source shows; a missing
    column is NULL. Parents for which the target would wait count as present. Rows of a file or of
    events are {column: text}, or Python values for the texts.

    Raises DeclarationError for a name that is not declared, and what the function raises as
    PipelineCodeError.
    """
    from functions.transform import trial  # noqa: PLC0415

    mapping = _mapping(pipeline, target)
    known = {table.parameter: table for table in mapping.tables}
    for name in tables:
        if name not in known:
            raise DeclarationError(
                f"{mapping.target} is not made of {name}: give rows of {', '.join(known)}"
            )
    rows = {table: tables.get(name, ()) for name, table in known.items()}
    calendar = pipeline.calendar_of(mapping)
    source = pipeline.source_of(mapping)
    if isinstance(source, Postgres):
        return Made(*trial.made(mapping, calendar, rows))
    text = source.feed(mapping.main).format
    nulls = text.nulls if isinstance(text, Csv) else ()
    return Made(*trial.made_of_texts(mapping, calendar, rows[mapping.main], nulls))


def check(pipeline: Pipeline) -> None:
    """Raise DeclarationError for the first function whose result is not as declared.

    Each is called without rows: with empty pandas frames that have the right columns and types.
    """
    from functions.transform import trial  # noqa: PLC0415

    trial.try_all(pipeline)


def _mapping(pipeline: Pipeline, target: str) -> "TableMapping":
    found = [each for source in pipeline.sources for each in pipeline.mappings(source.name)]
    for mapping in found:
        if mapping.target.name == target:
            return mapping
    names = ", ".join(mapping.target.name for mapping in found)
    raise DeclarationError(f"there is no target table {target}: take one of {names}")
