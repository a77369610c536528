"""The zips and layers that are deployed, under AWS's own runtime emulator: `make runtimes`.

For each Python of a Lambda runtime whose interpreter this machine has; RUNTIME names one that it
must have.
"""

import os
from pathlib import Path
from typing import Any, get_args

import pytest
from pg8000.native import Connection

from deployer.configuration.runtimes import RUNTIMES
from deployer.packaging.packages import interpreter
from deployer.resources import specs
from deployer.resources.names import FunctionUse
from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.runtimes.emulator import Runtime, runtime

VERSIONS = [each.removeprefix("python") for each in RUNTIMES]
WANTED = [chosen] if (chosen := os.environ.get("RUNTIME")) else VERSIONS
HERE = {each: found for each in WANTED if (found := interpreter(each))}
# Between them they have every kind of source and target, every function and every layer.
PIPELINES = ("totesys", "retail", "stripe", "zipster")
OWN = {"PROJECT": "shop", "STAGE": "dev", "RATES_AT_MOST": "1 hour"}
NOWHERE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",  # refuses at once
    "AWS_REGION": "eu-west-2",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
}


def of_pipelines() -> list[tuple[str, FunctionUse]]:
    """Return every function of the pipelines."""
    always = [spec.use for spec in specs.FUNCTIONS]
    found = [(pipeline, use) for pipeline in PIPELINES for use in always]
    others: list[tuple[str, FunctionUse]] = [
        ("stripe", "receive"),
        ("stripe", "collect"),
        ("totesys", "serve"),
        ("totesys", "lake"),
    ]
    return [*found, *others]


@pytest.fixture(scope="session", params=list(HERE))
def a_runtime(request: pytest.FixtureRequest) -> Runtime:
    return runtime(request.param, HERE[request.param])


@pytest.fixture(scope="session")
def unpacked(a_runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(f"python{a_runtime.python}")


def test_a_runtime_is_there() -> None:
    """This proves nothing on a machine that has none of the interpreters, and says so."""
    named = " or ".join(f"python{each}" for each in WANTED)
    assert HERE, f"{named} is not on this machine: install it, or choose another by RUNTIME"
    assert set(HERE) <= set(VERSIONS)
    assert {use for _, use in of_pipelines()} == set(get_args(FunctionUse))


@pytest.mark.parametrize(("pipeline", "use"), of_pipelines())
def test_every_function_starts(
    a_runtime: Runtime, unpacked: Path, pipeline: str, use: FunctionUse
) -> None:
    """With its zip and its layers alone: it says what it cannot reach, and has no other fault."""
    with a_runtime.function(use, pipeline, NOWHERE, unpacked) as function:
        answer = function.invoke({"check": True})

    assert list(answer) == ["checks"]


def test_a_pipeline_runs(a_runtime: Runtime, unpacked: Path, functions: Functions) -> None:
    """From the live database to the warehouse, and compared: pandas, Arrow and the driver work."""
    answers: dict[str, Any] = {}
    for use in ("extract", "transform", "load", "reconcile", "page"):
        environment = {**os.environ, **OWN}
        with a_runtime.function(use, "totesys", environment, unpacked) as function:
            answers[use] = function.invoke({})

    assert [each for each in answers.values() if "errorType" in each] == []
    assert answers["reconcile"]["agrees"]
    with connect(functions.source.superuser_url) as source:
        orders = rows(source, "SELECT count(*) FROM sales_order")
    with connect(functions.warehouse.superuser_url) as warehouse:
        schema = functions.warehouse.schema
        assert rows(warehouse, f'SELECT count(*) FROM "{schema}".fact_sales_order') == orders > 0


def rows(connection: Connection, statement: str) -> int:
    [[number]] = connection.run(statement)
    return int(number)
