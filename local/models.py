"""What the sandbox shows of a pipeline's models: their newest rows, as far as they have few."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table

from deployer.configuration.databases import DatabaseAddress
from deployer.terminal import table
from etl import Model
from etl.targets import Target
from local.warehouse import Warehouse, look

FEW = 20  # rows of a model that is worth showing
SHOWN = 3  # of them, side by side


@dataclass(frozen=True)
class ModelRows:
    """The newest rows of a model, the newest first: a value by column, None for NULL."""

    model: str
    rows: tuple[dict[str, str | None], ...]


def model_rows(address: DatabaseAddress, target: Target, schema: str) -> Iterator[ModelRows]:
    """Yield the newest rows of each model that is there and has few of them."""
    with look(address, target.kind) as warehouse:
        there = warehouse.tables() if target.models else set()
        for model in target.models:
            home = model.schema or schema
            if (home, model.name) not in there:
                continue
            rows = warehouse.run(_newest(model, home, warehouse))
            if len(rows) <= FEW:
                named = (dict(zip(model.columns, row, strict=True)) for row in rows[:SHOWN])
                yield ModelRows(f"{home}.{model.name}", tuple(named))


def _newest(model: Model, schema: str, warehouse: Warehouse) -> str:
    quoted, place = warehouse.quoted, warehouse.place(schema, model.name)
    columns = ", ".join(f"CAST({quoted(name)} AS {warehouse.text})" for name in model.columns)
    # Qualified: an unqualified name would be that of the text.
    order = ", ".join(f"model.{quoted(name)} DESC" for name in model.table.key)
    newest_first = f" ORDER BY {order}" if order else ""
    return f"SELECT {columns} FROM {place} AS model{newest_first} LIMIT {FEW + 1}"  # nosec B608


def show_models(models: list[ModelRows]) -> Iterator[Table | str]:
    """Yield each model for a terminal: a line for each column, the rows side by side."""
    for model in models:
        if not model.rows:
            yield f"{model.model} has no rows"
        else:
            shown = table(model.model, *("" for _ in model.rows))
            for name in model.rows[0]:
                shown.add_row(name, *(_shown(row[name]) for row in model.rows))
            yield shown
        yield ""


def _shown(value: str | None) -> str:
    return "-" if value is None else value
