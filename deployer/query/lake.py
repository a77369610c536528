"""The lake of a deployment, as its warehouse was at a moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployer.arguments import chosen_source
from deployer.errors import OperationError, explaining
from deployer.operations.batchlog import BatchLog
from deployer.query import logs
from deployer.query.cache import Cache, Progress, fetch
from deployer.query.moments import AsOf, Standing, loaded_at, standing
from deployer.query.tables import Contents, Document, File, contents, refusals
from etl import Pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Lake:
    """The processed bucket of a pipeline, whose `sources` are those in use."""

    s3: "S3Client"
    bucket: str
    pipeline: Pipeline
    sources: Sequence[str]
    cache: Cache

    def at(
        self, as_of: AsOf | None, source: str | None = None, tables: Iterable[str] = ()
    ) -> "Moment":
        """Return the lake as of a moment; `source` is that of a batch, if several are in use.

        Without one it is the source of all `tables` that are asked for, by their names in
        manifests. The tables of other sources are as they were when that batch was loaded.
        """
        if isinstance(as_of, int):
            feeding = list({self.source_of(table): None for table in tables})
            alone = feeding[0] if len(feeding) == 1 else None
            return self._after_batch(as_of, source or alone)
        markers = {name: self._markers(name) for name in self.sources}
        return self._moment(
            markers, {name: standing(each, name, as_of) for name, each in markers.items()}
        )

    def _after_batch(self, batch: int, source: str | None) -> "Moment":
        source = chosen_source(source, self.sources)
        markers = {name: self._markers(name) for name in self.sources}
        of_batch = standing(markers[source], source, batch)
        at = loaded_at(of_batch)
        others = {name: standing(each, name, at) for name, each in markers.items()}
        return self._moment(markers, others | {source: of_batch})

    def source_of(self, table: str) -> str | None:
        """Return the source that feeds a table; None if it is left out."""
        return next(
            (
                name
                for name in self.sources
                for mapping in self.pipeline.mappings(name)
                if mapping.target.id == table
            ),
            None,
        )

    def _markers(self, source: str) -> dict[int, Document]:
        with explaining(f"s3://{self.bucket}/loaded/{source}/"):
            return logs.markers(BatchLog(self.s3, self.bucket, f"loaded/{source}/"), self.cache)

    def _moment(
        self, markers: Mapping[str, dict[int, Document]], standings: Mapping[str, Standing]
    ) -> "Moment":
        found = {}
        for source, each in standings.items():
            log = BatchLog(self.s3, self.bucket, f"batches/{source}/")
            last = max([each.batch, *each.tables.values()], default=0)
            with explaining(log.place):
                found[source] = logs.manifests(log, last, self.cache)
            if len(found[source]) < last:
                raise OperationError(
                    f"{log.place} lacks a batch before {last}, which is loaded: restore its first "
                    "version, which S3 keeps."
                )
        return Moment(self, standings, markers, found)


@dataclass(frozen=True)
class Moment:
    """What the warehouse had of each source at a moment, with the logs that say so."""

    lake: Lake
    standings: Mapping[str, Standing]
    markers: Mapping[str, Mapping[int, Document]]
    manifests: Mapping[str, Mapping[int, Document]]

    def contents(self, table: str) -> Contents:
        """Return what a target table, by its name in manifests, consisted of."""
        source = self.lake.source_of(table)
        if source is None:
            return Contents()
        at = self.standings[source]
        refused = refusals(self.markers[source], at.marker, table)
        return contents(table, self.manifests[source], at.has(table), refused)

    def fetch(self, tables: Iterable[Contents], say: Progress) -> "Mapping[File, Path]":
        """Return where the objects of some tables are on this machine."""
        files = list(dict.fromkeys(file for each in tables for file in sorted(each.objects)))
        return fetch(self.lake.s3, self.lake.bucket, files, self.lake.cache, say)

    def says(self) -> str:
        """Return which moment it is, in one line."""
        return "; ".join(
            f"{source}: batch {each.batch}, loaded {loaded_at(each):%Y-%m-%d %H:%M:%S} UTC"
            if each.batch
            else f"{source}: nothing loaded"
            for source, each in self.standings.items()
        )
