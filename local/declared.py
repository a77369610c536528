"""The warehouse that the pipeline declares, as the sandbox looks at it."""

import pg8000.native

from etl.ddl import postgres
from etl.loading import folder, load
from functions.targets.postgres.create import missing_tables
from functions.targets.postgres.tables import Layout, inspect
from functions.targets.postgres.views import view_name

_NAME = "totesys"


def statements(schema: str) -> dict[str, str]:
    """Return the SQL that creates each table of the warehouse."""
    [target] = load(_NAME).targets
    return postgres(target, schema, folder(_NAME))


def missing(connection: pg8000.native.Connection, schema: str) -> list[str]:
    """Return the tables that the warehouse lacks."""
    [target] = load(_NAME).targets
    return missing_tables(connection, schema, target)


def layout_of(connection: pg8000.native.Connection, schema: str) -> Layout:
    """Return the tables as the warehouse has them; raise WarehouseMismatch for what it lacks."""
    pipeline = load(_NAME)
    [source], [target] = pipeline.sources, pipeline.targets
    declared = [mapping.target for mapping in pipeline.mappings(source.name)]
    return inspect(connection, schema, target, declared)


def views() -> dict[str, str]:
    """Return the views of a managed warehouse, with the tables that they show."""
    [target] = load(_NAME).targets
    return {view_name(table.name): table.name for table in target.tables if table.way == "history"}
