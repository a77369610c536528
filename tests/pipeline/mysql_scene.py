"""Load alone into MySQL: the batches of a `Scene`, and a database of a MySQL or MariaDB."""

from dataclasses import dataclass
from typing import Any

from etl import MysqlWarehouse, TargetTable
from functions.common.batchlog import BatchLog
from functions.common.manifests import ProcessedManifest
from local.mysql import run_sql
from tests.pipeline.target_scene import Scene


@dataclass
class MysqlScene(Scene):
    """A log of batches and the MySQL warehouse that they are loaded into."""

    def declare(self, *tables: TargetTable, **options: Any) -> None:
        """Let these be the tables from now on, in this order."""
        self.tables = tables
        self.target = MysqlWarehouse("warehouse", tables, **options)
        self.log = BatchLog(self.bucket, "source", ProcessedManifest)

    def query(self, sql: str, *more: str) -> list[list[Any]]:
        """Run SQL as the superuser; return the rows of the last statement."""
        return [list(row) for row in run_sql(self.warehouse.superuser_url, sql, *more)]
