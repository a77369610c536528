"""Which mails the alarms of each pipeline send: fresh, on a quiet day, in trouble, and after it."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deployer.aws.account import Account, Clients
from deployer.aws.cloudwatch import ensure_alarm
from deployer.aws.waiting import Patience
from deployer.resources import specs
from deployer.resources.alarm_specs import SIGNS_OF_LIFE, Schedules, alarms, allowed_seconds
from deployer.resources.alarms import Alarm
from deployer.resources.cadence import longest_pause
from deployer.resources.endpoint_alarms import event_alarms, report_alarms
from deployer.resources.names import FunctionUse, Names
from etl.loading import load
from tests.unit.cloudwatch_rules import DAY, HOUR, MINUTE, CloudWatch, Key

NAMES = Names("shop", "dev", "123456789012", "eu-west-2")
PIPELINES = ("totesys", "retail", "stripe", "zipster")
CHOSEN: dict[str, dict[FunctionUse, str]] = {
    "default": {},
    "hourly": {"extract": "rate(1 hour)", "load": "rate(1 hour)"},
    "nightly": {"extract": "cron(0 2 * * ? *)", "load": "cron(30 2 * * ? *)"},
    "every second day": {"extract": "rate(2 days)", "load": "rate(2 days)"},
}
# Counted when they happen; of these nothing measures an end.
HAPPENINGS = {"rows-quarantined", "rows-refused", "files-refused", "events-unusable",
              "schema-changes"}  # fmt: skip


def schedules_of(chosen: str) -> Schedules:
    return {**specs.schedules(), **CHOSEN[chosen]}


def alarms_of(pipeline: str, schedules: Schedules) -> tuple[Alarm, ...]:
    """Return the alarms of a deployment of a pipeline, with all that it can have."""
    declared = load(pipeline)
    return (
        *alarms(NAMES, schedules, of_files=bool(declared.files)),
        *(event_alarms(NAMES, "events") if declared.events else ()),
        *(report_alarms(NAMES, "reports") if declared.reports else ()),
    )


class Deployment:
    """A deployed pipeline whose figures a test writes."""

    def __init__(self, pipeline: str, schedules: Schedules) -> None:
        self.cloudwatch = CloudWatch()
        self.schedules = schedules
        self.wanted = alarms_of(pipeline, schedules)
        clients = cast("Clients", SimpleNamespace(cloudwatch=self.cloudwatch))
        patience = Patience(lambda: 0.0, lambda _: None, lambda _: None)
        self._account = Account(NAMES.account, NAMES.region, None, clients, patience)

    def deploy(self) -> None:
        for alarm in self.wanted:
            ensure_alarm(self._account, alarm, "topic", {})

    def every(self, alarm: Alarm) -> int:
        """Return how many seconds apart the figures of an alarm are at most."""
        use = alarm.metric.dimension[1].removeprefix("shop-dev-")
        if alarm.metric.namespace in ("AWS/SQS", "AWS/ApiGateway"):
            return 5 * MINUTE
        return longest_pause(self.schedules.get(cast("Any", use), "rate(3 hours)"))

    def work(self, alarm: Alarm, seconds: int, value: float = 0.0, late: int = 0) -> None:
        """Have an alarm's metric measured by each run for a while, the first one `late`."""
        begin, every = self.cloudwatch.now + late, self.every(alarm)
        for at in range(begin, self.cloudwatch.now + seconds, every):
            for key, figure in _figures(alarm, value):
                self.cloudwatch.count(key, at, figure)
        self.cloudwatch.pass_time(seconds)

    def mails(self, alarm: Alarm) -> list[str]:
        """Return the states that were mailed, and forget them."""
        watched = self.cloudwatch.alarms[alarm.name]
        states = [state for _, state in watched.mails]
        watched.mails.clear()
        return states


def _figures(alarm: Alarm, value: float) -> Iterator[tuple[Key, float]]:
    metric = alarm.metric
    key = metric.namespace, metric.name, metric.dimension[1]
    yield key, value
    if alarm.share_of:
        yield (key[0], alarm.share_of, key[2]), 1.0


# Alarms that several pipelines have are the same.
EVERY_ALARM = {
    (chosen, alarm): pipeline
    for chosen in CHOSEN
    for pipeline in PIPELINES
    for alarm in alarms_of(pipeline, schedules_of(chosen))
}


@pytest.fixture
def deployed(pipeline: str, chosen: str, use: str) -> tuple[Deployment, Alarm]:
    """Return a deployment of one alarm."""
    deployment = Deployment(pipeline, schedules_of(chosen))
    [alarm] = deployment.wanted = tuple(a for a in deployment.wanted if a.use == use)
    return deployment, alarm


@pytest.mark.parametrize(
    ("pipeline", "chosen", "use"),
    [
        pytest.param(pipeline, chosen, alarm.use, id=f"{pipeline}-{chosen}-{alarm.use}")
        for (chosen, alarm), pipeline in EVERY_ALARM.items()
    ],
)
def test_an_alarm_mails_trouble_and_its_end_and_nothing_else(
    deployed: tuple[Deployment, Alarm], pipeline: str, chosen: str, use: str
) -> None:
    """Fresh, on quiet days and when deployed again it is silent; it mails a failure and its end."""
    deployment, alarm = deployed
    every = deployment.every(alarm)
    quiet = max(HOUR, 2 * every)

    deployment.deploy()
    deployment.work(alarm, quiet, late=every)  # no run before the schedule is due
    assert deployment.mails(alarm) == []
    assert deployment.cloudwatch.alarms[alarm.name].states <= {"OK"}

    deployment.deploy()
    deployment.work(alarm, quiet)
    assert deployment.mails(alarm) == []

    if alarm.is_low:
        deployment.cloudwatch.pass_time(3 * alarm.periods * alarm.period)  # it is dead
    else:
        deployment.work(alarm, max(HOUR, every), alarm.threshold + 1)
    assert deployment.mails(alarm) == ["ALARM"]

    if use in HAPPENINGS:
        deployment.work(alarm, quiet)
        assert deployment.mails(alarm) == []
        deployment.work(alarm, max(HOUR, every), alarm.threshold + 1)
        assert deployment.mails(alarm) == ["ALARM"]  # it has not waited for an end
        return
    if alarm.metric.namespace != "AWS/SQS":  # a queue is measured as long as it has messages
        deployment.cloudwatch.pass_time(every)
        assert deployment.mails(alarm) == []  # without a figure nothing is over
    deployment.work(alarm, quiet)
    assert deployment.mails(alarm) == ["OK"]


def test_a_daily_figure_does_not_end_within_the_minute() -> None:
    """A disagreement of the night is over when the next comparison finds none, and no sooner."""
    deployment = Deployment("totesys", specs.schedules())
    [alarm] = deployment.wanted = tuple(a for a in deployment.wanted if a.use == "disagreement")
    deployment.deploy()

    deployment.work(alarm, DAY, value=2.0)
    assert deployment.mails(alarm) == ["ALARM"]
    deployment.work(alarm, DAY, value=1.0)
    assert deployment.mails(alarm) == []
    deployment.work(alarm, DAY, value=0.0)
    assert deployment.mails(alarm) == ["OK"]


def test_a_dead_function_rings_soon_after_its_run_was_due() -> None:
    """The mail comes within a run, and the few periods that CloudWatch looks at besides."""
    for chosen in CHOSEN:
        schedules = schedules_of(chosen)
        for use in SIGNS_OF_LIFE:
            deployment = Deployment("totesys", schedules)
            name = f"{use}-silence"
            [alarm] = deployment.wanted = tuple(a for a in deployment.wanted if a.use == name)
            deployment.deploy()
            deployment.work(alarm, 2 * max(HOUR, deployment.every(alarm)))
            last = max(
                at for samples in deployment.cloudwatch.figures.values() for at, _ in samples
            )

            deployment.cloudwatch.pass_time(3 * alarm.periods * alarm.period)

            [(at, state)] = deployment.cloudwatch.alarms[alarm.name].mails
            assert state == "ALARM"
            waited = at - last
            assert allowed_seconds(schedules[use]) <= waited
            assert waited <= allowed_seconds(schedules[use]) + 5 * alarm.period


def test_a_faster_schedule_is_no_silence() -> None:
    """When a nightly pipeline is to run every minute, nothing rings before its first run."""
    nightly = Deployment("totesys", schedules_of("nightly"))
    nightly.wanted = tuple(a for a in nightly.wanted if a.use == "extract-silence")
    nightly.deploy()
    nightly.work(nightly.wanted[0], 2 * DAY)
    nightly.cloudwatch.pass_time(10 * HOUR)  # it is noon

    nightly.schedules = specs.schedules()
    [alarm] = nightly.wanted = tuple(
        a for a in alarms_of("totesys", nightly.schedules) if a.use == "extract-silence"
    )
    nightly.deploy()
    nightly.work(alarm, HOUR, late=3 * MINUTE)

    assert nightly.mails(alarm) == []
    nightly.cloudwatch.pass_time(HOUR)
    assert nightly.mails(alarm) == ["ALARM"]
