"""Models: tables of a warehouse that are made of its other tables, by SQL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etl.columns import Column
from etl.errors import DeclarationError
from etl.targets import TargetTable, Way

Say = Callable[[Sequence[Mapping[str, Any]]], str]


@dataclass(frozen=True, eq=False)
class Model:
    """A SELECT, run in the transaction of each batch that brings rows of one of its `inputs`.

    Its rows come together with those of the table as those of any target table do. `sql` is the
    statement, or the name of a file of the pipeline's folder, ending in `.sql`. It names tables as
    they are declared, and may say `:day` for the day of the batch, `:batch` for its number, and
    `:NAME` for a setting of the pipeline; strings and comments in it are left as they are.

    `says` returns, for the mail, what the rows that came of the SELECT mean, in a line or two.
    `schema` is as in `TargetTable`.
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
        """Raise DeclarationError for a model without inputs, or whose key it does not have."""
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
    def id(self) -> str:
        """Its name in manifests and in the keys of objects."""
        return self.table.id
