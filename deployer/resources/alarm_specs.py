"""The alarms of a deployment; the dashboard shows the metrics that they watch.

The functions count in their own namespace, under the dimension `service`. A description is the
text of the e-mail: what happened, where the reason is, and what to do.
"""

from collections.abc import Mapping

from deployer.configuration.settings import Settings
from deployer.resources import specs
from deployer.resources.alarms import (
    DAY_SECONDS,
    LONG_PERIOD_SECONDS,
    PERIOD_SECONDS,
    STATUS,
    WEEK_SECONDS,
    Alarm,
    counted,
    errors,
    happening,
    queued,
)
from deployer.resources.cadence import longest_pause
from deployer.resources.endpoint_alarms import event_alarms, report_alarms
from deployer.resources.log_alarm import log_alarm
from deployer.resources.names import FunctionUse, Names

# The promise of the pipeline: from the source to the warehouse within 30 minutes.
FRESH_SECONDS = 1800
# A run ends this much after it was due, or never.
LONGEST_RUN = max(spec.timeout for spec in specs.FUNCTIONS)
# The metric that each function emits on every run, even if it is 0.
SIGNS_OF_LIFE: dict[FunctionUse, str] = {
    "extract": "RowsExtracted",
    "transform": "BatchesTransformed",
    "load": "BatchesLoaded",
}
SIGN_OF_LAKE: dict[FunctionUse, str] = {"lake": "LakeBehind"}
# A run that ends for lack of time goes on at the next.
BEHIND_SECONDS = 14_400.0

Schedules = Mapping[FunctionUse, str]


def alarms(
    names: Names,
    schedules: Schedules | None = None,
    *,
    of_files: bool = False,
    of_logs: bool = False,
) -> tuple[Alarm, ...]:
    """Return the alarms of every deployment, and those of files and of logs of sources if wanted.

    Those of silence and of freshness depend on the schedules, None for the default ones; the names
    of all do not, but for a function that may pause for a week, whose silence no alarm can watch.
    """
    schedules = schedules or specs.schedules()
    return (
        *(errors(names, spec.use) for spec in specs.FUNCTIONS),
        *silence_alarms(names, schedules),
        _failed_events(names),
        *_of_rows(names),
        *([_refused_files(names)] if of_files else []),
        *([log_alarm(names)] if of_logs else []),
        *_of_tables(names),
        _freshness(names, schedules),
        *(lake_alarms(names) if "lake" in schedules else ()),
    )


def silence_alarms(names: Names, schedules: Schedules) -> tuple[Alarm, ...]:
    """Return the alarms that ring when a function no longer finishes its runs."""
    signs = SIGNS_OF_LIFE | (SIGN_OF_LAKE if "lake" in schedules else {})
    allowed = {use: allowed_seconds(schedules[use]) for use in signs}
    return tuple(
        _silence(names, use, signs[use], seconds)
        for use, seconds in allowed.items()
        if seconds <= WEEK_SECONDS
    )


def allowed_seconds(schedule: str) -> int:
    """Return how long what runs on a schedule may take to happen again: FRESH_SECONDS or more."""
    return max(FRESH_SECONDS, longest_pause(schedule) + LONGEST_RUN)


def lake_alarms(names: Names) -> tuple[Alarm, ...]:
    """Return the alarms of the Iceberg tables, but that of silence."""
    return (
        *(errors(names, spec.use) for spec in specs.OF_LAKE),
        Alarm(
            names,
            "lake-behind",
            counted(names, "lake", "LakeBehind"),
            "An Iceberg table has lacked what is loaded for more than 4 hours. The log group "
            f"{names.log_group('lake')} shows what each run committed; a shorter LAKE_SCHEDULE "
            "gives it more time.",
            statistic="Maximum",
            threshold=BEHIND_SECONDS,
        ),
    )


def possible_alarms(names: Names) -> tuple[Alarm, ...]:
    """Return every alarm that a deployment may have."""
    return (
        *alarms(names, schedules_with_lake(), of_files=True, of_logs=True),
        *event_alarms(names),
        *report_alarms(names),
    )


def schedules_with_lake() -> Schedules:
    """Return the default schedules of a deployment that keeps Iceberg tables."""
    return {**specs.schedules(), "lake": Settings.lake_schedule}


def _silence(names: Names, use: FunctionUse, sign: str, seconds: int) -> Alarm:
    period = PERIOD_SECONDS if seconds <= DAY_SECONDS else LONG_PERIOD_SECONDS
    periods = -(-seconds // period)
    return Alarm(
        names,
        f"{use}-silence",
        counted(names, use, sign),
        f"{use} has not finished a run for {in_words(periods * period)}. `python deploy.py plan` "
        "shows whether its schedule was changed; the log group "
        f"{names.log_group(use)} shows how its last runs ended.",
        statistic="SampleCount",
        threshold=1.0,
        is_low=True,
        periods=periods,
        period=period,
        missing="breaching",
    )


def in_words(seconds: int) -> str:
    """Return a time in minutes, or in hours where it is two or more."""
    minutes = seconds // 60
    return f"{minutes} minutes" if minutes < 120 else f"{-(-minutes // 60)} hours"


def _failed_events(names: Names) -> Alarm:
    return Alarm(
        names,
        "failed-events",
        queued(names.queue),
        f"A function failed to process an event; the queue {names.queue} keeps the "
        "event and the error. Nothing is lost: the scheduled runs catch up. When the cause is "
        "fixed, purge the queue.",
        statistic="Maximum",
        missing="notBreaching",
    )


def _of_rows(names: Names) -> tuple[Alarm, Alarm]:
    return (
        happening(
            names,
            "rows-quarantined",
            counted(names, "transform", "RowsQuarantined"),
            "A source row does not fit the warehouse and is in quarantine; the others were "
            f"processed. {STATUS} shows table and reason. Correct the row in the source: it is "
            "then loaded by itself.",
        ),
        happening(
            names,
            "rows-refused",
            counted(names, "load", "RowsRefused"),
            f"The warehouse refused a row; the others are loaded. {STATUS} shows table and reason. "
            "Correct the row in the source, or the definition of the warehouse's table: the row is "
            "then loaded by itself.",
        ),
    )


def _refused_files(names: Names) -> Alarm:
    return happening(
        names,
        "files-refused",
        counted(names, "transform", "FilesRefused"),
        "A file, or some of its rows, was refused; the rest was processed. "
        f"{STATUS} shows file and reason, and the objects under errors/ in the bucket "
        f"{names.bucket('processed')} hold the refused rows. Correct the file and drop it again.",
    )


def _of_tables(names: Names) -> tuple[Alarm, Alarm, Alarm]:
    return (
        Alarm(
            names,
            "schema-drift",
            counted(names, "extract", "TablesStopped"),
            "A source table lacks a column that the warehouse needs, and is no longer read; the "
            f"others are. {STATUS} shows table and column. Restore it, or adapt the pipeline: the "
            "table then continues where it stopped.",
            statistic="Maximum",
        ),
        happening(
            names,
            "schema-changes",
            counted(names, "extract", "SchemaChanges"),
            "A source table is new, was recreated, or its columns have changed; columns that the "
            f"warehouse needs are still loaded. The log group {names.log_group('extract')} shows "
            f"what changed, {STATUS} the current state. It is reported once: adapt the pipeline "
            "if the warehouse should have it.",
        ),
        Alarm(
            names,
            "disagreement",
            counted(names, "reconcile", "TablesApart"),
            "A target table differs from its source. `python deploy.py reconcile` shows tables and "
            "keys; `python deploy.py replay N` processes a batch again.",
            statistic="Maximum",
        ),
    )


def _freshness(names: Names, schedules: Schedules) -> Alarm:
    seconds = allowed_seconds(schedules["load"])
    return Alarm(
        names,
        "freshness",
        counted(names, "load", "SourceToWarehouse"),
        f"A change took more than {in_words(seconds)} from the source to the warehouse. "
        f"{STATUS} shows where batches wait; the log groups of the functions have the reasons.",
        statistic="Maximum",
        threshold=float(seconds),
    )
