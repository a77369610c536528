"""The conditions of the alarms, decided once; the dashboard shows the same figures.

The functions count in their own namespace, under the dimension `service`.
"""

from deployer.aws.alarms import PERIOD_SECONDS, Alarm
from deployer.resources import specs
from deployer.resources.names import FunctionUse, Names

# The promise of the pipeline: from the source to the warehouse within 30 minutes.
FRESH_SECONDS = 1800
# The metric that each function emits on every run, even if it is 0.
SIGNS_OF_LIFE: dict[FunctionUse, str] = {
    "extract": "RowsExtracted",
    "transform": "BatchesTransformed",
    "load": "BatchesLoaded",
}
STATUS = "`python deploy.py status`"


def alarms(names: Names, *, of_files: bool = False) -> tuple[Alarm, ...]:
    """Return all alarms of a deployment, with or without that of a pipeline that reads files."""
    uses = [spec.use for spec in specs.FUNCTIONS]
    return (
        *(errors(use, names) for use in uses),
        *(_silence(use, metric, names) for use, metric in SIGNS_OF_LIFE.items()),
        _failed_events(names),
        _quarantine(names),
        _refused(names),
        *([_refused_files(names)] if of_files else []),
        _drift(names),
        _schema_changes(names),
        _freshness(names),
        _disagreement(names),
    )


def errors(use: FunctionUse, names: Names) -> Alarm:
    """Return the alarm of a function that fails."""
    return Alarm(
        names,
        f"{use}-errors",
        description=f"{use} failed. The log group {names.log_group(use)} says why and what to do. "
        "The next run tries again by itself.",
        namespace="AWS/Lambda",
        metric="Errors",
        dimension=("FunctionName", names.function(use)),
        statistic="Sum",
    )


def _silence(use: FunctionUse, metric: str, names: Names) -> Alarm:
    return Alarm(
        names,
        f"{use}-silence",
        description=f"{use} has not finished a run for 30 minutes. `python deploy.py plan` says "
        f"whether its schedule is as it should be, the log group {names.log_group(use)} what its "
        "last runs ended with.",
        namespace=names.prefix,
        metric=metric,
        dimension=("service", use),
        statistic="SampleCount",
        threshold=1.0,
        is_low=True,
        periods=FRESH_SECONDS // PERIOD_SECONDS,
        missing="breaching",
    )


def _failed_events(names: Names) -> Alarm:
    return Alarm(
        names,
        "failed-events",
        description=f"A function failed at an event three times; the event is in the queue "
        f"{names.queue} with the error. Nothing is lost, the schedules catch up. When the cause is "
        "fixed, purge the queue.",
        namespace="AWS/SQS",
        metric="ApproximateNumberOfMessagesVisible",
        dimension=("QueueName", names.queue),
        statistic="Maximum",
    )


def _quarantine(names: Names) -> Alarm:
    return Alarm(
        names,
        "rows-quarantined",
        description="A row of the source cannot be a row of the warehouse and is in quarantine; "
        f"the others went on. {STATUS} names table and reason. Correct the row in the source: it "
        "then comes through by itself.",
        namespace=names.prefix,
        metric="RowsQuarantined",
        dimension=("service", "transform"),
        statistic="Sum",
    )


def _refused(names: Names) -> Alarm:
    return Alarm(
        names,
        "rows-refused",
        description="The warehouse refused a row; the others are loaded. "
        f"{STATUS} names table and reason. Correct the row in the source or the definition of the "
        "warehouse's table: the row then comes through by itself.",
        namespace=names.prefix,
        metric="RowsRefused",
        dimension=("service", "load"),
        statistic="Sum",
    )


def _refused_files(names: Names) -> Alarm:
    return Alarm(
        names,
        "files-refused",
        description="A file was refused, as a whole or some of its rows; the others went on. "
        f"{STATUS} names file and reason, and the objects under errors/ in the bucket "
        f"{names.bucket('processed')} have the refused rows. Correct the file and drop it again.",
        namespace=names.prefix,
        metric="FilesRefused",
        dimension=("service", "transform"),
        statistic="Sum",
    )


def _drift(names: Names) -> Alarm:
    return Alarm(
        names,
        "schema-drift",
        description="A source table has lost what the warehouse needs of it and is left out; the "
        f"others go on. {STATUS} names table and column. Put it "
        "back, or adapt the pipeline: the table then goes on where it stopped.",
        namespace=names.prefix,
        metric="TablesStopped",
        dimension=("service", "extract"),
        statistic="Maximum",
    )


def _schema_changes(names: Names) -> Alarm:
    return Alarm(
        names,
        "schema-changes",
        description="A table of the source is new, was recreated, or has other columns than "
        "before; columns that the warehouse needs are still loaded. The log group "
        f"{names.log_group('extract')} says what changed, {STATUS} how it is now. It is reported "
        "once: adapt the pipeline if the warehouse should have it.",
        namespace=names.prefix,
        metric="SchemaChanges",
        dimension=("service", "extract"),
        statistic="Sum",
    )


def _disagreement(names: Names) -> Alarm:
    return Alarm(
        names,
        "disagreement",
        description="A target table differs from its source. `python deploy.py "
        "reconcile` names tables and keys; `python deploy.py replay N` processes a batch again.",
        namespace=names.prefix,
        metric="TablesApart",
        dimension=("service", "reconcile"),
        statistic="Maximum",
    )


def _freshness(names: Names) -> Alarm:
    return Alarm(
        names,
        "freshness",
        description="A change took more than 30 minutes from the source to the warehouse. "
        f"{STATUS} shows where batches wait; the log groups of the functions say why.",
        namespace=names.prefix,
        metric="SourceToWarehouse",
        dimension=("service", "load"),
        statistic="Maximum",
        threshold=float(FRESH_SECONDS),
    )
