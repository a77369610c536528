"""The pipelines that ship are declared without a mistake."""

from typing import Any

import pytest

import etl.testing
from deployer.errors import SettingsError
from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest
from etl.loading import known, load
from local.preflight import check_functions


@pytest.mark.parametrize("name", known())
def test_functions_make_what_is_declared(name: str) -> None:
    """A function that returns other columns is found before it is deployed, not at night."""
    etl.testing.check(load(name))


def test_a_function_that_makes_other_columns_stops_the_sandbox_at_once() -> None:
    """A mistake that would fail in transform is reported before a server is started."""
    table = Table("t", "id", {"id": Integer(), "x": Integer()})

    @latest(key="id", columns={"id": Integer(), "x": Integer()})
    def made(t: Any) -> Any:
        return t[["id"]]

    declared = Pipeline(
        sources=[Postgres("source", (table,))], targets=[PostgresWarehouse("warehouse", (made,))]
    )

    with pytest.raises(SettingsError) as raised:
        check_functions(declared)

    assert str(raised.value) == (
        "target table made: its function returned no column x: correct it, and try it with "
        "etl.testing"
    )
