"""The manifest of a batch of files, written after all objects that it names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from etl import Files, Rest, Table
from functions.common.accounts import FileRead, KnownFiles
from functions.common.batchlog import BatchLog
from functions.common.errors import BatchConflictError
from functions.common.manifests import IngestionManifest, Source, TableCapture, TableSchema
from functions.common.objects import DataFile


@dataclass
class Batch:
    """The content of a batch: the files in their order, and the objects of each table."""

    number: int
    at: datetime
    before: IngestionManifest | None
    reads: list[FileRead] = field(default_factory=list)
    objects: dict[str, list[DataFile]] = field(default_factory=dict)
    is_cut: bool = False  # not all files were read: no time, or some are gone

    def add(self, read: FileRead, objects: Sequence[DataFile]) -> None:
        """Append a file, and the objects with its rows."""
        self.reads.append(read)
        self.objects.setdefault(read.table, []).extend(objects)


@dataclass(frozen=True)
class Registry:
    """The columns of the tables after a batch, and messages about how they have changed."""

    schemas: Mapping[str, TableSchema]
    drift: list[str]


def claim(
    log: BatchLog[IngestionManifest],
    source: Files | Rest,
    batch: Batch,
    registry: Registry,
    *,
    place: str,
    targets: list[str],
    known: KnownFiles,
    run: str,
    written_at: datetime,
) -> IngestionManifest:
    """Write the manifest of a batch that was read from a `place`, under the id of a run.

    Raises BatchConflictError when another run has claimed its number in the meantime.
    """
    manifest = IngestionManifest(
        batch=batch.number,
        written_at=written_at,
        run=run,
        source=Source(system_identifier="", timeline=0, database=place, snapshot_at=batch.at),
        tables={
            table.id: _captured(table, registry.schemas, batch.objects.get(table.id, []))
            for table in source.tables
        },
        missing={},
        keys=None,
        keys_sha256=None,
        key_parts={},
        schemas=dict(registry.schemas),
        drift=registry.drift,
        targets=targets,
        files=batch.reads,
        known=known,
    )
    if not log.claim(manifest):
        raise BatchConflictError(f"batch {manifest.batch} was claimed by another run")
    return manifest


def _captured(
    table: Table, schemas: Mapping[str, TableSchema], objects: list[DataFile]
) -> TableCapture:
    schema = schemas.get(table.id)
    return TableCapture(
        key=list(table.keys),
        columns=schema.columns if schema else [],
        fingerprint=schema.fingerprint if schema else "",
        horizon=None,
        seen=[],
        changed=sum(file.rows for file in objects),
        files=objects,
    )
