"""The metrics that alarms and dashboard use, against those that the functions emit."""

import re
from pathlib import Path

import pytest

from deployer.resources import specs
from deployer.resources.alarm_specs import SIGNS_OF_LIFE, alarms
from deployer.resources.alarms import PERIOD_SECONDS, Alarm
from deployer.resources.dashboard import dashboard_body
from deployer.resources.endpoint_alarms import event_alarms
from deployer.resources.names import Names

ROOT = Path(__file__).resolve().parents[2]
NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
ALARMS = {alarm.use: alarm for alarm in alarms(NAMES, of_files=True)}
EVENT_ALARMS = {alarm.use: alarm for alarm in event_alarms(NAMES)}
COUNTED = re.compile(r'add_metric\(\s*"(\w+)"')


def counted_by(use: str) -> set[str]:
    """Return what the code of a function counts."""
    return set(COUNTED.findall((ROOT / "functions" / use / "handler.py").read_text()))


def test_every_trouble_has_its_alarm() -> None:
    """Failures, silence, lost events, quarantine, drift and stale data each ring."""
    assert set(ALARMS) == {
        *(f"{spec.use}-errors" for spec in specs.FUNCTIONS),
        *(f"{use}-silence" for use in SIGNS_OF_LIFE),
        "failed-events",
        "rows-quarantined",
        "rows-refused",
        "files-refused",
        "schema-drift",
        "schema-changes",
        "freshness",
        "disagreement",
    }


def test_only_a_pipeline_with_files_has_an_alarm_of_refused_ones() -> None:
    """Elsewhere nothing counts any."""
    assert ALARMS.keys() - {alarm.use for alarm in alarms(NAMES)} == {"files-refused"}


@pytest.mark.parametrize(("minutes", "rings"), [(10_065, True), (10_066, False)])
def test_silence_of_up_to_a_week_rings(minutes: int, *, rings: bool) -> None:
    """The longest run of 15 minutes included; CloudWatch evaluates no longer time."""
    schedules = {**specs.schedules(), "load": f"rate({minutes} minutes)"}

    found = {alarm.use for alarm in alarms(NAMES, schedules)}

    assert ("load-silence" in found) == rings
    assert {"extract-silence", "transform-silence"} <= found


@pytest.mark.parametrize("alarm", (ALARMS | EVENT_ALARMS).values(), ids=ALARMS | EVENT_ALARMS)
def test_a_watched_metric_is_one_that_is_counted(alarm: Alarm) -> None:
    """A metric that its function does not count by this name would never ring."""
    if alarm.metric.namespace == NAMES.prefix:
        dimension, use = alarm.metric.dimension
        assert dimension == "service"
        assert alarm.metric.name in counted_by(use)
    else:
        assert (alarm.metric.namespace, alarm.metric.dimension[1]) in {
            *(("AWS/SQS", name) for name in (NAMES.queue, NAMES.events_queue, NAMES.dead_queue)),
            *(
                ("AWS/Lambda", NAMES.function(spec.use))
                for spec in (*specs.FUNCTIONS, *specs.OF_EVENTS)
            ),
            ("AWS/ApiGateway", ""),
        }


def test_half_an_hour_without_a_run_rings() -> None:
    """Only silence makes missing data an alarm: a quiet source is no trouble."""
    silent = {name for name, alarm in ALARMS.items() if alarm.missing == "breaching"}

    assert silent == {"extract-silence", "transform-silence", "load-silence"}
    for name in silent:
        assert ALARMS[name].periods * PERIOD_SECONDS == 1800
        assert (ALARMS[name].is_low, ALARMS[name].threshold) == (True, 1.0)
        assert ALARMS[name].statistic == "SampleCount"


def test_a_change_that_takes_longer_than_half_an_hour_rings() -> None:
    """The promise of 30 minutes is what is measured."""
    freshness = ALARMS["freshness"]

    assert (freshness.statistic, freshness.threshold) == ("Maximum", 1800.0)
    assert not freshness.is_low


@pytest.mark.parametrize("alarm", (ALARMS | EVENT_ALARMS).values(), ids=ALARMS | EVENT_ALARMS)
def test_an_alarm_says_what_to_do_within_the_limits_of_aws(alarm: Alarm) -> None:
    """The description is the text of the mail: at most 1,024 characters, two sentences or more."""
    assert len(alarm.description) <= 1024
    assert alarm.description.count(". ") >= 1
    assert alarm.description.endswith(".")


def test_the_dashboard_shows_the_figures_of_the_alarms() -> None:
    """Every alarm is on it, and every metric of ours that an alarm of figures watches."""
    overview, *graphs = dashboard_body(NAMES, specs.schedules(), of_files=True)["widgets"]
    shown = {
        (namespace, metric, value)
        for graph in graphs
        for namespace, metric, _, value, *_ in graph["properties"]["metrics"]
    }
    figures = {
        (alarm.metric.namespace, alarm.metric.name, alarm.metric.dimension[1])
        for name, alarm in ALARMS.items()
        if not name.endswith("-silence")
    }

    assert set(overview["properties"]["alarms"]) == {alarm.arn for alarm in ALARMS.values()}
    assert figures <= shown


def test_the_widgets_of_the_dashboard_do_not_overlap() -> None:
    """Each widget has its own place in the 24 columns."""
    widgets = dashboard_body(NAMES, specs.schedules(), of_files=True)["widgets"]
    cells = [
        (x, y)
        for widget in widgets
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]

    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))
