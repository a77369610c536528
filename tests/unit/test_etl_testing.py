"""A user tries a function on a few rows with the engine's own rules."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from pandas import DataFrame

import etl.testing
from etl import (
    SELF,
    DeclarationError,
    Integer,
    Numeric,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    SmallInteger,
    Table,
    Text,
    Timestamp,
    Uuid,
    latest,
)
from etl.testing import Made
from pipelines.totesys.pipeline import PIPELINE as TOTESYS

region = Table("region", key="code", columns={"code": Text(), "name": Text()})
office = Table("office", key=("code", "number"), columns={
    "code": Text(references=region), "number": SmallInteger(), "city": Text(nullable=True),
})  # fmt: skip
employee = Table("employee", key="id", columns={
    "id": Uuid(), "name": Text(), "manager_id": Uuid(nullable=True, references=SELF),
    "office_code": Text(nullable=True), "office_number": SmallInteger(nullable=True),
    "pay": Numeric(8, 2), "since": Timestamp(),
}, references={("office_code", "office_number"): office})  # fmt: skip


@latest(key="id", joins={"manager": "manager_id"})
def people(
    employee: DataFrame, office: DataFrame, region: DataFrame, manager: DataFrame
) -> DataFrame:
    """Employees with their managers and offices, which both may be missing."""
    offices = office.merge(region.rename(columns={"name": "region"}), on="code")
    offices = offices.rename(columns={"code": "office_code", "number": "office_number"})
    managers = manager[["id", "name"]].rename(columns={"id": "manager_id", "name": "manager"})
    keys = ["office_code", "office_number"]
    joined = employee.merge(offices, how="left", on=keys)
    joined = joined.merge(managers, how="left", on="manager_id")
    return joined[["id", "name", "manager", "city", "region", "pay"]]


PIPELINE = Pipeline(
    sources=[Postgres("source", (region, office, employee))],
    targets=[PostgresWarehouse("warehouse", (people, latest(office)))],
)
ANN: dict[str, Any] = {"id": "a", "name": "Ann", "pay": "1.50", "since": datetime(2024, 1, 1)}
BOB = ANN | {"id": "b", "name": "Bob", "manager_id": "a", "office_code": "N", "office_number": 1}
NORTH = {"code": "N", "name": "North"}
LEEDS = {"code": "N", "number": 1, "city": "Leeds"}


def made(**tables: list[dict[str, Any]]) -> Made:
    return etl.testing.made(PIPELINE, "people", **tables)


def test_rows_join_through_levels_and_over_nothing() -> None:
    """A row has its partners at every level, and one without a reference has none of them."""
    found = made(employee=[ANN, BOB], office=[LEEDS, LEEDS | {"number": 2}], region=[NORTH])
    ann = {"id": "a", "name": "Ann", "manager": None, "city": None, "region": None}
    bob = {"id": "b", "name": "Bob", "manager": "Ann", "city": "Leeds", "region": "North"}
    pay = {"pay": Decimal("1.50")}
    assert found == Made([ann | pay, bob | pay], {})


@pytest.mark.parametrize(
    ("row", "regions", "reason"),
    [
        ({"pay": "1.505"}, [NORTH], "pay 1.505 does not fit numeric(8,2)"),
        ({"pay": Decimal(10) ** 6}, [NORTH], "pay 1000000 does not fit numeric(8,2)"),
        ({"name": None}, [NORTH], "has no name"),
        ({"manager_id": "c"}, [NORTH], "manager c is missing"),
        ({"office_number": 2}, [NORTH], "office N, 2 is missing"),
        ({"office_number": 40_000}, [NORTH],
         "office_number 40000 does not fit smallint; office N, 40000 is missing"),
        ({}, [], "office N, 1 region N is missing"),
        ({}, [{"code": "N"}], "office N, 1 region N has no name"),
    ],
)  # fmt: skip
def test_a_row_that_is_not_fit_is_refused_with_the_reason(
    row: dict[str, Any], regions: list[dict[str, Any]], reason: str
) -> None:
    """The reasons are the engine's, for the row itself and for whatever joins in with it."""
    found = made(employee=[ANN, BOB | row], office=[LEEDS], region=regions)
    assert [each["name"] for each in found.rows] == ["Ann"]
    assert found.refused == {"b": reason}


def test_half_a_reference_refers_to_nothing() -> None:
    """A reference of several columns with a NULL among them has no row, as in SQL."""
    found = made(employee=[ANN | {"office_code": "N"}], office=[LEEDS], region=[NORTH])
    assert [(each["id"], each["city"]) for each in found.rows] == [("a", None)]


def test_a_copy_can_be_tried_too() -> None:
    """A target table that is a copy has its rows, in exact types."""
    found = etl.testing.made(PIPELINE, "office", office=[LEEDS, LEEDS | {"number": 40_000}])
    assert found == Made([LEEDS], {"N,40000": "number 40000 does not fit smallint"})


def test_totesys_is_what_it_declares() -> None:
    """Each function of the pipeline that ships makes the key and the columns that it declares."""
    etl.testing.check(TOTESYS)
    etl.testing.check(PIPELINE)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"people": []}, ("target table people is not made of people: give rows of "
         "employee, office, region")),
        ({"office": [{"town": "Leeds"}]}, ("table office has no column town: declare it, or leave "
         "it out")),
        ({"office": [LEEDS | {"number": "one"}]}, ("table office: a value that was given for "
         "number is none of SmallInteger: give one, or its text")),
        ({"employee": [ANN | {"name": 7}]}, ("table employee: a value that was given for name is "
         "none of Text: give one, or its text")),
    ],
)  # fmt: skip
def test_a_mistake_in_a_test_is_one_line(tables: dict[str, Any], message: str) -> None:
    """The mistake is named, with what to write instead."""
    with pytest.raises(DeclarationError) as failure:
        made(**tables)
    assert str(failure.value) == message


def test_an_unknown_target_table_is_named_with_those_there_are() -> None:
    """A typing error in the name of a target table shows the names."""
    with pytest.raises(DeclarationError, match=r"there is no target table x: take one of office,"):
        etl.testing.made(PIPELINE, "x")


def other(columns: dict[str, Any], function: Any) -> Pipeline:
    target = latest(key="id", name="staff", columns=columns)(function)
    return Pipeline(
        sources=[Postgres("source", (region, office, employee))],
        targets=[PostgresWarehouse("warehouse", (target,))],
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda employee: employee[["id"]], ("target table staff: its function returned no column "
         "name: correct it, and try it with etl.testing")),
        (lambda employee: employee[["id", "name", "pay"]], ("target table staff: its function "
         "returned pay, which is not declared: correct it, and try it with etl.testing")),
        (lambda employee: employee[["id", "nam"]], ("target table staff: its function raised "
         "KeyError: correct it, and try it with etl.testing")),
    ],
)  # fmt: skip
def test_a_function_that_makes_other_columns_is_found_without_rows(
    function: Any, message: str
) -> None:
    """Before anything is deployed, each function is held against what is declared of its table."""
    with pytest.raises(DeclarationError) as failure:
        etl.testing.check(other({"id": Uuid(), "name": Text()}, function))
    assert re.sub(r" in line \d+", "", str(failure.value)) == message


def test_a_copy_of_columns_that_are_not_there_is_found() -> None:
    """A copy may leave columns out, and have none that its table does not have."""
    target = latest(office, columns={"code": Text(), "number": Integer(), "town": Text()})
    pipeline = Pipeline(
        sources=[Postgres("source", (region, office, employee))],
        targets=[PostgresWarehouse("warehouse", (target,))],
    )
    with pytest.raises(DeclarationError, match="target table office: table office has no column t"):
        etl.testing.check(pipeline)


def test_a_stamp_may_be_given_as_its_text() -> None:
    """A stamp as the source shows it can be pasted into a test."""
    table = Table("event", "id", {"id": Integer(), "at": Timestamp()})
    pipeline = Pipeline(
        sources=[Postgres("source", (table,))],
        targets=[PostgresWarehouse("warehouse", (latest(table),))],
    )

    made = etl.testing.made(pipeline, "event", event=[{"id": 1, "at": "2024-01-01 05:00:00.5"}])

    assert made.rows == [{"id": 1, "at": datetime(2024, 1, 1, 5, 0, 0, 500_000)}]
