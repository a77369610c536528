"""Schedules: how often they fire, and how long they pause at most."""

import pytest

from deployer.resources.cadence import LONGEST_SECONDS, longest_pause, runs_a_month

MINUTE, HOUR, DAY = 60, 3600, 86_400


@pytest.mark.parametrize(
    ("schedule", "runs"),
    [
        ("rate(1 minute)", 43_200),
        ("rate(2 hours)", 360),
        ("rate(1 day)", 30),
        ("rate(100 days)", 0),
        ("cron(0 3 * * ? *)", 30),
        ("cron(* * * * ? *)", 43_200),
        ("cron(0/5 8-18 ? * MON-FRI *)", 3_960),
        ("cron(7,30 8-18/2 * * ? *)", 360),
        ("cron(*/15 L * * ? *)", 2_880),
    ],
)
def test_a_schedule_is_counted(schedule: str, runs: int) -> None:
    """A month has 30 days; of a cron expression, every day counts."""
    assert runs_a_month(schedule) == runs


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ("rate(1 minute)", MINUTE),
        ("rate(2 hours)", 2 * HOUR),
        ("rate(1 day)", DAY),
        ("rate(100 days)", 100 * DAY),
        ("cron(* * * * ? *)", MINUTE),
        ("cron(*/15 * * * ? *)", 15 * MINUTE),
        ("cron(10,20 * * * ? *)", 50 * MINUTE),
        ("cron(0 3 * * ? *)", DAY),
        ("cron(0 3,4 * * ? *)", 23 * HOUR),
        ("cron(0/10 8-18 ? * MON-FRI *)", 61 * HOUR + 10 * MINUTE),  # Friday 18:50 to Monday 8:00
        ("cron(0 3 ? * 2-6 *)", 3 * DAY),
        ("cron(0 3 ? * sun,WED *)", 4 * DAY),
        ("cron(0 3 ? * MON *)", 7 * DAY),
        ("cron(0 3 1 * ? *)", 31 * DAY),
        ("cron(0 3 29 FEB ? *)", LONGEST_SECONDS),
        ("cron(0 3 L * ? *)", LONGEST_SECONDS),
        ("cron(0 3 ? * FRI-MON *)", LONGEST_SECONDS),
        ("cron(0 25 * * ? *)", LONGEST_SECONDS),
        ("cron(0 3 * * ? 2030)", LONGEST_SECONDS),
    ],
)
def test_a_pause_is_the_longest_of_four_years(schedule: str, seconds: int) -> None:
    """Nights, weekends and short months count; what is not understood counts as a year."""
    assert longest_pause(schedule) == seconds
