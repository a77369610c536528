"""What totesys declares, for the tests that look at its tables one by one."""

from functions.sources.postgres.declared import Declared
from pipelines.totesys.pipeline import PIPELINE, SOURCE_TABLES

TOTESYS = Declared(PIPELINE.source("source"), PIPELINE)
TABLES = {table.id: table for table in SOURCE_TABLES}
