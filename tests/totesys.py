"""The declaration of totesys, for the tests that look at its tables one by one."""

from typing import cast

from etl import Postgres
from functions.sources.postgres.declared import Declared
from pipelines.totesys.pipeline import PIPELINE, SOURCE_TABLES

SOURCE = cast("Postgres", PIPELINE.source("source"))
TOTESYS = Declared(SOURCE, PIPELINE)
TABLES = {table.id: table for table in SOURCE_TABLES}
