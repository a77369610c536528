"""Run models: SELECTs over the warehouse's tables, in the transaction of a batch.

A model that fails is rolled back to a savepoint: the batch's rows are loaded, and the model is run
again by the next load.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pg8000.native import DatabaseError, identifier, literal

from etl.ddl import search_path
from etl.models import Model
from functions.common.errors import PipelineCodeError
from functions.common.loaded import Loaded
from functions.common.pgconnection import PostgresConnection
from functions.common.postgres import SESSION
from functions.common.sqlstate import described
from functions.targets import Made, Moment
from functions.targets.derived import are_shown, require_columns, without_key
from functions.targets.postgres.apply import insert_changed, insert_missing, upsert_latest
from functions.targets.postgres.snapshot import replace_by
from functions.targets.postgres.stage import Stage
from functions.targets.session import Select

# Errors of the server, of other sessions and of the connection, not of a model.
_OF_OTHERS = ("08", "40", "53", "55", "57", "58", "XX")


def query_of(select: Select, moment: Moment) -> str:
    """Return a SELECT with the values of a batch, as a subquery, which can write nothing."""
    values = {
        "day": f"{literal(moment.day.isoformat())}::date",
        "batch": str(moment.batch),
        **{name: literal(text) for name, text in select.settings.items()},
    }
    statement = select.model.statement(select.folder, select.settings)
    return f"(\n{statement.with_values(values.__getitem__)}\n) AS made"


def run_model(
    stage: Stage,
    schemas: Iterable[str],
    select: Select,
    moment: Moment,
) -> tuple[Loaded, Made]:
    """Run a model and merge its rows into its table in its way; they remain staged.

    Its tables are looked up in `schemas`, in this order. Raises PipelineCodeError if it fails; then
    nothing of it has been done.
    """
    model = select.model
    stage.connection.run("SAVEPOINT model")
    try:
        with _failures_of(model):
            _fill(stage, list(schemas), select, moment)
            _require_keys(stage, model)
            loaded = _merge_rows(stage)
    except PipelineCodeError:
        stage.connection.run("ROLLBACK TO SAVEPOINT model")
        raise
    stage.connection.run("RELEASE SAVEPOINT model")
    shown = _rows(stage) if are_shown(model, stage.rows) else None
    return loaded, Made(stage.rows, shown)


@contextmanager
def _failures_of(model: Model, sql: str = "") -> Iterator[None]:
    """Turn errors of the server about a model into PipelineCodeError.

    They name the line of its SELECT, if that begins in the second line of `sql`.
    """
    try:
        yield
    except DatabaseError as error:
        fields = dict(error.args[0])
        if fields.get("C", "")[:2] in _OF_OTHERS:
            raise
        before = sql[: int(fields.get("P", 0))].count("\n")
        line = f", line {before} of its SQL" if before else ""
        raise PipelineCodeError(f"{model}: {described(fields)}{line}") from None


def _fill(
    stage: Stage,
    schemas: list[str],
    select: Select,
    moment: Moment,
) -> None:
    """Stage the rows of a SELECT, as values of the table's types."""
    columns = list(select.model.columns)
    made = query_of(select, moment)
    _search(stage.connection, search_path(schemas))
    query = f"SELECT * FROM {made} LIMIT 0"
    with _failures_of(select.model, query):
        stage.connection.run(query)
    require_columns(select.model, [str(each["name"]) for each in stage.connection.columns or []])
    stage.open(columns)
    stage.connection.run(
        f"INSERT INTO pg_temp.{stage.source} ({stage.list_of()})"
        f" SELECT {', '.join(map(identifier, columns))} FROM {made}"
    )
    stage.rows = stage.connection.row_count
    _search(stage.connection, SESSION["search_path"])
    stage.connection.run(f"ANALYZE {stage.source}")


def _search(connection: PostgresConnection, path: str) -> None:
    connection.run("SELECT pg_catalog.set_config('search_path', :path, true)", path=path)


def _require_keys(stage: Stage, model: Model) -> None:
    """Raise PipelineCodeError for rows without a key or with the same key."""
    table = stage.table
    if not table.keys:
        return
    empty = " OR ".join(f"s.{identifier(column)} IS NULL" for column in table.keys)
    [[has_empty, has_double]] = stage.connection.run(
        f"SELECT EXISTS (SELECT FROM {stage.source} AS s WHERE {empty}), EXISTS"
        f" (SELECT FROM {stage.source} AS s GROUP BY {table.key_values('s')} HAVING count(*) > 1)"
    )
    if has_empty or has_double:
        raise without_key(model, table.key, is_double=not has_empty)


def _merge_rows(stage: Stage) -> Loaded:
    if stage.table.way == "replace":
        return replace_by(stage)
    if stage.table.way == "latest":
        return upsert_latest(stage)
    if stage.table.way == "once":
        return Loaded(stage.rows, insert_missing(stage), 0)
    stage.connection.run("SET LOCAL enable_nestloop = off")  # as in `apply.append_history`
    inserted = insert_changed(stage)
    stage.connection.run("SET LOCAL enable_nestloop = on")
    return Loaded(stage.rows, inserted, 0)


def _rows(stage: Stage) -> list[dict[str, Any]]:
    rows = stage.connection.run(f"SELECT {stage.list_of()} FROM {stage.source}")
    return [dict(zip(stage.columns, row, strict=True)) for row in rows]
