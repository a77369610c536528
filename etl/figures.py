"""Figures of the page, each of which shows the rows of a SELECT in the warehouse."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from etl.errors import DeclarationError
from etl.statements import Statement, without_values

FigureKind = Literal["lines", "bars", "table", "number"]


@dataclass(frozen=True, eq=False)
class Figure:
    """A SELECT, and how the page shows its rows under a `title`, with the `unit` of its numbers.

    `lines`: the first column runs along the axis, each other column is a line. With `series`, that
    column names the line, and the last column has its values.
    `bars`: the first column has the labels, the last the lengths.
    `number`: each column of the only row is a number, its name the label.
    `table`: the rows as they are.

    `sql` is the statement, or the name of a file of the pipeline's folder, ending in `.sql`. It
    names tables and their columns as they are declared, whatever an installation calls them, and
    may name `current_<table>` for the newest record of each key of a history, without deleted
    rows. An `optional` figure is left out while it has no rows, and where the warehouse lacks a
    declared table that it names. `target` is the name of the target that is asked; it may be left
    out where there is one.
    """

    title: str
    sql: str
    kind: FigureKind = "table"
    unit: str = ""
    note: str = ""
    series: str | None = None
    optional: bool = False
    target: str | None = None

    def __post_init__(self) -> None:
        """Raise DeclarationError for a figure that cannot be shown."""
        if not self.title.strip():
            raise DeclarationError("a figure has no title: say what it shows")
        if self.kind not in get_args(FigureKind):
            kinds = ", ".join(get_args(FigureKind))
            raise DeclarationError(f"{self}: there is no kind {self.kind!r}: take one of {kinds}")
        if self.series is not None and self.kind != "lines":
            raise DeclarationError(f"{self}: only lines have a series")

    def __str__(self) -> str:
        return f"figure {self.title!r}"

    def statement(self, folder: Path) -> Statement:
        """Return the SELECT of a pipeline in a folder.

        Raises DeclarationError if its file is missing, or it is not one statement without
        parameters.
        """
        return without_values(self, self.sql, folder)
