"""Reports and their parameters, as a pipeline declares them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DeclarationError,
    Integer,
    Numeric,
    Parameter,
    Pipeline,
    Point,
    PostgresWarehouse,
    Report,
    SmallInteger,
    Text,
    Time,
    Today,
    Uuid,
)
from etl.parameters import InvalidValueError

N = {"n": Integer()}


def report(path: str = "/n", sql: str = "SELECT 1 AS n", **more: Any) -> Report:
    return Report(path, sql, **{"columns": N, **more})


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: report("n"), "report n: its path is like /payments/last5, and none of /health"),
        (lambda: report("/health"), "report /health: its path is like"),
        (lambda: report("/a/{b}"), "report /a/{b}: its path is like"),
        (lambda: report(columns={}), "report /n: name its columns"),
        (lambda: report(columns={"n": Integer}), r"report /n: column n: write Integer\(\)"),
        (lambda: report(columns={"n": Point()}), r"column n cannot be Point\(\): cast it to text"),
        (lambda: report(parameters={"N": Parameter(Date())}), "write its parameters as"),
        (lambda: report(parameters={"n": Date()}), "write its parameters as"),
        (lambda: report(at_most=0), "at_most is 10,000 at most"),
        (lambda: Parameter(Time()), r"a parameter cannot be Time\(\)"),
        (lambda: Parameter(Integer(), "x"), "the default 'x' is no whole number"),
        (lambda: Parameter(Text(), Today()), r"only a parameter of the type Date\(\) is today"),
        (lambda: Today("Europe/Nowhere"), "there is no time zone 'Europe/Nowhere'"),
        (lambda: Today("../etc/passwd"), "there is no time zone"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_report_is_one_clear_line(declare: Any, said: str) -> None:
    """It is found when the pipeline is declared, not when somebody asks."""
    with pytest.raises(DeclarationError, match=said):
        declare()


@pytest.mark.parametrize(
    ("given_report", "said"),
    [
        (report(sql="SELECT :m AS n"), "report /n: :m stands for nothing"),
        (report(parameters={"n": Parameter(Date())}), "its SELECT does not say :n, its parameter"),
        (report(sql="absent.sql"), "report /n: there is no file absent.sql: write it"),
        (report(sql="SELECT 1; SELECT 2"), "report /n: it has more than one statement"),
    ],
)
def test_a_mistake_in_its_sql_is_one_clear_line(given_report: Report, said: str) -> None:
    """Likewise: names that stand for nothing, a file that is not there."""
    with pytest.raises(DeclarationError, match=said):
        given_report.statement(Path(__file__).parent, [])


def test_a_report_may_name_parameters_and_settings() -> None:
    """Its statement has both, and its own file is read."""
    asked = report(sql="SELECT :n + :LIMIT AS n", parameters={"n": Parameter(Integer(), "1")})
    assert asked.statement(Path(), ["LIMIT"]).parameters == ("n", "LIMIT")


def test_reports_of_a_pipeline_are_checked() -> None:
    """Two of one path, and what is no report."""
    warehouse = PostgresWarehouse("warehouse", ())
    for reports, said in [
        ([report(), report()], "two reports are called /n: rename one of them"),
        (["SELECT 1"], r"SELECT 1 is no Report\(…\)"),
    ]:
        with pytest.raises(DeclarationError, match=said):
            Pipeline(sources=[], targets=[warehouse], reports=reports)  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="reports read one target, and there are 0"):
        Pipeline(sources=[], targets=[], reports=[report()])


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        (Date(), "2024-02-29", "2024-02-29"),
        (SmallInteger(), "-32768", "-32768"),
        (Integer(), "007", "7"),
        (BigInteger(), "9223372036854775807", "9223372036854775807"),
        (Numeric(), "-0012.50", "-12.50"),
        (Numeric(5, 2), "0999.99", "999.99"),
        (Text(), "é ' \" ; --", "é ' \" ; --"),
        (Boolean(), "true", "true"),
        (Uuid(), "00000000-0000-4000-8000-00000000000A", "00000000-0000-4000-8000-00000000000a"),
    ],
)  # fmt: skip
def test_a_value_is_read_by_its_type(column: Column, text: str, value: str) -> None:
    """And written as SQL reads it."""
    assert Parameter(column).value(text) == value


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (Date(), "2023-02-29"), (Date(), "20240229"), (Date(), "2024-W01-1"), (Date(), ""),
        (Date(), "٢٠٢٤-01-01"), (Date(), "infinity"), (Date(), "2024-02-28\n"),
        (SmallInteger(), "40000"), (Integer(), "-2147483649"), (Integer(), "1e3"),
        (Integer(), "1_0"), (Integer(), " 1"), (Integer(), "+1"), (Integer(), "१"),
        (BigInteger(), "9300000000000000000"), (Numeric(), "1e5"), (Numeric(), "NaN"),
        (Numeric(5, 2), "1000.00"), (Numeric(5, 2), "1.005"),
        (Text(), "a\0b"), (Text(), "\ud800"), (Text(), "x" * 1001),
        (Boolean(), "True"), (Boolean(), "1"), (Uuid(), "{0}"),
    ],
)  # fmt: skip
def test_a_value_that_is_none_is_refused_without_being_quoted(column: Column, text: str) -> None:
    """The reason says what is expected, and does not repeat what was given."""
    with pytest.raises(InvalidValueError) as raised:
        Parameter(column).value(text)
    assert len(text) < 4 or text not in str(raised.value)


@given(st.sampled_from([Date(), Integer(), Numeric(), Numeric(9, 3), Boolean(), Uuid(), Text()]),
       st.text(max_size=50))  # fmt: skip
def test_any_text_is_a_value_or_refused(column: Column, text: str) -> None:
    """And what was read reads the same again."""
    parameter = Parameter(column)
    try:
        value = parameter.value(text)
    except InvalidValueError:
        return
    assert parameter.value(value) == value


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2024, 1, 15, 23, 59, 59, tzinfo=UTC), "2024-01-15"),
        (datetime(2024, 1, 16, tzinfo=UTC), "2024-01-16"),
        (datetime(2024, 3, 30, 23, 59, 59, tzinfo=UTC), "2024-03-30"),
        (datetime(2024, 3, 31, 22, 59, 59, tzinfo=UTC), "2024-03-31"),  # 25 hours before: GMT
        (datetime(2024, 3, 31, 23, 0, tzinfo=UTC), "2024-04-01"),
        (datetime(2024, 10, 26, 23, 0, tzinfo=UTC), "2024-10-27"),
        (datetime(2024, 10, 27, 23, 59, 59, tzinfo=UTC), "2024-10-27"),
        (datetime(2024, 10, 28, 0, 0, tzinfo=UTC), "2024-10-28"),
    ],
)
def test_today_is_the_day_of_its_zone(moment: datetime, day: str) -> None:
    """At midnight, in winter and summer, and on the days on which clocks change."""
    assert Parameter(Date(), Today("Europe/London")).default_at(moment) == day


def test_defaults_are_values() -> None:
    """One that is given, written as SQL reads it, or none."""
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert Parameter(Integer(), "05").default_at(now) == "5"
    assert Parameter(Integer()).default_at(now) is None
