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
    UnixTime,
    Uuid,
)
from etl.errors import DeclarationError
from etl.events import (
    WHOLE,
    BodySignature,
    EventFeed,
    EventList,
    Events,
    StampedSignature,
    StandardWebhooks,
)
from etl.files import Csv, Feed, Files, JsonDocuments
from etl.models import Model, View
from etl.pipeline import Pipeline
from etl.settings import Setting, at_most
from etl.sources import Postgres
from etl.tables import Table
from etl.targets import (
    Calendar,
    PostgresWarehouse,
    RowExport,
    TargetTable,
    dimension,
    fact,
    history,
    latest,
    once,
    replace,
)

__all__ = [
    "SELF",
    "WHOLE",
    "Array",
    "BigInteger",
    "BodySignature",
    "Boolean",
    "Bytes",
    "Calendar",
    "Column",
    "Csv",
    "Date",
    "DeclarationError",
    "Double",
    "EventFeed",
    "EventList",
    "Events",
    "Feed",
    "Files",
    "Integer",
    "Interval",
    "IsoDate",
    "Json",
    "JsonDocuments",
    "Model",
    "Numeric",
    "Other",
    "Pipeline",
    "Postgres",
    "PostgresWarehouse",
    "Real",
    "RowExport",
    "Setting",
    "SmallInteger",
    "StampedSignature",
    "StandardWebhooks",
    "Table",
    "TargetTable",
    "Text",
    "Time",
    "Timestamp",
    "UnixTime",
    "Uuid",
    "View",
    "at_most",
    "dimension",
    "fact",
    "history",
    "latest",
    "once",
    "replace",
]
