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
    Point,
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
from etl.figures import Figure
from etl.files import Csv, ErrorReport, Feed, Files, JsonDocuments, RefusedRow
from etl.models import Model, View
from etl.parameters import Parameter, Today
from etl.pipeline import Pipeline
from etl.reports import Report
from etl.settings import Setting, at_most
from etl.sources import Postgres
from etl.tables import Table
from etl.targets import (
    Calendar,
    MysqlWarehouse,
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
    "ErrorReport",
    "EventFeed",
    "EventList",
    "Events",
    "Feed",
    "Figure",
    "Files",
    "Integer",
    "Interval",
    "IsoDate",
    "Json",
    "JsonDocuments",
    "Model",
    "MysqlWarehouse",
    "Numeric",
    "Other",
    "Parameter",
    "Pipeline",
    "Point",
    "Postgres",
    "PostgresWarehouse",
    "Real",
    "RefusedRow",
    "Report",
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
    "Today",
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
