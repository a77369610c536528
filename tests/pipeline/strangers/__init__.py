"""Databases of strangers: their SQL, what goes on in them, and what a warehouse should then hold.

The oracle is plain SQL on both sides, apart from the code of the functions.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pg8000.native
from pg8000.native import identifier

from etl import Pipeline
from etl.mapping import Mapping
from local.connection import connect

FOLDER = Path(__file__).parent
SAME = (
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres';"
    " SET bytea_output = 'hex'; SET extra_float_digits = 1; SET lc_monetary = 'C'"
)

Rows = dict[tuple[str | None, ...], list[tuple[str | None, ...]]]


def changes(stranger: str) -> list[str]:
    """Return statements each of which changes some rows of a stranger's database at random."""
    return (FOLDER / f"{stranger}.changes.sql").read_text().splitlines()


def differences(pipeline: Pipeline, source_url: str, warehouse_url: str, schema: str) -> list[str]:
    """Return in what the warehouse is not what the source says, for target tables that are copies.

    Rows that the source has deleted may be in the warehouse; every record of a history differs from
    the one before it.
    """
    expected = {
        mapping.target.name: _select(
            (*mapping.main.keys, *mapping.main.columns),
            f"{identifier(mapping.main.schema)}.{identifier(mapping.main.name)}",
        )
        for mapping in pipeline.mappings("source")
    }
    return _differences(pipeline, expected, source_url, warehouse_url, schema)


def differences_from_oracle(
    pipeline: Pipeline, oracle: str, source_url: str, warehouse_url: str, schema: str
) -> list[str]:
    """Return in what the warehouse is not what SQL makes of the source.

    `oracle` has a query for each target table after a line `-- <name>`, with its columns in order.
    """
    expected = {}
    for part in oracle.split("-- ")[1:]:
        name, _, query = part.partition("\n")
        mapping = next(each for each in pipeline.mappings("source") if each.target.name == name)
        columns = (*mapping.target.key, *(mapping.target.columns or ()))
        made = f"({query.strip().removesuffix(';')}) AS made"
        names = ", ".join(identifier(column) for column in mapping.target.columns or ())
        expected[name] = _select(columns, f"{made} ({names})")
    return _differences(pipeline, expected, source_url, warehouse_url, schema)


def _differences(
    pipeline: Pipeline, expected: dict[str, str], source_url: str, warehouse_url: str, schema: str
) -> list[str]:
    found: list[str] = []
    with connect(source_url) as source, connect(warehouse_url) as warehouse:
        for connection in (source, warehouse):
            connection.run(SAME)
        for mapping in pipeline.mappings("source"):
            name, width = mapping.target.name, len(mapping.target.key)
            there = _by_key(_fetch(source, expected[name]), width)
            here = _by_key(_fetch(warehouse, _of_target(warehouse, mapping, schema)), width)
            found += _compared(name, there, here)
    return found


def _compared(name: str, there: Rows, here: Rows) -> Iterator[str]:
    for key, [row] in there.items():
        records = here.get(key)
        if records is None:
            yield f"{name} {key}: missing"
        elif records[-1] != row:
            different = [(a, b) for a, b in zip(row, records[-1], strict=True) if a != b]
            yield f"{name} {key}: {different}"
    for key, records in here.items():
        if any(before == after for before, after in pairwise(records)):
            yield f"{name} {key}: two equal records follow each other"


def _of_target(connection: pg8000.native.Connection, mapping: Mapping, schema: str) -> str:
    """Return the query for the rows of a target table, those of a history in their order."""
    target = f"{identifier(schema)}.{identifier(mapping.target.name)}"
    columns = (*mapping.target.key, *(mapping.target.columns or ()))
    if mapping.target.way != "history":
        return _select(columns, target)
    [[record]] = connection.run(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = CAST(:target AS regclass)"
        " AND attidentity <> ''",
        target=target,
    )
    return f"{_select(columns, target)} ORDER BY {identifier(record)}"


def _select(columns: Iterable[str], relation: str) -> str:
    """Return the query for values as their types write them: a cast would strip a char(n)."""
    texts = ", ".join(
        f"CASE WHEN {identifier(name)} IS NOT NULL THEN format('%s', {identifier(name)}) END"
        for name in columns
    )
    return f"SELECT {texts} FROM {relation}"


def _fetch(connection: pg8000.native.Connection, query: str) -> list[tuple[str | None, ...]]:
    # Without parameters a query may have a colon; the rows of COPY would have to be parsed.
    rows: list[list[str | None]] = connection.run(query)
    return [tuple(row) for row in rows]


def _by_key(found: list[tuple[str | None, ...]], width: int) -> Rows:
    rows: Rows = {}
    for row in found:
        rows.setdefault(row[:width], []).append(row[width:])
    return rows
