"""The alarm of a source whose changes are looked up in its write-ahead log."""

from deployer.resources.alarms import Alarm, Metric
from deployer.resources.names import Names

# An hour of a busy database, and a small part of its disk.
RETAINED_BYTES = 5 << 30


def log_alarm(names: Names) -> Alarm:
    """Return the alarm of the log that a source keeps for the slot of the deployment."""
    return Alarm(
        names,
        "log-retained",
        Metric(names.prefix, "LogRetained", ("service", "extract")),
        f"A source keeps over {RETAINED_BYTES >> 30} GB of its write-ahead log for this pipeline, "
        "and its disk may fill up. A transaction there may have been open for long: look for it in "
        f"pg_stat_activity and end it. Else the log group {names.log_group('extract')} says why "
        "the slot is not advanced; <NAME>_CAPTURE=scan and `python deploy.py` drop it.",
        statistic="Maximum",
        threshold=float(RETAINED_BYTES),
        missing="notBreaching",
    )
