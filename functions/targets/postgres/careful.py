"""Apply rows one at a time, so that a row that the warehouse refuses affects no other.

At about 50,000 rows a second it is far slower than whole parts, so it is used for a batch that was
rejected as a whole. It needs the language plpgsql, which everybody may use by default.
"""

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
from msgspec import structs
from pg8000.native import identifier, literal

from functions.common.copy import copy_in, copy_out
from functions.common.loaded import Loaded
from functions.common.pgconnection import PostgresConnection
from functions.common.sqlstate import DATA_CLASSES, condition
from functions.common.telemetry import logger
from functions.targets.postgres.snapshot import missing, others
from functions.targets.postgres.stage import Stage
from functions.targets.session import Outcome

_RAW, _REFUSED, _PLACE = "raw_rows", "refused_rows", "_place"
_REFUSALS = pa.schema(
    [(_PLACE, pa.int64()), ("code", pa.string()), ("named", pa.string()), ("column", pa.string())]
)


def begin(connection: PostgresConnection) -> None:
    """Prepare the transaction: constraints are checked immediately, and refusals recorded."""
    connection.run("SET CONSTRAINTS ALL IMMEDIATE")
    connection.run("SET LOCAL enable_nestloop = off")  # as in `apply.append_history`
    connection.run(
        f"CREATE TEMPORARY TABLE {_REFUSED} ({_PLACE} bigint, code text, named text,"
        ' "column" text) ON COMMIT DROP'
    )


def apply_each(stage: Stage, rows: pa.Table) -> Outcome:
    """Apply rows with distinct keys in the way of their table, by way of the stage."""
    table = stage.table
    if not table.key:
        return replace_each(stage, [rows], is_whole=False)
    ways = {"history": append_each, "once": insert_missing_each}
    return ways.get(table.way, upsert_each)(stage, rows)


def upsert_each(stage: Stage, rows: pa.Table) -> Outcome:
    """Insert or update rows by their key, by way of the stage."""
    _convert(stage, [rows])
    table = stage.table
    update = "NULL;"
    if stage.others:
        update = (
            f"UPDATE {table.target} AS d SET {stage.assignments('_this')}"
            " WHERE d.ctid = _this._at AND d.tableoid = _this._in;"
        )
    inserted, updated = _for_each(
        stage.connection,
        f"SELECT s.*, d.ctid AS _at, d.tableoid AS _in FROM {stage.source} AS s"
        f" LEFT JOIN {table.target} AS d ON {table.same_key('d', 's')}"
        f" WHERE d.ctid IS NULL OR {stage.differs('d', 's')} ORDER BY s.{_PLACE}",
        f"IF _this._at IS NULL THEN {_insert(stage)} _inserted := _inserted + 1; ELSE"
        f" {update} _updated := _updated + 1; END IF;",
    )
    return _outcome(stage.connection, rows.num_rows, inserted, updated)


def insert_missing_each(stage: Stage, rows: pa.Table) -> Outcome:
    """Insert the rows, with distinct keys, whose key is missing."""
    _convert(stage, [rows])
    inserted, _ = _for_each(
        stage.connection,
        f"SELECT s.* FROM {stage.source} AS s WHERE {stage.is_missing} ORDER BY s.{_PLACE}",
        f"{_insert(stage)} _inserted := _inserted + 1;",
    )
    return _outcome(stage.connection, rows.num_rows, inserted, 0)


def append_each(stage: Stage, rows: pa.Table) -> Outcome:
    """Append the rows that differ from the newest record of their key."""
    _convert(stage, [rows])
    with stage.planned():
        inserted, _ = _for_each(
            stage.connection,
            f"SELECT s.* {stage.changed()} ORDER BY s.{_PLACE}",
            f"{_insert(stage)} _inserted := _inserted + 1;",
        )
    return _outcome(stage.connection, rows.num_rows, inserted, 0)


def replace_each(
    stage: Stage,
    parts: Iterable[pa.Table],
    *,
    is_whole: bool,
) -> Outcome:
    """Insert the rows that the table lacks; if `is_whole`, delete all others.

    Places count across all parts; one part is in memory at a time.
    """
    rows = _convert(stage, parts)
    deleted = delete_each(stage, others(stage)) if is_whole else 0
    inserted, _ = _for_each(
        stage.connection,
        f"SELECT s.* {missing(stage)} ORDER BY s.{_PLACE}",
        f"{_insert(stage)} _inserted := _inserted + 1;",
    )
    outcome = _outcome(stage.connection, rows, inserted, 0)
    return replace(outcome, loaded=structs.replace(outcome.loaded, deleted=deleted))


def delete_each(stage: Stage, where: str) -> int:
    """Delete the rows whose places, `at` in a `relation`, a query returns; keep referenced ones."""
    deleted, _ = _for_each(
        stage.connection,
        f"SELECT 0 AS {_PLACE}, gone.at, gone.relation FROM ({where}) AS gone",
        f"DELETE FROM {stage.table.target} AS t WHERE t.ctid = _this.at"
        " AND t.tableoid = _this.relation; _inserted := _inserted + 1;",
    )
    if kept := stage.connection.run(f"SELECT code, count(*) FROM {_REFUSED} GROUP BY code"):
        extra = {
            "table": stage.table.name,
            "reasons": {condition(code): rows for code, rows in kept},
        }
        logger.warning("rows cannot be deleted, and are kept", extra=extra)
    stage.connection.run(f"TRUNCATE {_REFUSED}")
    return deleted


def insert_each(connection: PostgresConnection, query: str, statement: str) -> int:
    """Run an INSERT for each row `_this` of a query; return how many were accepted.

    Refusals are not reported: rows that refer to a refused one are refused themselves.
    """
    inserted, _ = _for_each(
        connection,
        f"SELECT 0 AS {_PLACE}, made.* FROM ({query}) AS made",
        f"{statement}; _inserted := _inserted + 1;",
    )
    connection.run(f"TRUNCATE {_REFUSED}")
    return inserted


def _insert(stage: Stage) -> str:
    return (
        f"INSERT INTO {stage.table.target} ({stage.list_of()}) VALUES ({stage.list_of('_this')});"
    )


def _convert(stage: Stage, parts: Iterable[pa.Table]) -> int:
    """Fill the stage with those rows whose values its types accept, by assignment, as COPY would.

    Returns how many rows there are. Texts are sent as bytes of UTF-8, because the database's
    encoding may lack characters.
    """
    rows, texts = 0, list[bool]()
    for part in parts:
        if not rows:
            texts = [pa.types.is_string(field.type) for field in part.schema]
            _open(stage, part.schema.names, texts)
        names = [_PLACE, *(f"c{number}" for number in range(len(texts)))]
        copy_in(stage.connection, _RAW, names, _raw(part, texts, rows))
        rows += part.num_rows
    _assign(stage, texts)
    return rows


def _open(stage: Stage, names: list[str], texts: list[bool]) -> None:
    """Create the stage, and a table for rows as texts and bytes."""
    stage.open(names, f", 0::bigint AS {_PLACE}")
    kinds = ", ".join(
        f"c{number} {'bytea' if is_text else 'text'}" for number, is_text in enumerate(texts)
    )
    stage.connection.run(f"TRUNCATE {stage.source}")
    stage.connection.run(f"DROP TABLE IF EXISTS {_RAW}")
    stage.connection.run(f"CREATE TEMPORARY TABLE {_RAW} ({_PLACE} bigint, {kinds}) ON COMMIT DROP")


def _assign(stage: Stage, texts: list[bool]) -> None:
    """Fill the stage from texts and bytes."""
    assignments = "".join(
        f"_row.{identifier(column)} := "
        + (f"convert_from(_this.c{number}, 'UTF8');" if is_text else f"_this.c{number};")
        for number, (column, is_text) in enumerate(zip(stage.columns, texts, strict=True))
    )
    _for_each(
        stage.connection,
        f"SELECT * FROM {_RAW} AS s ORDER BY s.{_PLACE}",
        f"{assignments} _row.{_PLACE} := _this.{_PLACE}; INSERT INTO {stage.source} SELECT _row.*;",
        declare=f"_row {stage.source}%ROWTYPE;",
    )
    stage.connection.run(f"ANALYZE {stage.source}")


def _raw(rows: pa.Table, texts: list[bool], place: int) -> Iterable[pa.RecordBatch]:
    """Yield the rows with their places, from `place` on, and texts in the form of bytea."""
    for batch in rows.to_batches(65_536):
        columns = [pa.array(range(place, place + batch.num_rows), pa.int64())]
        for column, is_text in zip(batch.columns, texts, strict=True):
            columns.append(_bytea(column) if is_text else column)
        yield pa.record_batch(columns, [str(number) for number in range(len(columns))])
        place += batch.num_rows


def _bytea(texts: pa.Array) -> pa.Array:
    values = (None if text is None else f"\\x{text.encode().hex()}" for text in texts.to_pylist())
    return pa.array(values, pa.string())


def _for_each(
    connection: PostgresConnection, query: str, statements: str, declare: str = ""
) -> tuple[int, int]:
    """Run statements for each row `_this` of a query, and record those that are refused.

    Returns the counters `_inserted` and `_updated`. An error that is not about a row's values is
    raised.
    """
    classes = ", ".join(map(literal, DATA_CLASSES))
    body = f"""
        DECLARE
            _this record; {declare}
            _inserted bigint := 0; _updated bigint := 0; _code text; _named text; _column text;
        BEGIN
            FOR _this IN {query} LOOP
                BEGIN
                    {statements}
                EXCEPTION WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS _code = RETURNED_SQLSTATE,
                        _named = CONSTRAINT_NAME, _column = COLUMN_NAME;
                    IF left(_code, 2) NOT IN ({classes}) AND _code <> '42846' THEN RAISE; END IF;
                    INSERT INTO {_REFUSED} VALUES (_this.{_PLACE}, _code, _named, _column);
                END;
            END LOOP;
            PERFORM set_config('etl.counts', _inserted || ' ' || _updated, true);
        END"""
    connection.run(f"DO LANGUAGE plpgsql {literal(body)}")
    [[counts]] = connection.run("SELECT current_setting('etl.counts')")
    inserted, updated = map(int, counts.split())
    return inserted, updated


def _outcome(connection: PostgresConnection, rows: int, inserted: int, updated: int) -> Outcome:
    """Return the outcome of rows, and clear the recorded refusals."""
    noted = pa.Table.from_batches(
        copy_out(connection, f"SELECT * FROM {_REFUSED} ORDER BY {_PLACE}", _REFUSALS), _REFUSALS
    )
    connection.run(f"TRUNCATE {_REFUSED}")
    reasons = [
        _reason(code, named, column)
        for code, named, column in zip(
            *(noted[name].to_pylist() for name in _REFUSALS.names[1:]), strict=True
        )
    ]
    places = noted[_PLACE].combine_chunks()
    return Outcome(Loaded(rows, inserted, updated, len(places)), places, reasons)


def _reason(code: str, named: str | None, column: str | None) -> str:
    if code.startswith("P0"):  # its author chose the names as well
        return f"{condition(code)} [{code}]"
    constraint = f", constraint {named}" if named else ""
    return f"{condition(code)} [{code}]{constraint}{f', column {column}' if column else ''}"
