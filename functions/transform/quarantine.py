"""The quarantine: rows of the source that cannot be in a target table yet, with the reason.

Parquet objects hold the open rows of a source table after a batch: the columns as they were
ingested, `_batch` (the batch in which the row came), `_reason`, and `_target`, the target table
that it is not fit for: it may be fit for another. A batch names the objects of the batch before
whose rows it does not change.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from functions.common.objects import ObjectNames
from functions.common.parquet import digest, opened, packed, put, require_rows
from functions.common.quarantined import MarksFile, QuarantinePart
from functions.common.storage import Bucket
from functions.transform.marks import Marks, as_table, from_table, marks_in, name_of

BATCH, REASON, TARGET = "_batch", "_reason", "_target"

PART_BYTES = 16 << 20  # of rows in memory
MARKED_BYTES = 1 << 20  # of an object that is too large to be read by every batch of its table
EXPANDED_AT_MOST = 768 << 20  # earlier versions wrote all rows into one object


def read(bucket: Bucket, part: QuarantinePart) -> pa.Table:
    """Return the open rows of a part."""
    with opened(bucket, part.file, part.sha256, part.rows, EXPANDED_AT_MOST) as source:
        rows: pa.Table = source.read()
    require_rows(bucket, part.file, part.rows, rows.num_rows)
    return rows


def marks(bucket: Bucket, file: MarksFile, by: Collection[Sequence[str]]) -> Marks:
    """Return the marks of a part's rows by the columns of some keys, if it has them."""
    names = list(map(name_of, by))
    with opened(bucket, file.file, file.sha256) as source:
        return from_table(source.read(columns=names, use_threads=False))


def store(
    bucket: Bucket, names: ObjectNames, rows: pa.Table, by: Collection[Sequence[str]]
) -> QuarantinePart:
    """Write open rows as a part; a large one gets marks by the columns of some keys."""
    body = packed(rows)
    part = QuarantinePart(put(bucket, names, body), rows.num_rows, digest(body))
    if len(body) <= MARKED_BYTES:
        return part
    known = [columns for columns in by if set(columns) <= set(rows.column_names)]
    body = packed(as_table(marks_in(rows, known)))
    return replace(part, marks=MarksFile(put(bucket, names, body), digest(body)))


def arrived(rows: pa.Table, batches: pa.Array, target: str, reasons: Mapping[int, str]) -> pa.Table:
    """Return the rows that are not fit for a target, with the quarantine's columns.

    `batches` are the numbers of the batches in which the rows came.
    """
    wrong, numbers = rows.take(_positions(reasons)), batches.take(_positions(reasons))
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
