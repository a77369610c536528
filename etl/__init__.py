"""The words in which a pipeline is declared.

Standard library only: functions, the deployer and a person who tries a declaration import it alike.
"""

from etl.columns import (
    SELF,
    Array,
    BigInteger,
    Boolean,
    Bytes,
    Column,
    Date,
    Double,
    Integer,
    Interval,
    IsoDate,
    Json,
    Numeric,
    Other,
    Real,
    SmallInteger,
    Text,
    Time,
    Timestamp,
    Uuid,
)
from etl.errors import DeclarationError
from etl.pipeline import Pipeline
from etl.sources import Postgres
from etl.tables import Table
from etl.targets import (
    Calendar,
    PostgresWarehouse,
    TargetTable,
    dimension,
    fact,
    history,
    latest,
    replace,
)

__all__ = [
    "SELF",
    "Array",
    "BigInteger",
    "Boolean",
    "Bytes",
    "Calendar",
    "Column",
    "Date",
    "DeclarationError",
    "Double",
    "Integer",
    "Interval",
    "IsoDate",
    "Json",
    "Numeric",
    "Other",
    "Pipeline",
    "Postgres",
    "PostgresWarehouse",
    "Real",
    "SmallInteger",
    "Table",
    "TargetTable",
    "Text",
    "Time",
    "Timestamp",
    "Uuid",
    "dimension",
    "fact",
    "history",
    "latest",
    "replace",
]
