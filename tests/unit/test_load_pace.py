"""How long load goes on within an invocation: it begins no batch that it may not finish."""

from functions.load.pace import Pace


def test_no_batch_is_begun_that_may_not_be_finished() -> None:
    """One may take as long as the slowest so far."""
    times = iter([850, 650, 640, 400, 201, 199])
    pace = Pace(lambda: next(times), spare=60, before=900)

    assert [pace.has_time() for _ in range(6)] == [True, True, True, True, False, False]


def test_spare_time_is_left_however_quick_the_batches_are() -> None:
    """What comes after the last batch takes its time as well."""
    times = iter([299, 60, 59])
    pace = Pace(lambda: next(times), spare=60, before=300)

    assert [pace.has_time() for _ in range(3)] == [True, False, False]
