"""A shop on any server, and extract from it into a bucket in memory, without AWS."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from deployer.configuration.databases import parse_database_url
from functions.common.batchlog import BatchLog
from functions.common.database import Database
from functions.common.manifests import IngestionManifest
from functions.common.parquet import read_rows
from functions.common.postgres import connection
from functions.sources import Captured
from functions.sources.postgres.capture import capture
from functions.sources.postgres.snapshot import SESSION_PARAMETERS
from tests.pipeline import ground
from tests.postgres_fixtures import Source
from tests.totesys import TOTESYS
from tests.unit.fake_bucket import FakeBucket

ADD = "INSERT INTO department VALUES ({0}, '{1}', 'Leeds', 'Ada', now(), now())"
RENAME = "UPDATE department SET department_name = '{1}' WHERE department_id = {0}"


def database_of(url: str) -> Database:
    return msgspec.convert(parse_database_url(url).secret(), Database)


@dataclass
class Shop:
    """A shop with departments only, and the batches that were extracted from it."""

    source: Source
    bucket: FakeBucket = field(default_factory=FakeBucket)

    def __post_init__(self) -> None:
        self.log = BatchLog(self.bucket, "source", IngestionManifest)

    def sql(self, *statements: str) -> list[list[object]]:
        return ground.run_sql(self.source.superuser_url, *statements)

    def extract(self, url: str | None = None) -> Captured:
        """Extract from the shop, or from another server that has it."""
        database = database_of(url or self.source.reader_url)
        with connection(database, **SESSION_PARAMETERS) as opened:
            return capture(opened, self.log, TOTESYS, str(uuid4()), lambda: datetime.now(UTC))

    def departments(self, url: str | None = None) -> dict[int, str] | None:
        """Extract; return the names of the departments in the batch, None without a batch."""
        manifest = self.extract(url).manifest
        if manifest is None:
            return None
        files = manifest.tables["department"].files
        return {
            row["department_id"]: row["department_name"]
            for rows in read_rows(self.bucket, files)
            for row in rows.to_pylist()
        }
