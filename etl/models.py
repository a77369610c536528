"""Models and views of a warehouse: SQL over its tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etl.columns import Column
from etl.errors import DeclarationError
from etl.statements import Statement, statement_of, without_values
from etl.targets import TargetTable, Way

OWN_PARAMETERS = ("day", "batch")
"""Parameters of every model, beside the settings of its pipeline."""

Say = Callable[[Sequence[Mapping[str, Any]]], str]


@dataclass(frozen=True, eq=False)
class Model:
    """A SELECT, run in the transaction of each batch that has rows of one of its `inputs`.

    Its rows are combined with those of the table as in any target table. `sql` is the
    statement, or the name of a file of the pipeline's folder, ending in `.sql`. It names tables as
    they are declared, and may say `:day` for the day of the batch, `:batch` for its number, and
    `:NAME` for a setting of the pipeline; strings and comments in it are left as they are.

    `says` returns, for the mail, a line or two about the rows of the SELECT; it is not called with
    more than 1,000. `schema` is as in `TargetTable`.
    """

    name: str
    inputs: "Sequence[TargetTable | Model]"
    sql: str
    columns: Mapping[str, Column]
    key: str | tuple[str, ...] = ()
    way: Way = "latest"
    schema: str | None = None
    says: Say | None = None
    table: TargetTable = field(init=False)

    def __post_init__(self) -> None:
        """Raise DeclarationError for a model without inputs, or without the columns of its key."""
        if not self.inputs:
            raise DeclarationError(f"model {self.name}: name the tables that it is made of")
        keys = (self.key,) if isinstance(self.key, str) else self.key
        made = TargetTable(
            self.name, keys, self.way, None, None, {}, self.columns, schema=self.schema
        )
        object.__setattr__(self, "table", made)

    def __str__(self) -> str:
        return f"model {self.name}"

    @property
    def base(self) -> tuple[TargetTable, ...]:
        """The target tables from which it is made, directly or through other models."""
        made_of: list[TargetTable] = []
        for each in self.inputs:
            made_of += each.base if isinstance(each, Model) else [each]
        return tuple(dict.fromkeys(made_of))

    def statement(self, folder: Path, settings: Iterable[str]) -> Statement:
        """Return the SELECT of a pipeline in a folder, which has some settings.

        Raises DeclarationError if its file is not there, or it is not one statement with the names
        that stand for values.
        """
        statement = statement_of(self, self.sql, folder)
        known = [*OWN_PARAMETERS, *settings]
        for name in statement.parameters:
            if name not in known:
                raise DeclarationError(
                    f"{self}: :{name} stands for nothing: write one of :{', :'.join(known)}, or "
                    "declare the setting"
                )
        return statement

    @property
    def id(self) -> str:
        """Its name in manifests and in the keys of objects."""
        return self.table.id


@dataclass(frozen=True, eq=False)
class View:
    """A SELECT that a managed warehouse has as a view, recreated when the SELECT changes.

    `sql` is as in `Model`, without names that stand for values. It may name the tables and the
    models of its target, and the views before it. `schema` is as in `TargetTable`. One that is
    `optional` is left out where the warehouse lacks a table or a column that it names, or does not
    understand its SQL.
    """

    name: str
    sql: str
    schema: str | None = None
    optional: bool = False

    def __str__(self) -> str:
        return f"view {self.name}"

    def query(self, folder: Path) -> str:
        """Return the SELECT of a pipeline in a folder.

        Raises DeclarationError if its file is not there, or it is not one statement without values.
        """
        return without_values(self, self.sql, folder).pieces[0].strip()
