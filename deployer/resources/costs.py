"""The monthly cost of a deployment, estimated from its settings and AWS's list prices.

Prices are on-demand, in US dollars, and roughly those of eu-west-2; the pages named below have the
current ones. Neither the free tier nor data transfer out of AWS is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.configuration.settings import Settings
from deployer.resources import reach, specs
from deployer.resources.alarm_specs import alarms
from deployer.resources.cadence import DAYS, MINUTES, runs_a_month
from deployer.resources.endpoint_alarms import event_alarms, report_alarms
from deployer.resources.names import FunctionUse, Names
from deployer.resources.reach import Surroundings

# https://aws.amazon.com/lambda/pricing/ (by architecture), /s3/, /secrets-manager/, /cloudwatch/,
# /sns/. Scheduled rules of EventBridge and an empty queue cost nothing.
REQUEST = 0.20 / 1_000_000
GB_SECOND = {"arm64": 0.0000133334, "x86_64": 0.0000166667}
S3_WRITE = 0.0053 / 1_000  # a PUT or a LIST
S3_READ = 0.00042 / 1_000
S3_GB = 0.024
SECRET, SECRET_READ = 0.40, 0.05 / 10_000
ALARM, METRIC, DASHBOARD, LOG_GB = 0.10, 0.30, 3.00, 0.5985
EMAIL = 2.00 / 100_000
API_REQUEST = 1.16 / 1_000_000  # /api-gateway/, of an HTTP API
QUEUE_CALL = 0.40 / 1_000_000  # /sqs/

WORKING_DAYS = 22
BATCHES_A_DAY = 60  # on a working day
COLD_STARTS_A_DAY = 24  # of each function
COLD_START_SECONDS = 2.0
BATCH_SECONDS = 1.0  # of each function that processes it
BATCH_WRITES, BATCH_READS = 9, 100  # of all functions, in addition to those of an idle run
STORED_GB = 1.0  # a batch is 30 kB, the layers are 60 MB
LOG_BYTES = 2_000  # of one run
CUSTOM_METRICS = 11  # of any pipeline,
METRICS_OF_FILES = 1  # further ones with a source of files,
METRICS_OF_EVENTS = 4  # or of events,
METRICS_OF_LAKE = 1  # or with Iceberg tables,
METRICS_OF_LOGS = 1  # or with one whose changes are looked up in its log
ALERTS = 10
EVENTS_A_DAY = 1_000  # on a working day
REPORTS_A_DAY, REPORT_SECONDS = 1_000, 0.05
EVENT_SECONDS, COLLECT_SECONDS = 0.05, 2.0
MONTH_SECONDS = DAYS * 86_400
# Five long polls of 20 seconds, also of an empty queue:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
POLLS_A_MINUTE = 15


@dataclass(frozen=True)
class Idle:
    """The calls and seconds of a run that finds nothing new.

    The calls were counted, except reconcile's, which are assumptions, as all seconds are.
    """

    seconds: float
    lists: int = 0
    reads: int = 0
    secrets: int = 0


IDLE: Mapping[FunctionUse, Idle] = {
    "extract": Idle(0.1, lists=1, reads=2, secrets=1),
    "transform": Idle(0.05, lists=2, reads=1),
    "load": Idle(0.1, lists=3, reads=1, secrets=1),
    "reconcile": Idle(30.0, lists=10, secrets=2),
    "page": Idle(0.1, lists=3, reads=1),
    "lake": Idle(1.0, lists=3, reads=10),
}


@dataclass(frozen=True)
class Item:
    """One line of the bill: US dollars a month, and their basis."""

    what: str
    usd: float
    basis: str


@dataclass(frozen=True)
class Costs:
    """An estimate for a month.

    `worst` is the sum if every run took until its timeout, as it does when a database hangs.
    `floods` is what the endpoints cost on top if they were called all month as fast as they accept
    it; its `basis` is what limits that.
    """

    items: tuple[Item, ...]
    worst: float
    one_at_a_time: bool
    floods: tuple[Item, ...] = ()

    @property
    def total(self) -> float:
        """The sum in US dollars a month, to the cent."""
        return round(sum(item.usd for item in self.items), 2)

    def text(self) -> str:
        """Return it for a person: the sum, a line for each item, and the assumptions."""
        working = f"with {BATCHES_A_DAY} batches a working day"
        lines = (f"{item.usd:>8.2f}  {item.what:<20}{item.basis}" for item in self.items)
        overlap = "one at a time" if self.one_at_a_time else "concurrently"
        return "\n".join(
            (
                f"About {self.total:.2f} USD a month at list prices, {working}:",
                *lines,
                "The free tier is not counted, and neither is data transfer out of AWS.",
                (
                    f"At most {self.worst:.2f} USD if a database hung all month and every run took "
                    f"until its timeout, {overlap}."
                ),
                *(
                    f"At most {flood.usd:,.2f} USD more if {flood.what} came all month as fast as "
                    f"the API accepts them: {flood.basis}."
                    for flood in self.floods
                ),
            )
        )


def monthly_cost(
    settings: Settings, *, one_at_a_time: bool = True, network: Surroundings | None = None
) -> Costs:
    """Estimate what a deployment with these settings costs a month.

    With `one_at_a_time` no function has concurrent runs. `network` is what is around the network
    that functions are in.
    """
    runs = {use: runs_a_month(schedule) for use, schedule in specs.schedules(settings).items()}
    batches = min(runs["extract"], BATCHES_A_DAY * WORKING_DAYS)
    runs["transform"] += batches  # each invokes it
    runs["page"] += batches
    scheduled = [*specs.FUNCTIONS, *(specs.OF_LAKE if settings.has_lake else ())]
    functions = [_function(spec, runs[spec.use], batches, settings) for spec in scheduled]
    others = [
        *([_events(settings)] if settings.takes_events else []),
        *([_reports(settings)] if settings.reports.is_on else []),
        _s3(runs, batches),
        _secrets(settings, runs),
        *_cloudwatch(settings, runs),
        _notices(settings, batches),
        *([_network(settings, network)] if network else []),
    ]
    hanging = [_hanging(spec, runs[spec.use], settings, one_at_a_time) for spec in scheduled]
    return Costs(
        items=(*functions, *others),
        worst=round(sum(hanging) + sum(item.usd for item in others), 2),
        one_at_a_time=one_at_a_time,
        floods=(
            *([_flood_of_events(settings)] if settings.takes_events else []),
            *([_flood_of_reports(settings, one_at_a_time)] if settings.reports.is_on else []),
        ),
    )


def _function(spec: specs.FunctionSpec, runs: int, batches: int, settings: Settings) -> Item:
    seconds = runs * IDLE[spec.use].seconds
    seconds += min(runs, COLD_STARTS_A_DAY * DAYS) * COLD_START_SECONDS
    if spec.use != "reconcile":
        seconds += batches * BATCH_SECONDS
    gb_seconds = seconds * spec.memory / 1024
    return Item(
        f"Lambda {spec.use}",
        runs * REQUEST + gb_seconds * GB_SECOND[settings.architecture],
        f"{runs:,} runs, {gb_seconds:,.0f} GB-seconds ({settings.architecture})",
    )


def _hanging(spec: specs.FunctionSpec, runs: int, settings: Settings, one_at_a_time: bool) -> float:
    """Return the US dollars of a month in which every run of a function takes until its timeout."""
    seconds = runs * spec.timeout
    if one_at_a_time:
        seconds = min(seconds, MONTH_SECONDS)
    gb_seconds = seconds * spec.memory / 1024
    return runs * REQUEST + gb_seconds * GB_SECOND[settings.architecture]


def _flood_of_events(settings: Settings) -> Item:
    """Return the cost of a month in which events are posted as fast as they are accepted."""
    [receive] = [spec for spec in specs.OF_EVENTS if spec.use == "receive"]
    gb_seconds = EVENT_SECONDS * receive.memory / 1024
    each = API_REQUEST + REQUEST + QUEUE_CALL + gb_seconds * GB_SECOND[settings.architecture]
    usd = specs.EVENTS_A_SECOND * MONTH_SECONDS * each
    return Item("events", usd, f"{specs.EVENTS_A_SECOND:,} a second")


def _flood_of_reports(settings: Settings, one_at_a_time: bool) -> Item:
    """Return the cost of a month in which reports are asked for as fast as they are accepted."""
    [serve] = specs.OF_REPORTS
    rate, most = int(settings.reports.rate), serve.runs or 0
    at_once = rate * serve.timeout
    limit = f"{rate:,} a second"
    if one_at_a_time and most < at_once:
        at_once, limit = most, f"{limit}, {most} at a time"
    gb_seconds = at_once * MONTH_SECONDS * serve.memory / 1024
    usd = rate * MONTH_SECONDS * (API_REQUEST + REQUEST)
    return Item("requests", usd + gb_seconds * GB_SECOND[settings.architecture], limit)


def _s3(runs: Mapping[FunctionUse, int], batches: int) -> Item:
    writes = batches * BATCH_WRITES + sum(IDLE[use].lists * number for use, number in runs.items())
    reads = batches * BATCH_READS + sum(IDLE[use].reads * number for use, number in runs.items())
    return Item(
        "S3",
        writes * S3_WRITE + reads * S3_READ + STORED_GB * S3_GB,
        f"{writes:,} writes and listings, {reads:,} reads, {STORED_GB:.0f} GB",
    )


def _events(settings: Settings) -> Item:
    """Return the cost of an endpoint: requests, the queue, which Lambda polls, two functions."""
    events = EVENTS_A_DAY * WORKING_DAYS
    receive, collect = (spec.memory / 1024 for spec in specs.OF_EVENTS)
    batches = BATCHES_A_DAY * WORKING_DAYS
    gb_seconds = events * EVENT_SECONDS * receive + batches * COLLECT_SECONDS * collect
    calls = POLLS_A_MINUTE * DAYS * MINUTES["day"] + events + 2 * batches
    usd = events * (API_REQUEST + REQUEST) + batches * REQUEST + calls * QUEUE_CALL
    return Item(
        "Event endpoint",
        usd + gb_seconds * GB_SECOND[settings.architecture],
        f"{events:,} events, {calls:,} SQS requests",
    )


def _reports(settings: Settings) -> Item:
    """Return the cost of the API of reports: its requests, and the function that answers them."""
    requests = REPORTS_A_DAY * WORKING_DAYS
    [serve] = specs.OF_REPORTS
    gb_seconds = requests * REPORT_SECONDS * serve.memory / 1024
    return Item(
        "Reports",
        requests * (API_REQUEST + REQUEST) + gb_seconds * GB_SECOND[settings.architecture],
        f"{requests:,} requests",
    )


def _secrets(settings: Settings, runs: Mapping[FunctionUse, int]) -> Item:
    number = len(settings.secrets)
    reading = [use for use in runs if specs.databases(use, settings.declared)]
    reads = sum(runs[use] * IDLE[use].secrets for use in reading)
    return Item(
        "Secrets Manager",
        number * SECRET + reads * SECRET_READ,
        f"{number} secret{'s' if number > 1 else ''}, {reads:,} reads",
    )


def _cloudwatch(settings: Settings, runs: Mapping[FunctionUse, int]) -> tuple[Item, ...]:
    names = Names(settings.project, settings.stage, account="", region="")
    kinds = {"of_files": settings.reads_files, "of_logs": bool(settings.logged)}
    ringing = alarms(names, specs.schedules(settings), **kinds)
    number = len(ringing) + (len(event_alarms(names)) if settings.takes_events else 0)
    number += len(report_alarms(names)) if settings.reports.is_on else 0
    metrics = CUSTOM_METRICS + (METRICS_OF_FILES if settings.reads_files else 0)
    metrics += METRICS_OF_EVENTS if settings.takes_events else 0
    metrics += METRICS_OF_LOGS if settings.logged else 0
    metrics += METRICS_OF_LAKE if settings.has_lake else 0
    gigabytes = sum(runs.values()) * LOG_BYTES / 1e9
    return (
        Item("CloudWatch alarms", number * ALARM, f"{number} alarms"),
        Item(
            "CloudWatch metrics",
            metrics * METRIC + DASHBOARD,
            f"{metrics} custom, 1 dashboard",
        ),
        Item("CloudWatch logs", gigabytes * LOG_GB, f"{gigabytes:.2f} GB"),
    )


def _network(settings: Settings, found: Surroundings) -> Item:
    """Return the cost of what leads out of the user's network, which others may use as well."""
    nats = len(reach.nat_gateways(found))
    endpoints = reach.used_endpoints(settings, found)
    zones = sum(each.zones for each in endpoints)
    return Item(
        "Your network",
        (nats * reach.NAT_HOUR + zones * reach.ENDPOINT_HOUR) * reach.HOURS,
        f"NAT gateways: {nats}, endpoints: {len(endpoints)} (in {zones} zones), without data",
    )


def _notices(settings: Settings, batches: int) -> Item:
    # A batch has a file, and a file has five steps.
    of_files = {"every-file": batches, "steps": 5 * batches}
    notices = {"daily": DAYS, "every-batch": batches, **of_files}.get(settings.notify, 0)
    emails = ALERTS + notices
    return Item("SNS and SQS", emails * EMAIL, f"{emails:,} e-mails")
