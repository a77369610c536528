"""The quarantine: rows of the source that cannot be in a target table yet, with the reason.

One Parquet object holds all open rows of a source table after a batch: the columns as they were
ingested, `_batch` (the batch in which the row came), `_reason`, and `_target`, the target table
that it is not fit for: it may be fit for another. A batch that does not change them writes no
object, and names that of the batch before.
"""

from collections.abc import Mapping
from datetime import date
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.manifests import Quarantine
from functions.common.objects import ObjectNames
from functions.common.parquet import digest, opened, packed, put, require_rows
from functions.common.storage import Bucket

BATCH, REASON, TARGET = "_batch", "_reason", "_target"

EXPANDED_AT_MOST = 768 << 20  # transform holds all open rows of a table at once


def read(bucket: Bucket, entry: Quarantine | None) -> pa.Table:
    """Return the open rows that a manifest's entry names, none for None."""
    if entry is None:
        return pa.table({})
    with opened(bucket, entry.file, entry.sha256, entry.rows, EXPANDED_AT_MOST) as source:
        rows: pa.Table = source.read()
    require_rows(bucket, entry.file, entry.rows, rows.num_rows)
    return rows


def store(bucket: Bucket, table: str, batch: int, day: date, rows: pa.Table) -> Quarantine:
    """Write the open rows of `<source>/<table>` after a batch, under its day."""
    body = packed(rows)
    key = put(bucket, ObjectNames(f"quarantine/{table}", batch, day), body)
    return Quarantine(key, rows.num_rows, digest(body))


def arrived(rows: pa.Table, batch: int, target: str, reasons: Mapping[int, str]) -> pa.Table:
    """Return the rows of a batch that are not fit for a target, with the quarantine's columns."""
    wrong = rows.take(_positions(reasons))
    numbers = pa.array([batch] * wrong.num_rows, pa.int64())
    marked = wrong.append_column(BATCH, numbers).append_column(REASON, _text(reasons))
    return marked.append_column(TARGET, pa.array([target] * wrong.num_rows, pa.string()))


def of(target: str, rows: pa.Table) -> pa.Table:
    """Return the open rows that are not fit for a target."""
    return rows.filter(pc.equal(rows[TARGET], target)) if rows.num_rows else rows


def still_open(rows: pa.Table, reasons: Mapping[int, str]) -> pa.Table:
    """Return the open rows that still have reasons, with these."""
    place = rows.schema.get_field_index(REASON)
    return rows.take(_positions(reasons)).set_column(place, REASON, _text(reasons))


def together(tables: list[pa.Table]) -> pa.Table:
    """Return the rows of all tables, even if the source's columns changed between them.

    A column that a table lacks is NULL there; types are widened if possible, or else become text.
    """
    types: dict[str, list[pa.DataType]] = {}
    for field in chain.from_iterable(table.schema for table in tables):
        types.setdefault(field.name, []).append(field.type)
    common = {name: _common_type(found) for name, found in types.items()}
    alike = [
        table.cast(pa.schema([(name, common[name]) for name in table.column_names]))
        for table in tables
    ]
    return pa.concat_tables([pa.schema(common).empty_table(), *alike], promote_options="default")


def _common_type(types: list[pa.DataType]) -> pa.DataType:
    columns = [pa.schema([("column", kind)]) for kind in types]
    try:
        return pa.unify_schemas(columns, promote_options="permissive").field("column").type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.string()


def _positions(reasons: Mapping[int, str]) -> pa.Array:
    return pa.array(list(reasons), pa.int64())


def _text(reasons: Mapping[int, str]) -> pa.Array:
    return pa.array(list(reasons.values()), pa.string())
