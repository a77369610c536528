"""Iceberg tables in the Glue catalogue: opened, created, and their schemas kept up with rows.

A table's properties say up to which marker and batch it has what was loaded; they change in the
same commit as its rows.
"""

import operator
import re
from typing import Any

import boto3
import pyarrow as pa
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import (
    NoSuchTableError,
    ResolveError,
    TableAlreadyExistsError,
)
from pyiceberg.schema import Schema, promote
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata

from functions.common.errors import OutdatedBatchError
from functions.common.storage import CLIENT_CONFIG
from functions.lake.arrow import schema_to_pyarrow, schema_without_ids
from functions.lake.changes import Position
from functions.lake.files import IMPLEMENTATION
from functions.lake.overwrite import MERGED_AT

NAME_MAPPING = "schema.name-mapping.default"
MARKER, BATCH, AT = "loaded.marker", "loaded.batch", "loaded.at"
PROPERTIES = {
    "format-version": "2",
    # A commit that lost against another is made of what the table had: repeating it on top of the
    # other would add the same rows twice.
    "commit.retry.num-retries": "0",
    "write.metadata.previous-versions-max": "20",
    "write.metadata.delete-after-commit.enabled": "false",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": str(MERGED_AT),
}


def glue_name(table: str) -> str:
    """Return the name of a target table in Glue: Athena knows lower case, digits and _ alone."""
    return re.sub(r"[^a-z0-9_]", "_", table.lower())


class _PlainGlue(GlueCatalog):
    """Glue's own catalogue, which needs no look at the database before each commit."""

    def _is_s3tables_database(self, database_name: str) -> bool:  # noqa: ARG002
        return False


class Catalog:
    """The tables of one database of Glue; their own files are under `location`."""

    def __init__(self, database: str, location: str) -> None:
        self._database = database
        self._location = location
        client = boto3.client("glue", config=CLIENT_CONFIG)
        self._glue = _PlainGlue("lake", client, **{"py-io-impl": IMPLEMENTATION})

    def find(self, table: str) -> Table | None:
        """Return a target table, None if there is none yet."""
        try:
            return self._glue.load_table((self._database, glue_name(table)))
        except NoSuchTableError:
            return None

    def create(self, table: str, schema: pa.Schema) -> Table:
        """Create a table, or return the one that another run has created."""
        identifier = (self._database, glue_name(table))
        try:
            return self._glue.create_table(
                identifier, schema, f"{self._location}/{table}", properties=PROPERTIES
            )
        except TableAlreadyExistsError:
            return self._glue.load_table(identifier)


class Edit(Transaction):
    """A transaction that computes its metadata once after each update.

    pyiceberg does so at each look, 22 times in a commit: with 100 snapshots, most of its time.
    """

    _seen: tuple[object, object] = (None, None)
    _found: TableMetadata | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """What the table becomes by the updates so far."""
        seen = (self._table.metadata, self._updates)
        if self._found is None or any(map(operator.is_not, seen, self._seen)):
            self._seen, self._found = seen, super().table_metadata
        return self._found


def position_of(table: Table) -> Position:
    """Return how far a table is."""
    said = table.properties
    return Position(int(said.get(MARKER, 0)), int(said.get(BATCH, 0)), said.get(AT, ""))


def properties_of(position: Position) -> dict[str, str]:
    """Return the properties of a table that is so far."""
    return {MARKER: str(position.marker), BATCH: str(position.batch), AT: position.at}


def evolve(transaction: Transaction, rows: pa.Schema) -> bool:
    """Give a table the columns and the wider types of rows.

    Returns whether files with these rows can be part of the table as they are; False where a type
    of theirs is narrower. Raises OutdatedBatchError for a type that neither holds the other.
    """
    found, wanted = _fields(transaction.table_metadata.schema()), _fields(schema_without_ids(rows))
    wider = {name for name, kind in wanted.items() if _is_wider(found.get(name), kind, name)}
    if wider:
        with transaction.update_schema() as update:
            update.union_by_name(
                pa.schema([rows.field(name) for name in rows.names if name in wider])
            )
    if NAME_MAPPING not in transaction.table_metadata.properties:
        mapping = transaction.table_metadata.schema().name_mapping
        transaction.set_properties({NAME_MAPPING: mapping.model_dump_json()})
    has = _fields(transaction.table_metadata.schema())
    return all(has[name] == kind for name, kind in wanted.items())


def as_stored(transaction: Transaction, rows: pa.Table) -> pa.Table:
    """Return rows with the types of a table."""
    has = schema_to_pyarrow(transaction.table_metadata.schema(), include_field_ids=False)
    fields = [pa.field(name, _small(has.field(name).type)) for name in rows.column_names]
    return rows.cast(pa.schema(fields))


def _small(kind: pa.DataType) -> pa.DataType:
    large = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    return large.get(kind, kind)


def _fields(schema: Schema) -> dict[str, Any]:
    return {field.name: field.field_type for field in schema.fields}


def _is_wider(has: Any, kind: Any, name: str) -> bool:
    """Return whether a column is new, or has to become wider."""
    if has is None or has == kind:
        return has is None
    for narrow, wide in ((has, kind), (kind, has)):
        try:
            promote(narrow, wide)
        except ResolveError:
            continue
        return wide is kind
    raise OutdatedBatchError(
        f"column {name} was {has} and is {kind}, which one Iceberg column cannot be: drop the "
        "table in Glue if the older batches can be replayed, or name the column otherwise"
    )
