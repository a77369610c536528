"""Reports: SELECTs in the warehouse whose rows an HTTP API returns."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from etl import columns as types
from etl.columns import Column, require_columns
from etl.errors import DeclarationError
from etl.parameters import Parameter
from etl.statements import Statement, statement_of

MOST_ROWS = 10_000
OWN_PATHS = ("/health", "/openapi.json")
"""The paths that the API answers itself."""

SHOWN = (
    types.SmallInteger,
    types.Integer,
    types.BigInteger,
    types.Numeric,
    types.Real,
    types.Double,
    types.Text,
    types.Boolean,
    types.Date,
    types.Time,
    types.Timestamp,
    types.UnixTime,
    types.Uuid,
    types.Json,
)
"""The types that the columns of a report may have."""

_PATH = re.compile(r"(/[a-z0-9][a-z0-9._-]*)+")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, eq=False)
class Report:
    """What `GET <path>` answers: the rows of a SELECT, with `columns`, in its order.

    `sql` is the statement, or the name of a file of the pipeline's folder, ending in `.sql`. It
    names tables and columns as they are declared, whatever they are called in a warehouse, and of
    a history also its current state: of `fact_x`, as well as of a table `x`, that is `current_x`.
    `:NAME` stands for a setting of the pipeline, and `:name` for one of the `parameters`.

    The rows after the first `at_most` are left out, and the answer says so. `title` is for the
    documentation of the API.
    """

    path: str
    sql: str
    columns: Mapping[str, Column]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    title: str = ""
    at_most: int = 1_000

    def __post_init__(self) -> None:
        """Raise DeclarationError for an invalid path, column or parameter."""
        if not _PATH.fullmatch(self.path) or self.path in OWN_PATHS:
            raise DeclarationError(
                f"{self}: its path is like /payments/last5, and none of {', '.join(OWN_PATHS)}"
            )
        require_columns(self, self.columns)
        if not self.columns:
            raise DeclarationError(f"{self}: name its columns")
        for name, column in self.columns.items():
            if not isinstance(column, SHOWN):
                raise DeclarationError(
                    f"{self}: column {name} cannot be {type(column).__name__}(): cast it to text"
                )
        for name, parameter in self.parameters.items():
            if not _NAME.fullmatch(name) or not isinstance(parameter, Parameter):
                raise DeclarationError(
                    f'{self}: write its parameters as {{"name": Parameter(Integer()), …}}'
                )
        if not 0 < self.at_most <= MOST_ROWS:
            raise DeclarationError(f"{self}: at_most is {MOST_ROWS:,} at most")

    def __str__(self) -> str:
        return f"report {self.path}"

    def statement(self, folder: Path, settings: Iterable[str]) -> Statement:
        """Return the SELECT of a pipeline in a folder, which has some settings.

        Raises DeclarationError if its file is not there, or it is not one statement with the names
        that stand for values.
        """
        statement = statement_of(self, self.sql, folder)
        known = [*self.parameters, *settings]
        for name in statement.parameters:
            if name not in known:
                raise DeclarationError(
                    f"{self}: :{name} stands for nothing: declare the parameter, or the setting"
                )
        for name in self.parameters:
            if name not in statement.parameters:
                raise DeclarationError(f"{self}: its SELECT does not say :{name}, its parameter")
        return statement


def require_reports(reports: Sequence[object], targets: int) -> None:
    """Raise DeclarationError for reports that are none, or without a single target to read."""
    for report in reports:
        if not isinstance(report, Report):
            raise DeclarationError(f"{report} is no Report(…)")
    if reports and targets != 1:
        raise DeclarationError(
            f"reports read one target, and there are {targets}: declare a pipeline for each of them"
        )
